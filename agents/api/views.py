"""Visitors of an agent: the tokens with which they call it."""

from __future__ import annotations

from http import HTTPStatus

from accounts.auth import visitor_tokens
from accounts.auth.decorators import ApiRequest
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.api.schemas import VisitorIn, VisitorOut
from agents.instances.former_visitors import former_visitor
from agents.instances.services import start_visitor
from agents.models import AgentInstance


@instance_view(
    "POST",
    scope=Scope.VISITORS_WRITE,
    rate=Rates.VISITOR_TOKEN,
    body=VisitorIn,
    answer=VisitorOut,
    status=HTTPStatus.CREATED,
)
async def visitor_start(
    request: ApiRequest, instance: AgentInstance, *, body: VisitorIn
) -> VisitorOut:
    """Start an anonymous visitor, or name an end user: gives a token and its expiry."""
    former = None if body.sub is not None else await former_visitor(request, instance)
    token = start_visitor(request.caller, instance.pk, body, visitor=former)
    return VisitorOut(token=visitor_tokens.write_token(token), expires_at=token.expires_at)
