"""The API for an account's agents: list, make, read, change."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from django.http import HttpResponse

from accounts.auth.decorators import ApiRequest, Caller, api_view, by_method
from accounts.models import Scope
from accounts.tenancy.context import tenant_context
from agents.api.agent_schemas import (
    AgentChangeIn,
    AgentIn,
    AgentsIn,
    InstanceDetailOut,
    InstanceOut,
    InstancesOut,
)
from agents.api.managed import managed_view, manages
from agents.api.origins import may_call_from
from agents.config.versions.current import current_config
from agents.config.versions.managed import author_of, refusals
from agents.instances import managed
from agents.instances.managed import AgentState
from agents.models import AgentInstance
from salient.api.problems import Forbidden
from salient.database import in_database


# openapi: answer=InstancesOut
@api_view("GET", scope=Scope.AGENTS_READ, query=AgentsIn)
async def agent_list(request: ApiRequest) -> HttpResponse:
    """List the account's active agents; those who manage agents may ask for the others."""
    caller, wanted = request.caller, AgentsIn.of_query(request).status
    if wanted != "active" and not manages(caller):
        raise Forbidden("Only who manages agents sees those that are not active.")
    status = None if wanted == "all" else wanted
    found = await in_database(managed.agents_with_status, caller, status)
    rows = [InstanceOut.of(each) for each in found]
    return InstancesOut(account=caller.account_slug, instances=rows, data=rows).as_response()


# openapi: body=AgentIn, answer=InstanceDetailOut, status=201,
# problems=(AgentExists, TooManyAgents, InvalidConfiguration)
@api_view("POST", scope=Scope.AGENTS_WRITE)
async def agent_make(request: ApiRequest) -> HttpResponse:
    """Make an agent, with its first configuration."""
    wanted = AgentIn.of_body(request)
    response = await in_database(_make, request.caller, wanted)
    response.status_code = HTTPStatus.CREATED
    return response


# openapi: answer=InstanceDetailOut, problems=(AgentMisconfigured,)
@managed_view("GET", scope=Scope.AGENTS_READ)
async def agent_detail(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Describe one agent, and whether it can answer."""
    return await in_database(_describe, request.caller, instance)


# openapi: body=AgentChangeIn, answer=InstanceDetailOut
@managed_view("PATCH", scope=Scope.AGENTS_WRITE)
async def agent_change(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Rename an agent, change its sites, or activate, deactivate or archive it."""
    changes = AgentChangeIn.of_body(request).changes()
    changed = await in_database(managed.change_agent, instance, changes)
    return await in_database(_describe, request.caller, changed)


def _make(caller: Caller, wanted: AgentIn) -> HttpResponse:
    with refusals():
        made = managed.make_agent(caller, author_of(caller), **wanted.model_dump())
    return _describe(caller, made)


def _describe(caller: Caller, instance: AgentInstance) -> HttpResponse:
    """Return the agent as it would answer now; as it answers, for those who only call it."""
    for_managers = manages(caller)
    with tenant_context(caller.account_id):
        state = managed.state_of(instance)
        if (state.effective is None and state.can_answer) or not for_managers:
            state = _serving(caller, instance, state)
    return InstanceDetailOut.of_state(
        caller.account_slug, instance, state, for_managers=for_managers
    ).as_response()


def _serving(caller: Caller, instance: AgentInstance, state: AgentState) -> AgentState:
    """Add what serves now, perhaps an older version; raises AgentMisconfigured."""
    current = current_config(caller.account_slug, instance)
    return replace(state, effective=current.effective)


# Pages of the sites that the agent lists read what it is: salient/api/cors.py asks.
for _route in (agent_detail, agent_change):
    _route.may_call_from = may_call_from  # type: ignore[attr-defined]
all_agents = by_method(agent_list, agent_make)
one_agent = by_method(agent_detail, agent_change)
