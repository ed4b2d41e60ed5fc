"""Adds the agent of the path for those who manage it: inactive and archived ones too."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from http import HTTPStatus
from typing import Any, Concatenate

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.auth.decorators import ApiRequest, ApiRoute, Caller, api_view
from accounts.models import Scope
from agents.api.decorators import find_instance
from agents.instances.managed import any_instance
from agents.models import AgentInstance
from salient.api.problems import NotFound, Problem
from salient.api.schemas import In
from salient.database import in_database

type InstanceView[**P] = Callable[
    Concatenate[ApiRequest, AgentInstance, P], Coroutine[Any, Any, HttpResponseBase]
]

# Who has one of these manages agents; to everybody else an inactive one does not exist.
MANAGING = frozenset({Scope.AGENTS_WRITE, Scope.CONFIG_READ})


class PreconditionRequired(Problem):
    """Writing over what somebody else may have written needs to say what was read."""

    status = HTTPStatus.PRECONDITION_REQUIRED
    code = "precondition_required"


def manages(caller: Caller) -> bool:
    return not MANAGING.isdisjoint(caller.scopes)


def managed_view(
    *methods: str, scope: Scope, query: type[In] | None = None
) -> Callable[[InstanceView[...]], ApiRoute]:
    """Make a view of one agent, with its account; any other slug is the same 404."""

    def decorate(view: InstanceView[...]) -> ApiRoute:
        @api_view(*methods, scope=scope, query=query)
        @wraps(view)
        async def wrapper(request: ApiRequest, /, instance: str, **kwargs: str) -> HttpResponseBase:
            return await view(request, await managed_instance(request.caller, instance), **kwargs)

        return wrapper

    return decorate


async def managed_instance(caller: Caller, slug: str) -> AgentInstance:
    """Return the agent: whatever its status to those who manage it; raises NotFound."""
    if not manages(caller):
        await find_instance(caller, slug)
    found = await in_database(any_instance, caller.account_id, slug)
    if found is None or not caller.may_use(found.pk):
        raise NotFound
    return found


def etag_header(etag: str) -> str:
    return f'"{etag}"'


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
