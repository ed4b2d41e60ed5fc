"""Adds the agent instance of the path to the API's authentication."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, Concatenate, Unpack
from uuid import UUID

from django.db import transaction

from accounts.auth.decorators import ApiRequest, ApiRoute, Caller, authorized, operation_of
from accounts.models import Scope
from accounts.models.slugs import is_slug
from accounts.tenancy.context import tenant_context
from accounts.tenancy.renames.moved import Moved
from accounts.tenancy.suspensions import Suspended, forgets
from agents.api.origins import may_call_from
from agents.instances import renames
from agents.instances.services import find_active_instance
from agents.models import AgentInstance, InstanceStatus
from salient.api.operations import Described, Operation, Result
from salient.api.problems import NotFound
from salient.database import in_database, in_database_once
from salient.observability.context import note
from salient.ttl import TTLCache

type InstanceView[**P] = Callable[
    Concatenate[ApiRequest, AgentInstance, P], Coroutine[Any, Any, Result]
]
type Finder = Callable[[Caller, str], Coroutine[Any, Any, AgentInstance]]

_instances: TTLCache[tuple[UUID, str], AgentInstance] = TTLCache()


def instance_view(
    *methods: str, scope: Scope, **described: Unpack[Described]
) -> Callable[[InstanceView[...]], ApiRoute]:
    """Make a view of one active instance, as `api_view` does; any other slug is the same 404."""
    operation = operation_of(*methods, scope=scope, **described)

    def decorate(view: InstanceView[...]) -> ApiRoute:
        return for_listed_sites(route_of_instance(operation, find_instance, view))

    return decorate


def route_of_instance(operation: Operation, find: Finder, view: InstanceView[...]) -> ApiRoute:
    """Make a route of a view of the instance that `find` returns for the slug in the path."""

    @wraps(view)
    async def wrapper(request: ApiRequest, /, instance: str, **kwargs: str) -> Result:
        found = await find(request.caller, instance)
        note(account=request.caller.account_slug, agent=found.instance_slug)
        return await view(request, found, **kwargs, **operation.read(request))

    return authorized(operation, wrapper)


def for_listed_sites(route: ApiRoute) -> ApiRoute:
    """Let pages of the sites that the agent lists call the route, as salient/api/cors.py asks."""
    route.may_call_from = may_call_from  # type: ignore[attr-defined]
    return route


async def find_instance(caller: Caller, slug: str) -> AgentInstance:
    """Return the active instance of that name which the caller may use.

    Raises NotFound, Suspended.
    """
    known = _instances.get((caller.account_id, slug))
    # One that the caller may not use costs the same look-up as one that does not exist.
    if known is None or not caller.may_use(known.id):
        if not is_slug(slug):
            raise NotFound("agent")
        known = await in_database_once(_load, caller.account_id, slug)
        if known is None or not caller.may_use(known.pk):
            await refuse_unknown(caller, slug)
            raise NotFound("agent")
        _instances.put((caller.account_id, slug), known)
    if known.suspended_reason:
        raise Suspended("agent")
    return known


async def refuse_unknown(caller: Caller, slug: str, *, only_active: bool = True) -> None:
    """Raise Moved where an agent that the caller may use had this slug until lately."""
    found = await in_database(renames.led_to, caller.account_id, slug)
    if found is not None and caller.may_use(found.pk):
        if only_active and found.status != InstanceStatus.ACTIVE:
            return
        raise Moved(instance=found.instance_slug)


def forget_after_commit(instance: AgentInstance) -> None:
    """Have the instance read again: it is being changed; other processes notice within seconds."""
    transaction.on_commit(partial(forget, instance))


@forgets(AgentInstance)
def forget(instance: AgentInstance) -> None:
    _instances.pop((instance.account_id, instance.instance_slug))


def _load(account_id: UUID, slug: str) -> AgentInstance | None:
    with tenant_context(account_id):
        return find_active_instance(account_id, slug)
