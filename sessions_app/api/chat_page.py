"""The hosted chat page of an agent; it calls the API as any visitor's page does."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.utils.text import Truncator
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from accounts.auth import visitor_tokens
from accounts.auth.decorators import VISITOR_SCOPES, Caller
from accounts.limits.registry import MAX_MESSAGE_BYTES
from accounts.models import User
from accounts.tenancy.context import tenant_context
from accounts.tenancy.renames.moved import new_address
from agents.config.versions.current import AgentMisconfigured, current_config
from agents.instances.renames import renamed_page
from agents.instances.services import active_instance
from agents.models import AgentInstance
from agents.runtime.providers import describe_model, model_problem
from sessions_app.api.schemas import HistoryIn, HistoryOut
from sessions_app.conversations import history


@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_store=True)
def chat_page(request: HttpRequest, account: str, instance: str) -> HttpResponse:
    """Show this visitor's conversation; POST (with a CSRF token) starts a new one."""
    if not may_see(request):
        if getattr(request.user, "is_auditor", False):
            # The log-in page would lead them back here.
            raise PermissionDenied("Auditors cannot chat: a conversation would be stored.")
        return redirect_to_login(request.get_full_path())
    agent = active_instance(account, instance)
    if agent is None:
        return _moved(request, account, instance)
    if request.method == "POST":
        return new_conversation(request, account, instance)
    visitor = visitor_tokens.cookie_visitor(request, account, instance)
    # The cookie of a person who used this browser before is not this person's.
    key = visitor.session_key if visitor and visitor.let_in == person_of(request) else None
    response = render(
        request,
        "chat.html",
        {
            "account": agent.account,
            "page": Page.of(agent),
            "api": request.path.rstrip("/"),
            "history": first_history(agent, key).model_dump(mode="json"),
            "longest": MAX_MESSAGE_BYTES,
        },
    )
    if key is None:
        visitor_tokens.set_cookie(response, account, instance, let_in=person_of(request))
    return response


def _moved(request: HttpRequest, account: str, instance: str) -> HttpResponse:
    """Lead to the page's new address, with this visitor; raises Http404 where there is none."""
    names = renamed_page(account, instance)
    if names is None:
        raise Http404
    response = HttpResponsePermanentRedirect(new_address(request, names))
    response.status_code = HTTPStatus.PERMANENT_REDIRECT
    visitor_tokens.carry_cookie(request, response, names)
    return response


def may_see(request: HttpRequest) -> bool:
    """Return whether the person may use the page: anybody in a demo, else staff.

    Not an auditor: a chat writes rows, and auditors only read.
    """
    user = request.user
    staff = user.is_active and user.is_staff and not getattr(user, "is_auditor", False)
    return settings.DEMO or staff


def person_of(request: HttpRequest) -> UUID | None:
    """Return the id of the person who is logged in; None in a demo, which everybody may use."""
    return None if settings.DEMO else cast(User, request.user).pk


def new_conversation(request: HttpRequest, account: str, instance: str) -> HttpResponse:
    """Give this browser a new visitor; it loses the key of the old conversation, which stays."""
    response = HttpResponseRedirect(request.path)
    response.status_code = 303
    visitor_tokens.set_cookie(response, account, instance, let_in=person_of(request))
    return response


def first_history(agent: AgentInstance, session_key: str | None) -> HistoryOut:
    """Return the newest messages of the visitor's conversation, if there is one."""
    if session_key is None:
        return HistoryOut(session_id=None, messages=[], before=None)
    account = agent.account
    subject = f"visitor:{session_key[:32]}"
    visitor = Caller(account.pk, account.slug, VISITOR_SCOPES, subject, session_key=session_key)
    return history.read(visitor, agent, HistoryIn())


@dataclass(frozen=True, slots=True)
class Page:
    """What the page says about its agent."""

    name: str
    opening: str
    model: str
    good_for: str
    problem: str

    @classmethod
    def of(cls, agent: AgentInstance) -> Page:
        try:
            with tenant_context(agent.account_id):
                effective = current_config(agent.account.slug, agent).effective
        except AgentMisconfigured as error:
            return cls(agent.display_name, "", "", "", error.detail)
        config = effective.config
        shows_model = config.visitors.show_model
        return cls(
            name=config.display_name or agent.display_name,
            opening=config.opening_message or "",
            model=config.model if shows_model else "",
            good_for=describe_model(config.model) if shows_model else "",
            problem=Truncator(model_problem(config.model) or effective.error or "").chars(500),
        )
