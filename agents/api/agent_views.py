"""The API for an account's agents: list, make, read, change."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from accounts.auth.decorators import ApiRequest, Caller, api_view, by_method
from accounts.limits.registry import Rates
from accounts.models import Scope
from accounts.tenancy.context import tenant_context
from accounts.tenancy.renames import SlugTaken
from agents.api.agent_schemas import (
    AgentChangeIn,
    AgentIn,
    AgentsIn,
    InstanceDetailOut,
    InstanceOut,
    InstancesOut,
)
from agents.api.decorators import for_listed_sites
from agents.api.managed import count_text, managed_view, manages
from agents.config.versions.current import AgentMisconfigured, current_config
from agents.config.versions.managed import InvalidConfiguration, author_of, refusals
from agents.instances import managed
from agents.instances.managed import AgentExists, AgentState, TooManyAgents
from agents.models import AgentInstance
from salient.api.problems import Forbidden
from salient.cursor import page_by_name
from salient.database import in_database


@api_view("GET", scope=Scope.AGENTS_READ, query=AgentsIn, answer=InstancesOut)
async def agent_list(request: ApiRequest, *, query: AgentsIn) -> InstancesOut:
    """List the account's active agents; callers who manage agents may list the others too."""
    caller, wanted = request.caller, query.status
    if wanted != "active" and not manages(caller):
        raise Forbidden("Only who manages agents sees those that are not active.")
    status = None if wanted == "all" else wanted
    found = await in_database(
        managed.agents_with_status, caller, status, after=query.cursor, limit=query.limit
    )
    shown, cursor = page_by_name(found, query.limit, "instance_slug")
    rows = [InstanceOut.of(each) for each in shown]
    return InstancesOut.of_page(rows, cursor, account=caller.account_slug, instances=rows)


@api_view(
    "POST",
    scope=Scope.AGENTS_WRITE,
    rate=Rates.HEAVY,
    body=AgentIn,
    answer=InstanceDetailOut,
    status=HTTPStatus.CREATED,
    problems=(AgentExists, TooManyAgents, InvalidConfiguration, AgentMisconfigured),
)
async def agent_make(request: ApiRequest, *, body: AgentIn) -> InstanceDetailOut:
    """Make an agent, with its first configuration."""
    await count_text(request.caller, body.config)
    return await in_database(_make, request.caller, body)


# Pages of the sites that the agent lists read what it is.
@for_listed_sites
@managed_view(
    "GET", scope=Scope.AGENTS_READ, answer=InstanceDetailOut, problems=(AgentMisconfigured,)
)
async def agent_detail(request: ApiRequest, instance: AgentInstance) -> InstanceDetailOut:
    """Describe one agent, and whether it can answer."""
    return await in_database(_describe, request.caller, instance)


@for_listed_sites
@managed_view(
    "PATCH",
    scope=Scope.AGENTS_WRITE,
    body=AgentChangeIn,
    answer=InstanceDetailOut,
    problems=(AgentMisconfigured, SlugTaken),
)
async def agent_change(
    request: ApiRequest, instance: AgentInstance, *, body: AgentChangeIn
) -> InstanceDetailOut:
    """Rename an agent, change its sites, or activate, deactivate or archive it."""
    changed = await in_database(managed.change_agent, instance, body.model_dump(exclude_unset=True))
    return await in_database(_describe, request.caller, changed)


def _make(caller: Caller, wanted: AgentIn) -> InstanceDetailOut:
    with refusals():
        made = managed.make_agent(caller, author_of(caller), **wanted.model_dump())
    return _describe(caller, made)


def _describe(caller: Caller, instance: AgentInstance) -> InstanceDetailOut:
    """Return the agent as it would answer now; as it answers, for those who only call it."""
    for_managers = manages(caller)
    with tenant_context(caller.account_id):
        state = managed.state_of(instance)
        if (state.effective is None and state.can_answer) or not for_managers:
            state = _serving(caller, instance, state)
    return InstanceDetailOut.of_state(
        caller.account_slug, instance, state, for_managers=for_managers
    )


def _serving(caller: Caller, instance: AgentInstance, state: AgentState) -> AgentState:
    """Add what serves now, perhaps an older version; raises AgentMisconfigured."""
    current = current_config(caller.account_slug, instance)
    return replace(state, effective=current.effective)


all_agents = by_method(agent_list, agent_make)
one_agent = by_method(agent_detail, agent_change)
