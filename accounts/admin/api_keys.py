"""The staff's pages for API keys: handed over or shown once, rotated with an overlap, revoked."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.api_key_forms import HAND, SHOW, ApiKeyForm, RotateForm
from accounts.admin.base import PlatformModelAdmin
from accounts.keys import offers
from accounts.keys.offers import Offer
from accounts.keys.services import end_keys, rotatable, rotate, successor_of
from accounts.members import support_access
from accounts.members.one_time_links import LIFETIME
from accounts.models import Account, ApiKey, KeyKind, Scope, User
from accounts.models.api_key import READING
from accounts.pages.key_offer import example_agent, root_of
from accounts.pages.mail import send_or_tell, site_of
from salient.api.problems import NotFound, Problem
from salient.ids import parse_uuid

SOON = timedelta(days=14)
STATES = {
    "active": "ok",
    "ends soon": "warn",
    "waits": "info",
    "not taken": "bad",
    "rotated": "info",
    "expired": "bad",
    "revoked": "bad",
}
ASKED = ["account", "name", "kind", "mode", "scopes", "instance_ids", "origins", "networks"]
TOLD = [
    *("shown_id", "state", "holder", "created_at", "last_used_at", "rotated_at", "revoked_at"),
    "successor",
]
LISTS = {"scopes", "instance_ids"}
WHY = (
    "Whoever sees a key that may {scopes} can read what people wrote. So it is shown to you under "
    "a support access alone, and ends with that. The better way is to hand it over: a person of "
    "the account takes it, and nobody else sees it."
)


def state_of(key: ApiKey) -> str:
    now = timezone.now()
    if key.is_waiting and not key.revoked_at:
        return "waits" if (key.offer_expires_at or now) > now else "not taken"
    if key.refusal(now) is not None:
        return "revoked" if key.revoked_at else "expired"
    if key.rotated_at is not None:
        return "rotated"
    return "ends soon" if key.expires_at and key.expires_at < now + SOON else "active"


class StateFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            *(("active", "active"), ("waits", "waits to be taken")),
            *(("ended", "revoked or expired"), ("unused", "never used")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        now = timezone.now()
        ended = queryset.filter(revoked_at__isnull=False) | queryset.filter(expires_at__lte=now)
        match self.value():
            case "active":
                return queryset.exclude(pk__in=ended.values("pk")).exclude(secret_hash="")
            case "waits":
                return queryset.filter(secret_hash="", revoked_at=None)
            case "ended":
                return ended
            case "unused":
                return queryset.filter(last_used_at=None).exclude(secret_hash="")
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(PlatformModelAdmin[ApiKey]):
    """A key is handed over, or shown once on the page that answers the form that made it."""

    form = ApiKeyForm
    list_display = [
        *("name", "shown_id", "account", "listed_state", "may", "agents"),
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
            return [*ASKED, "life", "way", "person"]
        asked = ["agent_names" if name == "instance_ids" else name for name in ASKED]
        return [*asked, "expires_at", *TOLD]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        if obj is None:
            return []
        kept = [*ASKED[:1], *ASKED[2:7], "agent_names", *TOLD]
        # A revoked key stays as it was.
        if obj.revoked_at:
            return [*kept, "name", "expires_at", "networks"]
        # One that staff were shown ends with their access: nobody makes it live longer.
        return [*kept, *(["expires_at"] if obj.support_access_id else [])]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Fill the form in as it was before the reason was asked for."""
        asked = super().get_changeform_initial_data(request)
        return asked | {name: request.GET.getlist(name) for name in LISTS & set(request.GET)}

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, *args, **kwargs)
        account = chosen_account(request)
        form.viewer = request.user
        form.access = account and support_access.current_access(request.user, account.pk)
        return form

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
        if request.method == "POST" and self.has_add_permission(request):
            asked = key_asked_for(request)
            if (page := self._reason_first(request, account.pk, asked)) is not None:
                return page
        # The next page shows the key: there is no other way on.
        context = {
            "title": f"New API key for {account.name}",
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
        }
        return super().add_view(request, form_url, context | (extra_context or {}))

    def _reason_first(
        self, request: HttpRequest, account_id: UUID, key: ApiKey
    ) -> HttpResponse | None:
        """Return the page that asks for a reason, where the key would show texts to who asks."""
        wants_to_see = request.POST.get("way") == SHOW and key.reads_texts and not key.is_lasting
        if not wants_to_see or support_access.current_access(request.user, account_id) is not None:
            return None
        why = WHY.format(scopes=", ".join(scope for scope in key.scopes if scope in READING))
        back, instead = (f"{request.path}?{_filled_in(request, way)}" for way in (SHOW, HAND))
        return support_access.reason_page(request, account_id, back=back, why=why, instead=instead)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: FBT001
        if not change:
            self._give(request, obj, form)
        super().save_model(request, obj, form, change)

    def _give(self, request: HttpRequest, key: ApiKey, form: Any) -> None:
        """Offer the new key to its person, or make its secret for the next page."""
        if form.is_handed:
            self._offer(request, key, form.cleaned_data["person"])
            return
        if key.support_access_id is not None:
            support_access.act_under(form.access)
        request.new_key_text = key.give_secret()  # type: ignore[attr-defined]

    def _offer(self, request: HttpRequest, key: ApiKey, taker: str) -> None:
        """Send the link when the key stands: a slow mail server keeps no transaction open."""
        offered, site = offers.offer(key, taker), site_of(request)
        transaction.on_commit(partial(_send, request, offered, site))

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        if obj.is_waiting:
            return self._offered(request, obj)
        text: str = request.new_key_text  # type: ignore[attr-defined]
        return self._shown_once(request, obj, text, title="API key made")

    def _offered(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        days = LIFETIME.days
        told = f"The key waits for {key.taker}, who gets an e-mail and has {days} days to take it."
        messages.success(request, told)
        return redirect("admin:accounts_apikey_change", key.pk)

    def _shown_once(
        self, request: HttpRequest, key: ApiKey, text: str, **more: Any
    ) -> HttpResponse:
        """Show the key in the answer itself: neither a cookie nor a session ever holds it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "key": key,
            "text": text,
            "access": key.support_access_id,
            "root": root_of(request),
            "agent": example_agent(key),
            **more,
        }
        return TemplateResponse(
            request, "admin/key_made.html", context, headers={"Cache-Control": "no-store, private"}
        )

    def rotate_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Make the key's successor, for a person of the account or to be shown."""
        key = self._to_change(request, object_id)
        if (page := self._reason_first(request, key.account_id, key)) is not None:
            return page
        user = cast(User, request.user)
        access = support_access.current_access(user, key.account_id)
        sent, asked = request.POST or None, request.GET.dict()
        form = RotateForm(sent, initial=asked, key=key, viewer=user, access=access)
        if form.is_valid():
            try:
                return self._rotated(request, key, form)
            except NotFound:
                form.add_error(None, "This key has ended, or waits; make a new one.")
            except Problem as problem:
                form.add_error(None, problem.detail)
        context = {"title": f"Rotate {key.name}", "key": key, "form": form}
        return self._page(request, "admin/key/rotate.html", context)

    def _rotated(self, request: HttpRequest, key: ApiKey, form: RotateForm) -> HttpResponse:
        if form.is_handed:
            successor = successor_of(rotatable(key.pk), timezone.now())
            successor.account = key.account
            self._offer(request, successor, form.cleaned_data["person"])
            successor.save(force_insert=True)
            return self._offered(request, successor)
        access = form.access if key.reads_texts else None
        if access is not None:
            support_access.act_under(access)
        overlap = timedelta(hours=form.cleaned_data["overlap_hours"])
        rotated = rotate(key.pk, overlap, shown_under=access)
        more = {"title": "API key rotated", "old_ends": rotated.old_expires_at}
        return self._shown_once(request, rotated.key, rotated.text, **more)

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
        return key.shown_id

    @admin.display(description="state")
    def state(self, key: ApiKey) -> SafeString:
        state = state_of(key)
        return format_html('<span class="badge {}">{}</span>', STATES[state], state)

    @admin.display(description="state")
    def listed_state(self, key: ApiKey) -> SafeString:
        """Say in the list, too, whom a key waits for."""
        if not key.is_waiting:
            return self.state(key)
        told = '{} <span class="quiet">to be taken by {}</span>'
        return format_html(told, self.state(key), key.taker)

    @admin.display(description="who has it")
    def holder(self, key: ApiKey) -> str:
        if key.is_waiting and key.offer_expires_at is not None:
            until = date_format(key.offer_expires_at, "DATETIME_FORMAT")
            return f"waits to be taken by {key.taker} until {until}"
        if key.taker:
            return f"taken by {key.taker}"
        return "shown to staff" if key.support_access_id else ""

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
    account_id = parse_uuid(text)
    return Account.objects.filter(pk=account_id).first() if account_id else None


def key_asked_for(request: HttpRequest) -> ApiKey:
    """Return the key that the form asks for, as far as what it may do; it is never stored."""
    asked = request.POST
    return ApiKey(
        kind=asked.get("kind") or KeyKind.SECRET,
        mode=asked.get("mode", ""),
        scopes=asked.getlist("scopes"),
        instance_ids=asked.getlist("instance_ids"),
    )


def _filled_in(request: HttpRequest, way: str) -> str:
    """Return what was filled in as an address that fills it in once more."""
    asked = request.POST.copy()
    for name in ("csrfmiddlewaretoken", "_save"):
        asked.pop(name, None)
    asked["way"] = way
    return asked.urlencode()


def _send(request: HttpRequest, offered: Offer, site: str) -> None:
    problem = "The e-mail could not be sent: revoke this key, and offer another."
    send_or_tell(request, partial(offers.send, offered, site), problem)
