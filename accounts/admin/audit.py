"""The staff's pages for the audit log: who changed what, from which value to which."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.lists.filters import FilterForm
from accounts.admin.lists.keyset import KeysetAdmin
from accounts.audit.log import STATES, changes_of, model_of, name_of
from accounts.models import AuditEntry
from accounts.models.audit import OBJECT_TYPES

NAMED_COLUMNS = 4


class AuditFilter(FilterForm):
    """By account, what was done, by what kind of actor, to what, when; and a whole id or name."""

    choices = ("action", "actor_kind")
    search_label = "id, person or name"
    object_type = forms.ChoiceField(
        label="object",
        required=False,
        choices=lambda: [("", "any"), *((table, name_of(table)) for table in OBJECT_TYPES)],
    )

    def narrow[M: Model](self, rows: QuerySet[M]) -> QuerySet[M]:
        if table := self.cleaned_data.get("object_type"):
            rows = rows.filter(object_type=table)
        return super().narrow(rows)

    def search[M: Model](self, rows: QuerySet[M], text: str) -> QuerySet[M]:
        exact = Q(object_id=text) | Q(actor_id=text) | Q(actor=text) | Q(object=text)
        # A membership: “ann@example.com as owner”.
        return rows.filter(exact | Q(object__startswith=f"{text} as "))


@admin.register(AuditEntry)
class AuditEntryAdmin(KeysetAdmin[AuditEntry]):
    """Written by the database; nobody's role may change or delete an entry."""

    list_display = ["created_at", "who", "what", "about", "account", "columns"]
    list_display_links = ["created_at"]
    list_select_related = ["account"]
    filter_form = AuditFilter
    export_columns = {
        "time": "created_at",
        "account": "account__slug",
        **{name: name for name in ("actor_kind", "actor_id", "actor", "action", "object_type")},
        **{name: name for name in ("object_id", "object", "reason", "changes")},
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
    """Return the page of the row that the entry is about, if it has one and may still be there.

    An export or a search is about many rows: their list.
    """
    model = model_of(entry.object_type)
    if model is None or not site.is_registered(model) or entry.action == "deleted":
        return None
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    if not entry.object_id:
        return reverse(f"{name}_changelist")
    return reverse(f"{name}_change", args=[entry.object_id])
