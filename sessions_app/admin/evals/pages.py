"""The playground, the token that it calls with, and an agent's test chats with their runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from accounts.admin.base import NO_STORE, PlatformModelAdmin, way_back
from accounts.admin.formatting import link, row_address
from accounts.auth.staff_tokens import may_play, new_token, write_token
from accounts.limits.registry import MAX_MESSAGE_BYTES
from accounts.members.support_access import inline_form
from accounts.models import AccountStatus, User
from agents.admin.page_base import compare_page
from agents.config.versions import publishing
from agents.instances.services import instance_with_account
from agents.models import AgentInstance, ConfigVersion, InstanceStatus
from salient.formatting import moment
from sessions_app.admin.conversations.hits import message_address
from sessions_app.admin.conversations.texts import hidden_chats, note_chat, require_texts
from sessions_app.admin.evals.forms import NAME_TAKEN, BetterAnswerForm, FromSessionForm
from sessions_app.evals import saved_chats
from sessions_app.evals.comparison import compare, compare_versions
from sessions_app.models import LLMRequest, Message, SavedChat, Session
from sessions_app.turns.prompts import read_sections

SEE_REQUESTS, CHANGE_AGENTS = "sessions_app.view_llmrequest", "agents.change_agentinstance"

type Page = Callable[..., HttpResponseBase]


class EvalPages:
    """Pages that belong to no single row; their addresses are below those of test chats."""

    def __init__(self, model_admin: PlatformModelAdmin[SavedChat]) -> None:
        self.admin = model_admin

    def urls(self) -> list[URLPattern]:
        pages: list[tuple[str, Page, str]] = [
            ("of/<uuid:object_id>/", self.runs, "saved-chats"),
            ("playground/<uuid:object_id>/", self.playground, "playground"),
            ("playground/<uuid:object_id>/token/", self.token, "playground-token"),
            ("sections/<uuid:object_id>/", self.sections, "prompt-sections"),
            ("from-session/<uuid:object_id>/", self.from_session, "saved-chat-from-session"),
            ("better-answer/<uuid:object_id>/", self.better_answer, "better-answer"),
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
        """Show the page; its script sends each message to the public API."""
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
            why_not=_playground_refusal(request, instance),
            longest=MAX_MESSAGE_BYTES,
        )

    def token(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Answer a token for this agent; the script fetches one before each message."""
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
        """Answer the sections of one request's prompt; messages by their sizes only."""
        if not may_play(request.user):
            _require(request, SEE_REQUESTS)
        found = get_object_or_404(LLMRequest, pk=object_id)
        if found.caller != f"staff:{request.user.pk}":
            _require(request, SEE_REQUESTS)
        names = ("name", "source", "bytes", "tokens", "text")
        parts = read_sections(found)
        return _json(
            {"sections": [{name: getattr(part, name) for name in names} for part in parts]}
        )

    def runs(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Show each test chat's newest runs, as published and with the draft, side by side."""
        _require(request, "sessions_app.view_savedchat")
        instance = _instance(object_id)
        found = compare(instance, lambda chats: hidden_chats(request, chats))
        for row in found.rows:
            if row.chat.session_id is not None and not row.is_hidden:
                note_chat(request, row.chat)
        return self._page(
            request,
            "test_chats",
            instance,
            title="Test chats",
            found=found,
            hides=any(row.is_hidden for row in found.rows),
            reason=inline_form(request, instance.account),
            why_not=_playground_refusal(request, instance),
            may_add=self.admin.has_add_permission(request),
        )

    def from_session(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Make a test chat of the user's messages in a conversation."""
        _require(request, "sessions_app.add_savedchat")
        session = saved_chats.session_with_agent(object_id)
        if session is None:
            raise Http404("There is no such conversation.")
        return _reason(request, session) or self._from_session(request, session)

    def better_answer(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Write the answer that should have been given; it becomes a test chat."""
        _require(request, "sessions_app.add_savedchat")
        answer = saved_chats.answer_with_agent(object_id)
        if answer is None:
            raise Http404("There is no such answer.")
        if (reason := _reason(request, answer.session)) is not None:
            return reason
        form = BetterAnswerForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                chat = saved_chats.with_better_answer(answer, **form.cleaned_data)
            except saved_chats.NothingAsked:
                form.add_error(None, "The question that it answered was deleted.")
            else:
                return self._kept(request, answer, chat)
        return self._page(
            request,
            "better_answer",
            _instance(answer.agent_instance_id),
            title="Write a better answer",
            answer=answer,
            asked=saved_chats.questions_before(answer),
            form=form,
            back=request.POST.get("next") or request.GET.get("next", ""),
            may_edit=request.user.has_perm(CHANGE_AGENTS),
        )

    def _kept(self, request: HttpRequest, answer: Message, chat: SavedChat) -> HttpResponse:
        """Say where the better answer is, and lead to the draft or back to the conversation."""
        tests = reverse("admin:saved-chats", args=[answer.agent_instance_id])
        address = f"{tests}#chat-{chat.pk}"
        text = (
            "Your answer was saved as the test chat {} and is shown when the agent is next tested."
        )
        messages.success(request, format_html(text, link(address, chat.name)))
        if "edit" in request.POST and request.user.has_perm(CHANGE_AGENTS):
            return redirect("admin:instance-configuration", answer.agent_instance_id)
        return redirect(way_back(request, message_address(answer.session_id, answer.pk)))

    def _copied(self, request: HttpRequest, session: Session, data: dict[str, Any]) -> HttpResponse:
        try:
            chat = saved_chats.from_session(session, data["name"], is_gate=data["is_gate"])
        except saved_chats.NothingAsked:
            messages.error(request, "The messages were deleted.")
            return redirect(row_address(session))
        messages.success(request, "The test chat is made. Add what its answers must contain.")
        return redirect(row_address(chat))

    def _from_session(self, request: HttpRequest, session: Session) -> HttpResponse:
        texts = saved_chats.user_messages(session)
        # Named by its time: who may not read the words sees the name.
        name = f"Conversation of {moment(session.created_at)}"
        form = FromSessionForm(request.POST or None, initial={"name": name})
        if request.method == "POST" and form.is_valid() and texts:
            data = form.cleaned_data
            if saved_chats.is_name_taken(session.agent_instance_id, data["name"]):
                form.add_error("name", NAME_TAKEN)
            else:
                return self._copied(request, session, data)
        return self._page(
            request,
            "from_session",
            _instance(session.agent_instance_id),
            title="Make a test chat",
            session=session,
            texts=texts,
            form=form if texts else None,
        )

    def _page(
        self,
        request: HttpRequest,
        name: str,
        instance: AgentInstance,
        *,
        title: str,
        **context: Any,
    ) -> TemplateResponse:
        api = reverse("sessions:page", args=[instance.account.slug, instance.instance_slug])
        return self.admin.render_page(
            request,
            f"admin/playground/{name}.html",
            title,
            headers=NO_STORE,
            instance=instance,
            folder=instance.full_slug,
            api=api.rstrip("/"),
            **context,
        )


def compared_answers(
    request: HttpRequest, instance: AgentInstance, old: ConfigVersion, new: ConfigVersion
) -> dict[str, Any]:
    """Return what the comparison of two versions shows of their test chats."""
    if not request.user.has_perm("sessions_app.view_savedchat"):
        return {}
    rows = compare_versions(instance, old, new, lambda chats: hidden_chats(request, chats))
    for row in rows:
        if row.chat.session_id is not None and not row.is_hidden:
            note_chat(request, row.chat)
    hides = any(row.is_hidden for row in rows)
    return {"compared": rows, "hides": hides, "reason": inline_form(request, instance.account)}


compare_page.add(compared_answers, panel="admin/playground/compared.html")


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _reason(request: HttpRequest, session: Session) -> HttpResponse | None:
    """Return the page that asks for a reason before the texts of somebody else are read."""
    if session.user_id == request.user.pk and session.copied_from is None:
        return None
    return require_texts(request, session.account_id, "sessions", session.pk, "")


def _instance(pk: UUID) -> AgentInstance:
    found = instance_with_account(pk)
    if found is None:
        raise Http404("There is no such agent.")
    return found


def _playground_refusal(request: HttpRequest, instance: AgentInstance) -> str:
    """Return why this person cannot talk to the agent in the playground; "" when they can."""
    if instance.account.status != AccountStatus.ACTIVE:
        return f"The account is {instance.account.status}, so its agents do not answer."
    if instance.suspended_reason:
        return f"The agent is suspended: {instance.suspended_reason}"
    if instance.status != InstanceStatus.ACTIVE:
        return f"The agent is {instance.status}: activate it first."
    if not may_play(request.user):
        return "Each turn costs the account money: only staff who may change agents start one."
    return ""


def _json(data: dict[str, Any], **options: Any) -> JsonResponse:
    return JsonResponse(data, headers=NO_STORE, **options)
