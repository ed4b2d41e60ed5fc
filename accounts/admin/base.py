"""What every page of the admin is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR, SOURCE_MODEL_VAR, TO_FIELD_VAR
from django.contrib.admin.utils import flatten_fieldsets, get_fields_from_path, unquote
from django.contrib.admin.views.main import (
    ALL_VAR,
    ERROR_FLAG,
    ORDER_VAR,
    PAGE_VAR,
    SEARCH_VAR,
    ChangeList,
)
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from accounts.admin.changes.links import page_of, place_of
from accounts.admin.formatting import row_address
from accounts.admin.lists.bounded import BoundedList
from accounts.admin.lists.private import SEALED, SEARCHED, SearchedList, sealed
from accounts.audit import timeline
from accounts.members.staff_roles import StaffRole, register_rights
from accounts.models import Account
from accounts.tenancy.accounts import account_by_id, active_accounts
from salient.security.logs import without_secrets

# What an address of a list holds besides look-ups: its page, its order, and what pop-ups need.
LIST_PARAMETERS = {
    ALL_VAR,
    ERROR_FLAG,
    ORDER_VAR,
    PAGE_VAR,
    IS_POPUP_VAR,
    SOURCE_MODEL_VAR,
    TO_FIELD_VAR,
    "_changelist_filters",
}
# The page that refuses unknown filters names no more of them than these.
MOST_NAMED = 5
NO_STORE = {"Cache-Control": "no-store"}

type Extra = dict[str, Any] | None


class NamedLookups[M: Model](admin.ModelAdmin[M]):
    """Lets an address look rows up by what the list itself offers, and by nothing else.

    Django's own rule lets everybody who sees a list filter it by every column of its table. So a
    hidden column could be guessed letter by letter.
    """

    def lookup_names(self, request: HttpRequest) -> set[str]:
        """Return the parameters of the address that narrow the list."""
        names = {SEARCH_VAR, SEALED} if self.get_search_fields(request) else set()
        return names | {self._parameter(each) for each in self.get_list_filter(request)}

    def _parameter(self, list_filter: Any) -> str:
        if not isinstance(list_filter, str):
            return str(list_filter.parameter_name)
        field: Any = get_fields_from_path(self.model, list_filter)[-1]
        target = f"__{field.target_field.name}" if field.is_relation else ""
        return f"{list_filter}{target}__exact"

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup in self.lookup_names(request)

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """Allow references by id only: another column could be guessed through them."""
        return to_field == self.opts.pk.name

    def unknown_lookups(self, request: HttpRequest) -> list[str]:
        """Name the parameters of the address that the list does not know."""
        unknown = set(request.GET) - self.lookup_names(request) - LIST_PARAMETERS
        to_field = request.GET.get(TO_FIELD_VAR)
        if to_field and not self.to_field_allowed(request, to_field):
            unknown.add(TO_FIELD_VAR)
        return sorted(unknown)


class PlatformModelAdmin[M: Model](NamedLookups[M], BoundedList[M]):
    """The base of all our pages: plain lists that do not count a large table."""

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    # The menu group of the list, and its place in it.
    menu_group = "System"
    menu_place = 100
    # What the list says while it is empty: what will be in it, and what brings it there.
    nothing_yet = "Nothing here yet."
    # What the admin does not offer: "add", "change" or "delete".
    forbidden: frozenset[str] = frozenset()
    changelist_class: type[ChangeList] = SearchedList
    # The columns of the list that are amounts, besides fields that are numbers.
    list_numbers: Collection[str] = ()
    # What the ready-made roles may do here (accounts/members/staff_roles.py).
    operator_may: frozenset[str] = frozenset({"view", "add", "change", "delete"})
    support_may: frozenset[str] = frozenset({"view"})

    def __init__(self, model: type[M], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        register_rights(model, StaffRole.OPERATOR, self.operator_may - self.forbidden)
        register_rights(model, StaffRole.SUPPORT, self.support_may - self.forbidden)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return "add" not in self.forbidden and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return "change" not in self.forbidden and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return "delete" not in self.forbidden and super().has_delete_permission(request, obj)

    def deletion_warnings(self, rows: Iterable[M]) -> Iterable[SafeString]:
        """Say what else a deletion causes, on the page that asks whether one is sure."""
        return []

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Note the warnings for the confirmation pages: the one of a row, and that of an action."""
        request.deletion_warnings = list(self.deletion_warnings(objs))  # type: ignore[attr-defined]
        return super().get_deleted_objects(objs, request)

    def get_form(
        self,
        request: HttpRequest,
        obj: M | None = None,
        change: bool = False,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> Any:
        """Return a form of the fields that the page shows, and of no other.

        Django keeps those that a form class declares. One that is required and not shown would
        refuse whatever is sent, and its error would be shown nowhere.
        """
        form: Any = super().get_form(request, obj, change=change, **options)
        # Django asks with None for all fields, to know what a page may show.
        if options.get("fields", ()) is not None:
            shown = set(flatten_fieldsets(self.get_fieldsets(request, obj)))
            for name in form.base_fields.keys() - shown:
                del form.base_fields[name]
        return form

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> M | None:
        """Return the row of a page by its id: `to_field_allowed` allows no other column."""
        if (row := self._row(request, object_id)) is not None:
            columns = [field.attname for field in self.opts.concrete_fields]
            row.as_read = {name: vars(row).get(name) for name in columns}  # type: ignore[attr-defined]
        return row

    def detail_rows(self, request: HttpRequest) -> QuerySet[M]:
        """Return the rows with what the page of one shows, of other tables as well."""
        rows, related = self.get_queryset(request), self.list_select_related
        return rows.select_related(*related) if isinstance(related, list | tuple) else rows

    def _row(self, request: HttpRequest, key: str) -> M | None:
        try:
            return self.detail_rows(request).get(pk=key)
        except (ObjectDoesNotExist, ValidationError, ValueError):
            return None

    def save_form(self, request: HttpRequest, form: Any, change: Any) -> Any:
        """Keep the values of fields that were sent unchanged: a widget may know less of them.

        A moment is sent without its microseconds, and a missing list as an empty one.
        """
        row = super().save_form(request, form, change)
        as_read = getattr(row, "as_read", {}) if change else {}
        for field in self.opts.concrete_fields:
            is_unchanged = field.name in form.fields and field.name not in form.changed_data
            if is_unchanged and field.attname in as_read:
                setattr(row, field.attname, as_read[field.attname])
        return row

    def get_changelist(self, request: HttpRequest, **_more: Any) -> type[ChangeList]:
        return self.changelist_class

    def render_page(
        self,
        request: HttpRequest,
        template: str,
        title: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **context: Any,
    ) -> TemplateResponse:
        """Answer with a page of our own inside the admin's frame."""
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, template, shared | context, status=status, headers=headers)

    def ask_about(
        self,
        request: HttpRequest,
        title: str,
        rows: Iterable[tuple[M, str]],
        *,
        key: str = ACTION_CHECKBOX_NAME,
        sent: Mapping[str, str] | None = None,
        **context: Any,
    ) -> TemplateResponse:
        """Ask before rows are changed; `rows` have what is said of each beside its name.

        The page's form sends `sent` and each row's id as `key`; who may only look gets no form.
        admin/many.html shows `context`.
        """
        rows = list(rows)
        if rows and self.has_change_permission(request):
            context["sent"] = [*(sent or {}).items(), *((key, row.pk) for row, _more in rows)]
        context["rows"] = [(row_address(row), str(row), more) for row, more in rows]
        context["row"] = rows[0][0] if len(rows) == 1 else None
        return self.render_page(request, "admin/many.html", title, **context)

    def no_such_row(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the admin's first page, with a message that names the missing row."""
        redirect: Any = self._get_obj_does_not_exist_redirect  # type: ignore[attr-defined]
        return cast(HttpResponse, redirect(request, self.opts, object_id))

    def changelist_view(self, request: HttpRequest, extra_context: Extra = None) -> Any:
        """Refuse unknown filters, and name the page by its rows instead of “Select … to change”."""
        if (led := self.lead_on(request)) is not None:
            return led
        may_see = self.has_view_or_change_permission(request)
        if may_see and (refused := self.refuse_lookups(request)) is not None:
            return refused
        title = str(self.opts.verbose_name_plural)
        context = {"title": title[:1].upper() + title[1:]} | (extra_context or {})
        return super().changelist_view(request, context)

    def lead_on(self, request: HttpRequest) -> HttpResponse | None:
        """Lead an address that was typed with clear texts to the one that holds them encrypted."""
        shown = self.for_address(request.GET)
        if shown == request.GET:
            return None
        return HttpResponseRedirect(f"{request.path}?{shown.urlencode()}")

    def for_address(self, query: QueryDict) -> QueryDict:
        """Return what narrows the list as an address may show it.

        The secrets of keys are taken out, and what may be a text of a person is encrypted.
        """
        searched = query.get(SEARCH_VAR, "")
        if (clean := without_secrets(searched)) != searched:
            query = query.copy()
            query[SEARCH_VAR] = clean
        return sealed(query, self.private_names())

    def private_names(self) -> frozenset[str]:
        """Name the parameters of the address that may hold texts of people."""
        return SEARCHED

    def refuse_lookups(self, request: HttpRequest) -> HttpResponse | None:
        """Return a page that names the filters that the list does not have; None for none."""
        if unknown := self.unknown_lookups(request):
            title, names = "This list has no such filter", unknown[:MOST_NAMED]
            return self.render_page(
                request, "admin/no_such_filter.html", title, status=400, names=names
            )
        return None

    def history_parts(self, row: M) -> Iterable[QuerySet[Any]]:
        """Return the rows of other tables whose changes belong to the row's history."""
        return []

    def history_sources(self, request: HttpRequest, row: M) -> Iterable[timeline.Source]:
        """Return what the row's history is made of: entries about it and its parts.

        Parts that have pages are only those whose pages the person may see.
        """
        parts = [rows for rows in self.history_parts(row) if self._may_see(request, rows.model)]
        return timeline.row_sources(row, *parts)

    def _may_see(self, request: HttpRequest, model: type[Model]) -> bool:
        if not self.admin_site.is_registered(model):
            return True
        return bool(self.admin_site.get_model_admin(model).has_view_permission(request))

    def history_links(self, row: M) -> Iterable[tuple[str, str]]:
        """Return links (text, address) to other histories of the row."""
        return []

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Extra = None
    ) -> HttpResponse:
        """Show all that changed the row, page by page: Django's own log keeps no values."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self.no_such_row(request, object_id)
        place = place_of(request)
        events, following = timeline.page(self.history_sources(request, row), place)
        return self.render_page(
            request,
            "admin/audit/history.html",
            object=row,
            events=[(event, page_of(self.admin_site, event.entry)) for event in events],
            is_first=place is None,
            following=following,
            links=self.history_links(row),
            may_search=request.user.has_perm("accounts.view_auditentry"),
            **{"title": f"History of {row}", **(extra_context or {})},
        )


class AccountFirstAdmin[M: Model](PlatformModelAdmin[M]):
    """Asks for a new row's account, unless the address names it, before the form is shown.

    So the form's choices are those of the account.
    """

    # The title of the page that asks.
    whose = ""

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        account = chosen_account(request)
        if account is None:
            return self.render_page(
                request, "admin/whose.html", self.whose, accounts=active_accounts()
            )
        title = f"New {self.opts.verbose_name} for {account.name}"
        return super().add_view(request, form_url, {"title": title} | (extra_context or {}))


class RecordAdmin[M: Model](PlatformModelAdmin[M]):
    """Pages for records of what happened, which are read only.

    A detail page of its own has a `detail_template`, and returns its context from `detail`.
    """

    forbidden = frozenset({"add", "change", "delete"})
    detail_template = ""

    def detail(self, request: HttpRequest, row: M) -> dict[str, Any]:
        """Return the context of the detail page, its `title` included."""
        raise NotImplementedError

    def refuse_row(self, request: HttpRequest, row: M) -> HttpResponse | None:
        """Return another page where something is needed before the row may be shown."""
        return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        """Show the row's detail page, or Django's own with its fields."""
        if request.method == "POST":
            raise PermissionDenied
        if not self.detail_template:
            return super().change_view(request, object_id, form_url, extra_context)
        row = self._row(request, unquote(object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self.no_such_row(request, object_id)
        if (refused := self.refuse_row(request, row)) is not None:
            return refused
        context = self.detail(request, row) | (extra_context or {})
        return self.render_page(request, self.detail_template, headers=NO_STORE, **context)

    def render_change_form(self, request: Any, context: Any, *given: Any, **more: Any) -> Any:
        """Show Django's own page of the row that it has read, unless something is needed before."""
        row = more.get("obj")
        refused = self.refuse_row(request, row) if row is not None else None
        return refused or super().render_change_form(request, context, *given, **more)


def way_back(request: HttpRequest, otherwise: str) -> str:
    """Return the page of ours that a form's field `next` names, or else another."""
    wanted = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    )
    return wanted if wanted and ours else otherwise


def chosen_account(request: HttpRequest) -> Account | None:
    """Return the account that the form or its address names."""
    return account_by_id(request.POST.get("account") or request.GET.get("account") or "")
