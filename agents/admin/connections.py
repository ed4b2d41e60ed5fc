"""Model servers of accounts in the admin: their keys are typed in and never shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin.base import Extra
from accounts.admin.changes.suspensions import SuspendableAdmin
from accounts.admin.formatting import badge, quiet, row_address
from agents.config.versions.faults import agents_by_connection
from agents.connections.connections import forget, key_fault, move, read_address, set_key
from agents.connections.probe import probe_connection
from agents.models import ProviderConnection
from salient.api.problems import Invalid

READONLY_FIELDS = ["secret_hint", "created_at", "updated_at"]


class ConnectionForm(forms.ModelForm[ProviderConnection]):
    key = forms.CharField(
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Empty: the key is kept, unless the address is on another host.",
    )

    class Meta:
        model = ProviderConnection
        fields = ("account", "name", "base_url")

    def clean_base_url(self) -> str:
        try:
            return str(read_address(self.cleaned_data["base_url"]))
        except Invalid as error:
            raise ValidationError(error.detail) from error

    def clean_key(self) -> str:
        key = str(self.cleaned_data["key"])
        if fault := key_fault(key):
            raise ValidationError(fault)
        return key

    def save(self, commit: bool = True) -> ProviderConnection:  # noqa: FBT001, FBT002
        """Encrypt the key for the row; another host without a new key clears it."""
        move(self.instance, self.cleaned_data["base_url"])
        if key := self.cleaned_data["key"]:
            set_key(self.instance, key)
        return super().save(commit)


@admin.register(ProviderConnection)
class ProviderConnectionAdmin(SuspendableAdmin[ProviderConnection]):
    menu_group, menu_place = "Tenants", 3
    nothing_yet = "None: an account needs one only for a model server of its own."
    suspending = (
        "Within 5 seconds nothing is sent to this server, running answers of the agents that use "
        "it are stopped, and their calls are answered 503. It can be resumed."
    )
    also_saved = ("secret", "secret_host", "secret_hint")
    form = ConnectionForm
    list_display = ["name", "account", "base_url", "state", "has_key", "updated_at"]
    list_select_related = ["account"]
    list_filter = ["account"]
    search_fields = ["name", "base_url", "account__slug"]
    search_help_text = "A part of a name, of an address, or of an account's slug."
    change_form_template = "admin/connection/change.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.test_view)
        ours = path("<uuid:object_id>/test/", view, name="connection-test")
        return [ours, *super().get_urls()]

    def test_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Call the server as it is stored, and show the result on the connection's page."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        probe = probe_connection(get_object_or_404(ProviderConnection, pk=object_id))
        level = messages.SUCCESS if probe.is_good else messages.ERROR
        self.message_user(request, str(probe), level)
        return redirect(row_address(ProviderConnection, object_id))

    def get_fields(self, request: HttpRequest, obj: ProviderConnection | None = None) -> list[Any]:
        return ["account", "name", "base_url", "key", *(READONLY_FIELDS if obj else [])]

    def get_readonly_fields(
        self, request: HttpRequest, obj: ProviderConnection | None = None
    ) -> list[str]:
        # Configurations refer to its name, and its key is encrypted for its account.
        return [*READONLY_FIELDS, *(["account", "name"] if obj else [])]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        """Show the connection with the agents that use it."""
        found = self.get_object(request, object_id)
        used = agents_by_connection([found])[found.pk] if found else []
        context = {"used_by": used, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def deletion_warnings(self, rows: Iterable[ProviderConnection]) -> Iterable[SafeString]:
        """Name the agents that would no longer answer."""
        connections = list(rows)
        used = agents_by_connection(connections)
        for connection in connections:
            if agents := used[connection.pk]:
                links = format_html_join(
                    ", ",
                    '<a href="{}">{}</a>',
                    [(row_address(agent), f"{agent.account.slug}/{agent}") for agent in agents],
                )
                text = "These agents use “{}” and will not answer without it: {}."
                yield format_html(text, connection.name, links)

    def delete_model(self, request: HttpRequest, obj: ProviderConnection) -> None:
        super().delete_model(request, obj)
        forget(obj.account_id, obj.name)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ProviderConnection]) -> None:
        named = list(queryset.values_list("account_id", "name"))
        super().delete_queryset(request, queryset)
        for account_id, name in named:
            forget(account_id, name)

    @admin.display(description="state", ordering="suspended_reason")
    def state(self, connection: ProviderConnection) -> SafeString:
        if reason := connection.suspended_reason:
            return format_html("{} {}", badge("suspended", "bad"), quiet(reason))
        return badge("active", "ok")

    @admin.display(description="key", boolean=True)
    def has_key(self, connection: ProviderConnection) -> bool:
        return bool(connection.secret)

    def save_model(
        self, request: HttpRequest, obj: ProviderConnection, form: Any, change: Any
    ) -> None:
        super().save_model(request, obj, form, change)
        forget(obj.account_id, obj.name)
