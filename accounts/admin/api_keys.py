"""API keys in the admin: handed over or shown once, rotated with an overlap, revoked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin import registry
from accounts.admin.api_key_forms import (
    HAND,
    PERSONAL,
    SHOW,
    SHOWING_NEEDS_ACCESS,
    ApiKeyForm,
    RevokeForm,
    RotateForm,
    SuccessorForm,
    filled_in,
    key_of_form,
)
from accounts.admin.base import AccountFirstAdmin, Extra, chosen_account
from accounts.admin.changes.links import row_to_change
from accounts.admin.changes.repeats import shown_once
from accounts.admin.changes.suspensions import SuspendableAdmin
from accounts.admin.formatting import badge, row_address
from accounts.admin.lists.key_states import (
    ENDS_MANY,
    StateFilter,
    ended_text,
    key_badge,
    owner_and_use,
)
from accounts.admin.lists.private import texts_in
from accounts.keys import offers
from accounts.keys.services import (
    end_keys,
    family_of,
    living_successors,
    replace_leaked,
    rotatable,
    rotate,
    successor_of,
)
from accounts.members import support_access
from accounts.members.one_time_links import LIFETIME
from accounts.models import ApiKey, KeyKind, Scope, User
from accounts.models.api_key import READING
from accounts.pages.key_offer import example_agent, root_of
from accounts.pages.mail import send_or_tell, site_of
from accounts.tenancy.agents import agent_slugs
from salient.api.problems import NotFound, Problem
from salient.formatting import moment

NEW_FIELDS = ["account", "name", "kind", "mode", "scopes", "instance_ids", "origins", "networks"]
CHANGE_FIELDS = ["account", "name", "kind", "mode", "scopes", "agent_names", "origins", "networks"]
CHANGE_FIELDS += ["expires_at", "shown_id", "state", "holder", "created_at"]
CHANGE_FIELDS += ["first_used_at", "last_used_at", "rotated_at", "revoked_at", "successor"]
EDITABLE_FIELDS = ["name", "networks", "expires_at"]
READONLY_FIELDS = [each for each in CHANGE_FIELDS if each not in EDITABLE_FIELDS]
# The form's fields that have several values in an address.
LIST_FIELDS = {"scopes", "instance_ids"}
# What stands around the id in the text of a key, as it is shown: sal_sk_mXWND8f41Twx_…
SHOWN_TEXT = re.compile(r"\bsal_[a-z]{2}_([0-9A-Za-z]*)\S*")
WHOLE_ID = re.compile(r"[0-9A-Za-z]{12}")
SHOWN_ALREADY = (
    "The form was sent twice, and one key was made. Its text was in the first answer and cannot be "
    "shown again: rotate the key if you have not seen it."
)


@admin.register(ApiKey)
class ApiKeyAdmin(SuspendableAdmin[ApiKey], AccountFirstAdmin[ApiKey]):
    """A key is handed over, or shown once, on the page after the form that made it."""

    whose = "Whose API key?"
    suspending = (
        "Within 5 seconds each call with it is answered 401, without the reason, running answers "
        "and its visitors end, and it cannot be rotated or taken. It can be resumed."
    )
    menu_group, menu_place = "Tenants", 4
    nothing_yet = "No API keys yet: programs need one to call an agent."
    forbidden = frozenset({"delete"})
    form = ApiKeyForm
    list_display = [
        "name",
        "shown_id",
        "account",
        "state",
        "may",
        "agents",
        "last_used_at",
        "expires_at",
    ]
    list_select_related = ["account"]
    list_filter = [StateFilter, "kind", "mode", "account"]
    search_fields = ["name", "key_id", "account__slug"]
    search_help_text = "A name, an account, or a key, whole or in part: its secret is not sent on."
    actions = ["revoke"]
    change_form_template = "admin/key/change.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:object_id>/rotate/", view(self.rotate_view), name="key-rotate"),
            path("<uuid:object_id>/replace/", view(self.replace_view), name="key-replace"),
            path("<uuid:object_id>/revoke/", view(self.revoke_view), name="key-revoke"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ApiKey], search_term: str
    ) -> tuple[QuerySet[ApiKey], bool]:
        """Find a key by its text as the list shows it: the prefix is stored nowhere."""
        wanted = SHOWN_TEXT.sub(r"\1", search_term)
        if WHOLE_ID.fullmatch(wanted) and (found := queryset.filter(key_id=wanted)).exists():
            return found, False
        return super().get_search_results(request, queryset, wanted)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[Any]:
        return CHANGE_FIELDS if obj else [*NEW_FIELDS, "life", "way", "person"]

    def history_parts(self, row: ApiKey) -> Iterable[QuerySet[Any]]:
        return [family_of(row)]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        if obj is None:
            return []
        # A revoked key stays as it was.
        if obj.revoked_at:
            return [*READONLY_FIELDS, *EDITABLE_FIELDS]
        # A key shown to staff expires with their support access, so nobody extends it.
        return [*READONLY_FIELDS, *(["expires_at"] if obj.support_access_id else [])]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Fill in what the form held before the page that asked for a reason."""
        initial = super().get_changeform_initial_data(request)
        lists = {name: request.GET.getlist(name) for name in LIST_FIELDS & set(request.GET)}
        return initial | lists | texts_in(request.GET, PERSONAL)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, *args, **kwargs)
        account = chosen_account(request)
        form.viewer = request.user
        form.access = account and support_access.current_access(request.user, account.pk)
        return form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        account = chosen_account(request)
        if account and request.method == "POST" and self.has_add_permission(request):
            wanted = key_of_form(request)
            if (page := self._reason_page(request, account.pk, wanted)) is not None:
                return page
        # The next page shows the key, which is the only way to see it.
        context = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, context | (extra_context or {}))

    def _reason_page(
        self, request: HttpRequest, account_id: UUID, key: ApiKey
    ) -> HttpResponse | None:
        """Return the page that asks for a reason before a key that reads texts is shown."""
        wants_to_see = request.POST.get("way") == SHOW and key.reads_texts and not key.is_lasting
        if not wants_to_see or support_access.current_access(request.user, account_id) is not None:
            return None
        explanation = SHOWING_NEEDS_ACCESS.format(
            scopes=", ".join(scope for scope in key.scopes if scope in READING)
        )
        back, instead = (f"{request.path}?{filled_in(request, way)}" for way in (SHOW, HAND))
        return support_access.reason_page(
            request, account_id, back=back, explanation=explanation, instead=instead
        )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if (key := kwargs.get("obj")) is not None:
            context |= registry.key_page.context(request, key)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: Any) -> None:
        """Offer a new key to its person, or make its secret for the next page."""
        if not change and form.is_handed:
            self._offer(request, obj, form.cleaned_data["person"])
        elif not change:
            if obj.support_access_id is not None:
                support_access.act_under(form.access)
            request.new_key_text = obj.give_secret()  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def _offer(self, request: HttpRequest, key: ApiKey, taker: str) -> None:
        """Send the link after the commit, so that a slow server keeps no transaction open."""
        send = partial(offers.send, offers.offer(key, taker), site_of(request))
        problem = "The e-mail could not be sent: revoke this key, and hand over another."
        transaction.on_commit(partial(send_or_tell, request, send, problem))

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        if obj.is_waiting:
            return self._offered(request, obj)
        text: str = request.new_key_text  # type: ignore[attr-defined]
        return self._shown_once(request, obj, text, title="API key made")

    def _offered(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        days = LIFETIME.days
        text = f"The key waits for {key.taker}, who gets an e-mail and has {days} days to take it."
        messages.success(request, text)
        return redirect(row_address(key))

    def _shown_once(
        self, request: HttpRequest, key: ApiKey, text: str, *, title: str, **more: Any
    ) -> HttpResponse:
        """Show the key in the answer itself, so that no cookie or session ever holds it."""
        page = self.render_page(
            request,
            "admin/key_made.html",
            title,
            headers={"Cache-Control": "no-store, private"},
            key=key,
            text=text,
            access=key.support_access_id,
            root=root_of(request),
            agent=example_agent(key),
            **more,
        )
        return shown_once(page, row_address(key), SHOWN_ALREADY)

    def rotate_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Make the key's successor, and hand it over or show it."""
        return self._succeed(request, object_id, RotateForm, self._rotated)

    def replace_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """End a leaked key now, and hand its successor over or show it."""
        return self._succeed(request, object_id, SuccessorForm, self._replaced)

    def _succeed(
        self,
        request: HttpRequest,
        object_id: UUID,
        form_class: type[SuccessorForm],
        done: Callable[[HttpRequest, ApiKey, Any], HttpResponse],
    ) -> HttpResponse:
        key = row_to_change(self, request, object_id)
        if (page := self._reason_page(request, key.account_id, key)) is not None:
            return page
        user = cast(User, request.user)
        access = support_access.current_access(user, key.account_id)
        initial = request.GET.dict() | texts_in(request.GET, PERSONAL)
        data = request.POST or None
        form = form_class(data, initial=initial, key=key, viewer=user, access=access)
        if form.is_valid():
            try:
                return done(request, key, form)
            except NotFound:
                form.add_error(
                    None, "This key has ended or still waits to be taken; make a new one."
                )
            except Problem as problem:
                form.add_error(None, problem.detail)
        if form_class is RotateForm:
            title = f"Rotate {key.name}"
            return self.render_page(request, "admin/key/rotate.html", title, key=key, form=form)
        title = f"Replace {key.name}, and end it now"
        successors = list(living_successors(key))
        return self.render_page(
            request, "admin/key/replace.html", title, key=key, form=form, successors=successors
        )

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
        return self._shown_once(
            request,
            rotated.key,
            rotated.text,
            title="API key rotated",
            old_ends=rotated.old_expires_at,
        )

    def _replaced(self, request: HttpRequest, key: ApiKey, form: SuccessorForm) -> HttpResponse:
        successor, ended = replace_leaked(key.pk)
        successor.account = key.account
        if form.is_handed:
            self._offer(request, successor, form.cleaned_data["person"])
            successor.save(force_insert=True)
            self._report_ended(request, ended)
            return self._offered(request, successor)
        if key.reads_texts and form.access is not None:
            support_access.act_under(form.access)
            successor.bind_to(form.access)
        text = successor.give_secret()
        successor.save(force_insert=True)
        return self._shown_once(
            request, successor, text, title="API key replaced", ended=ended_text(ended)
        )

    def revoke_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Ask for a confirmation, then end the key for good."""
        key = row_to_change(self, request, object_id)
        successors = list(living_successors(key))
        sent = request.POST if request.method == "POST" else None
        form = RevokeForm(sent, successors=successors)
        if form.is_valid():
            ended = end_keys([key], with_successors=form.ends_successors)
            self._report_ended(request, ended)
            return redirect(row_address(key))
        title = f"Revoke {key.name}?"
        return self.render_page(request, "admin/key/revoke.html", title, key=key, form=form)

    @admin.display(description="key")
    def shown_id(self, key: ApiKey) -> str:
        return key.shown_id

    @admin.display(description="state")
    def state(self, key: ApiKey) -> SafeString:
        return key_badge(key)

    @admin.display(description="who has it")
    def holder(self, key: ApiKey) -> str:
        if key.is_waiting and key.offer_expires_at is not None:
            until = moment(key.offer_expires_at)
            return f"waits to be taken by {key.taker} until {until}"
        if key.taker:
            return f"taken by {key.taker}"
        if key.issued_by:
            return f"whoever has the key {key.issued_by}, which made it"
        return "shown to staff" if key.support_access_id else "-"

    @admin.display(description="may")
    def may(self, key: ApiKey) -> SafeString:
        if key.kind == KeyKind.PUBLISHABLE:
            return format_html("start visitors from {}", ", ".join(key.origins))
        scopes = "everything" if set(key.scopes) == set(Scope) else ", ".join(key.scopes)
        return format_html("{} {}", badge("test") if key.mode == "test" else "", scopes)

    @admin.display(description="agents")
    def agents(self, key: ApiKey) -> str:
        return f"{len(key.instance_ids)} chosen" if key.instance_ids else "all"

    @admin.display(description="agents")
    def agent_names(self, key: ApiKey) -> str:
        agents = agent_slugs(key.account_id)
        slugs = sorted(agents[pk] for pk in key.instance_ids if pk in agents)
        return ", ".join(slugs) or "all, future ones too"

    @admin.display(description="successor of")
    def successor(self, key: ApiKey) -> str:
        return f"{key.prefix}_{key.rotated_from}_…" if key.rotated_from else "-"

    @admin.action(
        description="Revoke key",
        description_plural="Revoke selected keys",
        permissions=["change"],
        location=[ActionLocation.CHANGE_LIST],
    )
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> HttpResponse | None:
        """Ask for a confirmation, then end the keys for good."""
        if "confirmed" in request.POST:
            self._report_ended(request, end_keys(chosen))
            return None
        rows = [(key, owner_and_use(key)) for key in chosen.select_related("account")]
        sent = {"action": "revoke", "confirmed": "yes"}
        return self.ask_about(request, "Revoke these API keys?", rows, sent=sent, **ENDS_MANY)

    def _report_ended(self, request: HttpRequest, ended: list[str]) -> None:
        level = messages.SUCCESS if ended else messages.WARNING
        self.message_user(request, ended_text(ended), level)
