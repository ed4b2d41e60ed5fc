"""The staff's pages for the audit log: who changed what, from which value to which."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.audit_reading import STATES, changes_of, model_of, name_of
from accounts.models import AuditEntry
from accounts.platform_admin import RecordAdmin

# What the database's triggers record, and what is noted of readings and exports.
OBJECTS = (
    *("accounts", "users", "api_keys", "memberships", "invitations", "account_limits", "budgets"),
    *("support_accesses", "agent_instances", "provider_connections", "config_publications"),
    *("saved_chats", "sessions"),
)
NAMED_COLUMNS = 4


class ObjectFilter(admin.SimpleListFilter):
    title, parameter_name = "object", "object_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(table, name_of(table)) for table in OBJECTS]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        table = self.value()
        return queryset.filter(object_type=table) if table else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin[AuditEntry]):
    """Written by the database; nobody's role may change or delete an entry."""

    list_display = ["created_at", "who", "what", "about", "account", "columns"]
    list_display_links = ["created_at"]
    list_select_related = ["account"]
    list_filter = ["action", "actor_kind", ObjectFilter, "account"]
    search_fields = ["object_id__exact", "actor__iexact", "actor_id__exact", "object__iexact"]
    search_help_text = "A whole id, e-mail address or name."
    fields = [
        ("created_at", "what"),
        ("who", "actor_id"),
        ("about_link", "object_id"),
        "account",
        "reason",
        "change_table",
    ]

    @admin.display(description="who")
    def who(self, entry: AuditEntry) -> SafeString:
        name = entry.actor or entry.actor_id or "nobody was named"
        kind = entry.get_actor_kind_display().partition(":")[0]
        return format_html('{} <span class="quiet">{}</span>', name, kind)

    @admin.display(description="did")
    def what(self, entry: AuditEntry) -> SafeString:
        return format_html('<span class="badge {}">{}</span>', STATES[entry.action], entry.action)

    @admin.display(description="object")
    def about(self, entry: AuditEntry) -> SafeString:
        return format_html(
            '{} <span class="quiet">{}</span>',
            entry.object or entry.object_id,
            name_of(entry.object_type),
        )

    @admin.display(description="object")
    def about_link(self, entry: AuditEntry) -> SafeString:
        address = page_of(self.admin_site, entry)
        if address is None:
            return self.about(entry)
        return format_html('<a href="{}">{}</a>', address, self.about(entry))

    @admin.display(description="changed")
    def columns(self, entry: AuditEntry) -> str:
        names = [name.replace("_", " ") for name in sorted(entry.changes)]
        more = f" and {len(names) - NAMED_COLUMNS} more" if len(names) > NAMED_COLUMNS else ""
        return ", ".join(names[:NAMED_COLUMNS]) + more

    @admin.display(description="from which value to which")
    def change_table(self, entry: AuditEntry) -> SafeString:
        return render_to_string("admin/audit/changes.html", {"changes": changes_of(entry)})


def page_of(site: admin.AdminSite, entry: AuditEntry) -> str | None:
    """Return the page of the row that the entry is about, if it has one and may still be there."""
    model = model_of(entry.object_type)
    if model is None or not site.is_registered(model) or entry.action == "deleted":
        return None
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[entry.object_id])
