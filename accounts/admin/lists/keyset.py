"""Lists of big tables: pages by place instead of by number, no counts, and a bar of filters."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_safe

from accounts.admin.base import RecordAdmin
from accounts.admin.lists.bounded import LinkedList, in_time
from accounts.admin.lists.filters import FilterForm
from accounts.audit.csv_export import Columns, Export, Right, csv_response, note_export
from salient.cursor import Cursor, newer, older

BEFORE, AFTER = "before", "after"


class KeysetChangeList(LinkedList):
    """One page of rows, the newest first; one more row is read to know whether there are more."""

    model_admin: KeysetAdmin[Any]

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Model, Model]:
        self.form = self.model_admin.filters(request.GET)
        self.filter_specs, self.has_filters = [], False
        self.has_active_filters = any(self.form.chosen().values())
        self.asks_account = self.form.is_valid() and self.form.lacks_account()
        self.is_too_slow = False
        if not self.form.is_valid() or self.asks_account:
            return self.root_queryset.none()
        # What a search finds first, such as the messages with its words, is read here.
        rows = in_time(partial(self.form.queryset, self.root_queryset))
        if rows is None:
            self.is_too_slow = True
            return self.root_queryset.none()
        if related := self.model_admin.list_select_related:
            rows = rows.select_related(*related)
        rows = rows.defer(*self.model_admin.list_defer)
        annotated: QuerySet[Model, Model] = rows.annotate(**self.model_admin.list_annotations())
        return annotated

    def get_results(self, request: HttpRequest) -> None:
        self.is_cut = False
        self.result_list = self.read_page(request.GET)
        self.result_count = len(self.result_list)
        self.full_result_count = None
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = True

    def read_page(self, query: QueryDict) -> list[Any]:
        """Return the rows of the page that the address names."""
        field, size = self.model_admin.moment, self.list_per_page
        before, after = (_cursor(query.get(name)) for name in (BEFORE, AFTER))
        rows = self.queryset.order_by(f"-{field}", "-id")
        if before is not None:
            rows = older(rows, field, before)
        elif after is not None:
            rows = newer(rows, field, after).order_by(field, "id")
        found = self.in_time(rows[: size + 1])
        goes_on, shown = len(found) > size, found[:size]
        if after is not None and before is None:
            self.has_newer, self.has_older = goes_on, True
            return shown[::-1]
        self.has_newer, self.has_older = before is not None, goes_on
        return shown

    def in_time(self, rows: Iterable[Any]) -> list[Any]:
        """Read the rows; where a filter takes too long, none, and the page says so."""
        found: list[Any] | None = in_time(partial(list, rows))
        self.is_too_slow |= found is None
        return found or []

    def newest_page(self) -> str:
        return self.form.address()

    def older_page(self) -> str:
        return self._page(BEFORE, self.result_list[-1]) if self.result_list else ""

    def newer_page(self) -> str:
        return self._page(AFTER, self.result_list[0]) if self.result_list else ""

    def _page(self, side: str, row: Any) -> str:
        cursor = Cursor(getattr(row, self.model_admin.moment), row.pk)
        return self.form.address(**{side: str(cursor)})

    def export_page(self) -> str:
        return self.model_admin.export_address() + self.form.address()


def _cursor(text: str | None) -> Cursor | None:
    try:
        return Cursor.read(text) if text else None
    except ValueError as error:
        raise IncorrectLookupParameters from error


class KeysetAdmin[M: Model](RecordAdmin[M]):
    """A list whose millionth row costs as much as its first.

    `moment` is the time that it is ordered by, with the id: an index has to begin with both, or
    with the account and both. `export_columns` maps a CSV column's heading to what it holds.
    """

    moment = "created_at"
    changelist_class: type[ChangeList] = KeysetChangeList
    # Large columns that a list does not show.
    list_defer: tuple[str, ...] = ()
    list_select_related: ClassVar[tuple[str, ...] | list[str]] = ()
    filter_form: type[FilterForm] = FilterForm
    export_columns: ClassVar[Columns] = {}
    change_list_template = "admin/keyset_list.html"
    sortable_by = ()
    list_filter = ()

    def list_annotations(self) -> dict[str, Any]:
        """Return what the list reads besides the rows' columns; called in a context."""
        return {}

    def filters(self, query: QueryDict) -> FilterForm:
        return self.filter_form(query, model=self.model, moment=self.moment)

    def lookup_names(self, request: HttpRequest) -> set[str]:
        return self.filter_form.names() | {BEFORE, AFTER}

    def private_names(self) -> frozenset[str]:
        return self.filter_form.private

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_safe(self.export_view))
        ours = [path("export/", view, name=self._export_name())] if self.export_columns else []
        return [*ours, *super().get_urls()]

    def _export_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_export"

    def export_address(self) -> str:
        return reverse(f"admin:{self._export_name()}") if self.export_columns else ""

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Send all rows that match the filters as CSV, the oldest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if (led := self.lead_on(request)) is not None:
            return led
        if (unknown := self.refuse_lookups(request)) is not None:
            return unknown
        form = self.filters(request.GET)
        if not form.is_valid():
            # The list shows what is wrong with them.
            return HttpResponseRedirect(f"../{form.address()}")
        if (refused := self.refuse_export(request, form)) is not None:
            return refused
        note_export(request, form.account_of_rows(), self.opts.db_table, form.for_audit_log())
        export = Export(self.opts.model_name or "", self.export_columns, self.moment)
        right = self.export_right(request, form)
        return csv_response(export, lambda: form.queryset(self.get_queryset(request)), right)

    def export_right(self, request: HttpRequest, form: FilterForm) -> Right:
        """Return the right to the rows, which is checked again for each page of the export."""
        permission = f"{self.opts.app_label}.view_{self.opts.model_name}"
        return Right(request.user.pk, permission, self.texts_of(form))

    def texts_of(self, form: FilterForm) -> UUID | None:
        """Return the account whose texts an export contains or reveals; None for none."""
        return None

    def refuse_export(self, request: HttpRequest, form: FilterForm) -> HttpResponse | None:
        """Return another page where something is needed before the rows may be exported."""
        return None
