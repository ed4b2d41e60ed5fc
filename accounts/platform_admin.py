"""What the staff's pages of every room are made of."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.audit_reading import MOST_IN_HISTORY, STATES, changes_of, history_of


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


class PlatformModelAdmin[M: Model](HistoryAdmin[M]):
    """What all our pages share: plain lists that do not count a large table."""

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Name the page by what it shows, and not by what to do with it."""
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
