"""What the staff's pages of every room are made of."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IS_POPUP_VAR, SOURCE_MODEL_VAR, TO_FIELD_VAR
from django.contrib.admin.utils import get_fields_from_path, unquote
from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.audit.log import MOST_IN_HISTORY, STATES, changes_of, history_of

# What an address of a list holds besides look-ups: its page, its order, and what pop-ups need.
LIST_PARAMETERS = {
    *(ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR),
    *(IS_POPUP_VAR, SOURCE_MODEL_VAR, TO_FIELD_VAR, "_changelist_filters"),
}
# More of what a list does not know is no help to whoever reads it.
MOST_NAMED = 5


class HistoryAdmin[M: Model](admin.ModelAdmin[M]):
    """A row's history is what the audit log knows of it: Django's own log keeps no values."""

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined, no-any-return]
                request, self.opts, object_id
            )
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        entries = [_told(entry) for entry in history_of(row)]
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {row}",
            "opts": self.opts,
            "object": row,
            "entries": entries,
            "is_cut": len(entries) == MOST_IN_HISTORY,
            "may_search": request.user.has_perm("accounts.view_auditentry"),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/audit/history.html", context)


def _told(entry: Any) -> dict[str, Any]:
    return {
        "pk": entry.pk,
        "action": entry.action,
        "state": STATES[entry.action],
        "created_at": entry.created_at,
        "actor": entry.actor,
        "actor_id": entry.actor_id,
        "kind": entry.get_actor_kind_display().partition(":")[0],
        "reason": entry.reason,
        "table": changes_of(entry),
    }


class NamedLookups[M: Model](admin.ModelAdmin[M]):
    """Lets an address look rows up by what the list itself offers, and by nothing else.

    Django's own rule lets everybody who sees a list filter it by every column of its table. So a
    hidden column could be guessed letter by letter.
    """

    def lookup_names(self, request: HttpRequest) -> set[str]:
        """Return the parameters of the address that narrow the list."""
        names = {SEARCH_VAR} if self.get_search_fields(request) else set()
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
        """Rows are referred to by their ids: by another column they could be guessed."""
        return to_field == self.opts.pk.name

    def refuse_lookups(self, request: HttpRequest) -> HttpResponse | None:
        """Return a page that names what the list does not look up; None: there is no such thing."""
        unknown = set(request.GET) - self.lookup_names(request) - LIST_PARAMETERS
        to_field = request.GET.get(TO_FIELD_VAR)
        if to_field and not self.to_field_allowed(request, to_field):
            unknown.add(TO_FIELD_VAR)
        if not unknown:
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "This list has no such filter",
            "opts": self.opts,
            "names": sorted(unknown)[:MOST_NAMED],
        }
        return TemplateResponse(request, "admin/no_such_filter.html", context, status=400)


class PlatformModelAdmin[M: Model](NamedLookups[M], HistoryAdmin[M]):
    """What all our pages share: plain lists that do not count a large table."""

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Name the page by what it shows, and not by what to do with it."""
        if self.has_view_or_change_permission(request):
            refused = self.refuse_lookups(request)
            if refused is not None:
                return refused
        title = str(self.opts.verbose_name_plural)
        context = {"title": title[:1].upper() + title[1:]} | (extra_context or {})
        return super().changelist_view(request, context)


class RecordAdmin[M: Model](PlatformModelAdmin[M]):
    """Pages for what happened: to be read, never to be made, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


def pretty_json(value: object) -> SafeString:
    """Show a JSON value as people read it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="json" tabindex="0">{}</pre>', text)
