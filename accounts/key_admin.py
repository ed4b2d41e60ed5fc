"""The staff's pages for API keys: made and shown once, rotated with an overlap, revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import keys
from accounts.key_forms import ApiKeyForm, RotateForm
from accounts.models import Account, ApiKey, KeyKind, Scope
from accounts.platform_admin import PlatformModelAdmin
from accounts.services import AlreadyRotated, end_keys, succeed
from salient.problems import NotFound

SOON = timedelta(days=14)
STATES = {
    "active": "ok",
    "ends soon": "warn",
    "rotated": "info",
    "expired": "bad",
    "revoked": "bad",
}
ASKED = ["account", "name", "kind", "mode", "scopes", "instance_ids", "origins", "networks"]
TOLD = ["shown_id", "state", "created_at", "last_used_at", "rotated_at", "revoked_at", "successor"]


def state_of(key: ApiKey) -> str:
    now = timezone.now()
    if key.refusal(now) is not None:
        return "revoked" if key.revoked_at else "expired"
    if key.rotated_at is not None:
        return "rotated"
    return "ends soon" if key.expires_at and key.expires_at < now + SOON else "active"


class StateFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "active"), ("ended", "revoked or expired"), ("unused", "never used")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        now = timezone.now()
        ended = queryset.filter(revoked_at__isnull=False) | queryset.filter(expires_at__lte=now)
        match self.value():
            case "active":
                return queryset.exclude(pk__in=ended.values("pk"))
            case "ended":
                return ended
            case "unused":
                return queryset.filter(last_used_at=None)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(PlatformModelAdmin[ApiKey]):
    """A key is shown once, on the page that answers the form that made it."""

    form = ApiKeyForm
    list_display = [
        *("name", "shown_id", "account", "state", "may", "agents"),
        *("last_used_at", "expires_at"),
    ]
    list_select_related = ["account"]
    list_filter = [StateFilter, "kind", "mode", "account"]
    search_fields = ["name", "key_id", "account__slug"]
    search_help_text = "A name, an account, or the part of the key after sal_sk_."
    actions = ["revoke"]
    change_form_template = "admin/key/change.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:object_id>/rotate/", view(self.rotate_view), name="key-rotate"),
            path("<uuid:object_id>/revoke/", view(self.revoke_view), name="key-revoke"),
            *super().get_urls(),
        ]

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[Any]:
        if obj is None:
            return [*ASKED, "life"]
        asked = ["agent_names" if name == "instance_ids" else name for name in ASKED]
        return [*asked, "expires_at", *TOLD]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        if obj is None:
            return []
        kept = [*ASKED[:1], *ASKED[2:7], "agent_names", *TOLD]
        # A revoked key stays as it was.
        return [*kept, *(["name", "expires_at", "networks"] if obj.revoked_at else [])]

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for the account first: the agents to choose from are its own."""
        account = chosen_account(request)
        if account is None:
            if not self.has_add_permission(request):
                raise PermissionDenied
            context = {
                **self.admin_site.each_context(request),
                "title": "Whose API key?",
                "opts": self.opts,
                "accounts": Account.objects.active(),
            }
            return TemplateResponse(request, "admin/key/whose.html", context)
        # The next page shows the key: there is no other way on.
        context = {
            "title": f"New API key for {account.name}",
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
        }
        return super().add_view(request, form_url, context | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: FBT001
        if not change:
            text = keys.new_key(obj.prefix)
            obj.key_id, obj.secret_hash = text.key_id, text.secret_hash
            request.new_key_text = text.text  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        text: str = request.new_key_text  # type: ignore[attr-defined]
        return self._shown_once(request, obj, text, title="API key made")

    def _shown_once(
        self, request: HttpRequest, key: ApiKey, text: str, **more: Any
    ) -> HttpResponse:
        """Show the key in the answer itself: neither a cookie nor a session ever holds it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "key": key,
            "text": text,
            "root": request.build_absolute_uri("/").rstrip("/"),
            "agent": self._an_agent(key),
            **more,
        }
        return TemplateResponse(
            request, "admin/key_made.html", context, headers={"Cache-Control": "no-store, private"}
        )

    def _an_agent(self, key: ApiKey) -> str:
        """Name an agent that the key may talk to, for the example."""
        agents = key.account.agent_instances.filter(status="active")
        if key.instance_ids:
            agents = agents.filter(pk__in=key.instance_ids)
        return agents.values_list("instance_slug", flat=True).first() or "AGENT"

    def rotate_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Make the key's successor, and say how long the old one works on."""
        key = self._to_change(request, object_id)
        form = RotateForm(request.POST or None)
        if form.is_valid():
            try:
                rotated = succeed(key.pk, timedelta(hours=form.cleaned_data["overlap_hours"]))
            except NotFound:
                form.add_error(None, "This key has ended; make a new one.")
            except AlreadyRotated as error:
                form.add_error(None, error.detail)
            else:
                more = {"title": "API key rotated", "old_ends": rotated.old_expires_at}
                return self._shown_once(request, rotated.key, rotated.text, **more)
        context = {"title": f"Rotate {key.name}", "key": key, "form": form}
        return self._page(request, "admin/key/rotate.html", context)

    def revoke_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Ask once more, then end the key for good."""
        key = self._to_change(request, object_id)
        if request.method == "POST":
            self._tell_ended(request, end_keys([key]))
            return redirect("admin:accounts_apikey_change", key.pk)
        context = {"title": f"Revoke {key.name}?", "key": key, "form": forms.Form()}
        return self._page(request, "admin/key/revoke.html", context)

    def _to_change(self, request: HttpRequest, object_id: UUID) -> ApiKey:
        key = get_object_or_404(ApiKey.objects.select_related("account"), pk=object_id)
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        return key

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, shared | context)

    @admin.display(description="key")
    def shown_id(self, key: ApiKey) -> str:
        return f"{key.prefix}_{key.key_id}_…"

    @admin.display(description="state")
    def state(self, key: ApiKey) -> SafeString:
        state = state_of(key)
        return format_html('<span class="badge {}">{}</span>', STATES[state], state)

    @admin.display(description="may")
    def may(self, key: ApiKey) -> SafeString:
        if key.kind == KeyKind.PUBLISHABLE:
            return format_html("start visitors from {}", ", ".join(key.origins))
        mode = format_html('<span class="badge">{}</span> ', "test") if key.mode == "test" else ""
        scopes = "everything" if set(key.scopes) == set(Scope) else ", ".join(key.scopes)
        return format_html("{}{}", mode, scopes)

    @admin.display(description="agents")
    def agents(self, key: ApiKey) -> str:
        return f"{len(key.instance_ids)} of them" if key.instance_ids else "all"

    @admin.display(description="agents")
    def agent_names(self, key: ApiKey) -> str:
        agents = key.account.agent_instances.filter(pk__in=key.instance_ids)
        return (
            ", ".join(agents.values_list("instance_slug", flat=True)) or "all, also those to come"
        )

    @admin.display(description="successor of")
    def successor(self, key: ApiKey) -> str:
        return f"{key.prefix}_{key.rotated_from}_…" if key.rotated_from else ""

    @admin.action(
        description="Revoke key",
        description_plural="Revoke selected keys",
        permissions=["change"],
        location=[ActionLocation.CHANGE_LIST],
    )
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> HttpResponse | None:
        """Ask once more: what a key opens is closed within seconds, for good."""
        if "confirmed" in request.POST:
            self._tell_ended(request, end_keys(chosen))
            return None
        context = {
            "title": "Revoke these API keys?",
            "keys": chosen.select_related("account"),
            "form": forms.Form(),
        }
        return self._page(request, "admin/key/revoke_many.html", context)

    def _tell_ended(self, request: HttpRequest, ended: list[str]) -> None:
        text = f"{len(ended)} revoked, successors included ({', '.join(ended) or 'none'}); "
        text += "every server refuses them within 5 seconds."
        self.message_user(request, text, messages.SUCCESS if ended else messages.WARNING)


def chosen_account(request: HttpRequest) -> Account | None:
    """Return the account that the form or its address names."""
    text = request.POST.get("account") or request.GET.get("account") or ""
    try:
        return Account.objects.filter(pk=UUID(text)).first()
    except ValueError:
        return None
