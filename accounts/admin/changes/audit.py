"""The audit log in the admin: who changed what, from which value to which."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.changes.links import page_of
from accounts.admin.formatting import badge, link, quiet
from accounts.admin.lists.filters import FilterForm
from accounts.admin.lists.keyset import KeysetAdmin
from accounts.audit.log import STATES, changes_of, column_name, name_of
from accounts.models import AuditEntry
from accounts.models.audit import OBJECT_TYPES

NAMED_COLUMNS = 4


class AuditFilter(FilterForm):
    """By account, action, kind of actor, table and time; and by a whole id or name."""

    choices = ("action", "actor_kind")
    search_label = "id, person or name"
    object_type = forms.ChoiceField(
        label="object",
        required=False,
        choices=lambda: [("", "any"), *((table, name_of(table)) for table in OBJECT_TYPES)],
    )

    def queryset[M: Model](self, rows: QuerySet[M]) -> QuerySet[M]:
        if table := self.cleaned_data.get("object_type"):
            rows = rows.filter(object_type=table)
        return super().queryset(rows)

    def search(self, text: str) -> Q:
        exact = Q(object_id=text) | Q(actor_id=text) | Q(actor=text) | Q(object=text)
        # A membership is named as in “ann@example.com as owner”.
        return exact | Q(object__startswith=f"{text} as ")


@admin.register(AuditEntry)
class AuditEntryAdmin(KeysetAdmin[AuditEntry]):
    """The database writes the entries, and lets nobody change or delete one."""

    menu_place = 1

    list_display = ["created_at", "who", "what", "about", "account", "columns"]
    list_display_links = ["created_at"]
    list_select_related = ["account"]
    filter_form = AuditFilter
    export_columns = {
        "time": "created_at",
        "account": "account__slug",
        "actor_kind": "actor_kind",
        "actor_id": "actor_id",
        "actor": "actor",
        "action": "action",
        "object_type": "object_type",
        "object_id": "object_id",
        "object": "object",
        "reason": "reason",
        "changes": "changes",
    }
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
        name = entry.actor or entry.actor_id or "unknown"
        kind = entry.get_actor_kind_display().partition(":")[0]
        return format_html("{} {}", name, quiet(kind))

    @admin.display(description="did")
    def what(self, entry: AuditEntry) -> SafeString:
        return badge(entry.action, STATES[entry.action])

    @admin.display(description="object")
    def about(self, entry: AuditEntry) -> SafeString:
        name = entry.object or entry.object_id
        return format_html("{} {}", name, quiet(name_of(entry.object_type)))

    @admin.display(description="object")
    def about_link(self, entry: AuditEntry) -> SafeString:
        address = page_of(self.admin_site, entry)
        return self.about(entry) if address is None else link(address, self.about(entry))

    @admin.display(description="changed")
    def columns(self, entry: AuditEntry) -> str:
        names = [column_name(name) for name in sorted(entry.changes)]
        more = f" and {len(names) - NAMED_COLUMNS} more" if len(names) > NAMED_COLUMNS else ""
        return ", ".join(names[:NAMED_COLUMNS]) + more

    @admin.display(description="from which value to which")
    def change_table(self, entry: AuditEntry) -> SafeString:
        return render_to_string("admin/audit/changes.html", {"changes": changes_of(entry)})
