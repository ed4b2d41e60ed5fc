"""The playground, the token that it calls with, and the test chats of one agent."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format

from accounts.auth.staff_tokens import may_play, new_token, write_token
from accounts.limits.registry import MAX_MESSAGE_BYTES
from accounts.members.support_access import inline_form, require_texts
from accounts.models import AccountStatus, User
from agents.config.versions import publishing
from agents.models import AgentInstance, InstanceStatus
from sessions_app.admin.evals.forms import TAKEN, FromSessionForm, is_taken
from sessions_app.admin.texts import hidden_chats, note_chat
from sessions_app.evals import saved_chats
from sessions_app.evals.comparison import Comparison, compare
from sessions_app.models import LLMRequest, Message, Role, SavedChat, Session
from sessions_app.turns.prompts import read_sections

SEE_REQUESTS = "sessions_app.view_llmrequest"
NO_STORE = {"Cache-Control": "no-store"}

type Page = Callable[..., HttpResponseBase]


class StudioPages:
    """Pages that belong to no one row; the test chats' model admin has their addresses."""

    def __init__(self, model_admin: admin.ModelAdmin[SavedChat]) -> None:
        self.admin = model_admin

    def urls(self) -> list[URLPattern]:
        pages: list[tuple[str, Page, str]] = [
            ("of/<uuid:object_id>/", self.runs, "saved-chats"),
            ("playground/<uuid:object_id>/", self.playground, "playground"),
            ("playground/<uuid:object_id>/token/", self.token, "playground-token"),
            ("sections/<uuid:object_id>/", self.sections, "prompt-sections"),
            ("from-session/<uuid:object_id>/", self.from_session, "saved-chat-from-session"),
        ]
        return [path(at, self._wrapped(page), name=name) for at, page, name in pages]

    def _wrapped(self, page: Page) -> Any:
        @wraps(page)
        def view(request: HttpRequest, object_id: UUID) -> HttpResponseBase:
            if request.method not in {"GET", "HEAD", "POST"}:
                return HttpResponseNotAllowed(["GET", "POST"])
            return page(request, object_id)

        return self.admin.admin_site.admin_view(view)

    def playground(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Show the page; what is said goes to the public API, by its own script."""
        _require(request, "agents.view_agentinstance")
        instance = _instance(object_id)
        draft = publishing.draft_of(instance)
        problems = publishing.check(instance, draft.text) if draft else []
        return self._page(
            request,
            "playground",
            instance,
            title="Playground",
            draft=draft,
            draft_problem="; ".join(map(str, problems)),
            starts_with_draft=bool(draft and not problems and "draft" in request.GET),
            why_not=_why_not(request, instance),
            longest=MAX_MESSAGE_BYTES,
        )

    def token(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Give a token for this agent; it is asked for before each message."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not may_play(request.user):
            raise PermissionDenied
        instance = _instance(object_id)
        draft = publishing.draft_of(instance) if request.POST.get("draft") else None
        if draft is None and request.POST.get("draft"):
            return _json({"detail": "There is no draft any more; reload the page."}, status=409)
        token = new_token(
            cast(User, request.user),
            instance.account_id,
            instance.pk,
            draft_id=draft.pk if draft else None,
        )
        return _json({"token": write_token(token), "expires_at": token.expires_at.isoformat()})

    def sections(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Tell what a model was told in one request; messages are measured and not told."""
        if not may_play(request.user):
            _require(request, SEE_REQUESTS)
        found = get_object_or_404(LLMRequest, pk=object_id)
        if found.caller != f"staff:{request.user.pk}":
            _require(request, SEE_REQUESTS)
        parts = read_sections(found)
        rows = [
            {
                "name": part.name,
                "source": part.source,
                "bytes": part.bytes,
                "tokens": part.tokens,
                "text": part.text,
            }
            for part in parts
        ]
        return _json({"sections": rows})

    def runs(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Show what came of each test chat, as published and with the draft, side by side."""
        _require(request, "sessions_app.view_savedchat")
        instance = _instance(object_id)
        found = compare(instance, lambda chats: hidden_chats(request, chats))
        self._note_words(request, found)
        return self._page(
            request,
            "test_chats",
            instance,
            title="Test chats",
            found=found,
            hides=any(row.is_hidden for row in found.rows),
            reason=inline_form(request, instance.account),
            why_not=_why_not(request, instance),
            may_add=self.admin.has_add_permission(request),
        )

    def _note_words(self, request: HttpRequest, found: Comparison) -> None:
        """Note whose copied words are shown, once for each test chat and access."""
        for row in found.rows:
            if row.chat.session_id is not None and not row.is_hidden:
                note_chat(request, row.chat)

    def from_session(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Make a test chat of what the user of a conversation said."""
        _require(request, "sessions_app.add_savedchat")
        session = get_object_or_404(Session.objects.select_related("agent_instance"), pk=object_id)
        if session.user_id != request.user.pk or session.copied_from is not None:
            reason = require_texts(
                request, session.account_id, object_type="sessions", object_id=session.pk
            )
            if reason is not None:
                return reason
        return self._from_session(request, session)

    def _from_session(self, request: HttpRequest, session: Session) -> HttpResponse:
        said = list(_said(session))
        form = FromSessionForm(request.POST or None, initial={"name": _name_of(session)})
        if request.method == "POST" and form.is_valid() and said:
            data = form.cleaned_data
            if is_taken(session.agent_instance_id, data["name"]):
                form.add_error("name", TAKEN)
            else:
                chat = saved_chats.from_session(session, data["name"], is_gate=data["is_gate"])
                messages.success(request, "The test chat is made. Say what its answers must hold.")
                return redirect("admin:sessions_app_savedchat_change", chat.pk)
        return self._page(
            request,
            "from_session",
            _instance(session.agent_instance_id),
            title="Make a test chat",
            session=session,
            said=said,
            form=form if said else None,
        )

    def _page(
        self, request: HttpRequest, name: str, instance: AgentInstance, **context: Any
    ) -> TemplateResponse:
        api = reverse("sessions:page", args=[instance.account.slug, instance.instance_slug])
        shared = {
            "opts": self.admin.opts,
            "instance": instance,
            "folder": f"{instance.account.slug}/{instance.instance_slug}",
            "api": api.rstrip("/"),
        }
        return TemplateResponse(
            request,
            f"admin/playground/{name}.html",
            self.admin.admin_site.each_context(request) | shared | context,
            headers=NO_STORE,
        )


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _instance(pk: UUID) -> AgentInstance:
    found: AgentInstance | None = (
        AgentInstance.objects.select_related("account").filter(pk=pk).first()
    )
    if found is None:
        raise Http404("There is no such agent.")
    return found


def _why_not(request: HttpRequest, instance: AgentInstance) -> str:
    """Say why nobody, or not this person, can talk to the agent here; "" when they can."""
    if instance.account.status != AccountStatus.ACTIVE:
        return f"The account is {instance.account.status}, so its agents answer nobody."
    if instance.status != InstanceStatus.ACTIVE:
        return f"The agent is {instance.status}: activate it first."
    if not may_play(request.user):
        return "A turn is real and costs the account: only staff who may change agents take one."
    return ""


def _said(session: Session) -> Any:
    said = Message.objects.filter(session_id=session.pk, role=Role.HUMAN)
    newest_last = said.order_by("created_at", "id")
    return newest_last.values_list("content", flat=True)[: saved_chats.MOST_MESSAGES]


def _name_of(session: Session) -> str:
    """Name it by when it was: a name is shown to who may not read the words."""
    return f"Conversation of {date_format(session.created_at, 'DATETIME_FORMAT')}"


def _json(data: dict[str, Any], **options: Any) -> JsonResponse:
    return JsonResponse(data, headers=NO_STORE, **options)
