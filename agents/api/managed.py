"""Adds the agent of the path for those who manage it: inactive and archived ones too."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Unpack

from django.http import HttpRequest

from accounts.auth.decorators import ApiRoute, Caller, operation_of
from accounts.limits.call_rates import count_call
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import InstanceView, find_instance, refuse_unknown, route_of_instance
from agents.instances.managed import any_instance
from agents.models import AgentInstance
from salient.api.operations import Described
from salient.api.problems import NotFound, Problem
from salient.database import in_database

# Who has one of these manages agents; to everybody else an inactive one does not exist.
MANAGING = frozenset({Scope.AGENTS_WRITE, Scope.CONFIG_READ})
# A configuration of 64 KB, all of it wrong, takes a second or two to check.
CHARACTERS_A_CALL = 8 * 1024


class PreconditionRequired(Problem):
    """Overwriting what others may have changed requires the ETag that was read."""

    status = HTTPStatus.PRECONDITION_REQUIRED
    code = "precondition_required"


def manages(caller: Caller) -> bool:
    return not MANAGING.isdisjoint(caller.scopes)


def managed_view(
    *methods: str, scope: Scope, **described: Unpack[Described]
) -> Callable[[InstanceView[...]], ApiRoute]:
    """Make a view of one agent, as `api_view` does; any other slug is the same 404."""
    operation = operation_of(*methods, scope=scope, **described)

    def decorate(view: InstanceView[...]) -> ApiRoute:
        return route_of_instance(operation, managed_instance, view)

    return decorate


async def managed_instance(caller: Caller, slug: str) -> AgentInstance:
    """Return the agent: whatever its status to those who manage it; raises NotFound."""
    if not manages(caller):
        await find_instance(caller, slug)
    found = await in_database(any_instance, caller.account_id, slug)
    if found is None or not caller.may_use(found.pk):
        await refuse_unknown(caller, slug, only_active=False)
        raise NotFound("agent")
    return found


async def count_text(caller: Caller, text: str) -> None:
    """Count what it takes to check a long text beside the call itself; raises RateLimited."""
    if more := len(text) // CHARACTERS_A_CALL:
        await count_call(caller, Rates.HEAVY, times=more)


def wanted_etag(request: HttpRequest, *, may_be_new: bool = False) -> str:
    """Return the ETag of If-Match; "" for `If-None-Match: *`, which says that there was none.

    Raises PreconditionRequired.
    """
    if may_be_new and request.headers.get("If-None-Match", "").strip() == "*":
        return ""
    text = request.headers.get("If-Match", "").strip()
    etag = text.removeprefix('"').removesuffix('"')
    if not etag or etag == "*":
        new = ", or “If-None-Match: *” where there is none" if may_be_new else ""
        raise PreconditionRequired(f"Send the draft's ETag as If-Match{new}.")
    return etag
