"""What an account offers, as the API tells it."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from accounts.auth import visitor_tokens
from accounts.auth.decorators import ApiRequest, api_view
from accounts.models import Scope
from accounts.tenancy.context import tenant_context
from agents.api.decorators import instance_view
from agents.api.schemas import InstanceDetailOut, InstanceOut, InstancesOut, VisitorIn, VisitorOut
from agents.config.versions.current import AgentMisconfigured, CurrentConfig, current_config
from agents.instances.services import active_instances, start_visitor
from agents.models import AgentInstance
from salient.api.schemas import NamedListIn
from salient.cursor import page_by_name
from salient.database import in_database


@api_view("GET", scope=Scope.AGENTS_READ, query=NamedListIn, answer=InstancesOut)
async def agent_list(request: ApiRequest, *, query: NamedListIn) -> InstancesOut:
    """List the account's active instances."""
    caller = request.caller
    found = await in_database(
        active_instances,
        caller.account_id,
        caller.instance_ids,
        after=query.cursor,
        limit=query.limit,
    )
    shown, cursor = page_by_name(found, query.limit, "instance_slug")
    data = [InstanceOut.of(instance) for instance in shown]
    return InstancesOut.of_page(data, cursor, account=caller.account_slug, instances=data)


@instance_view(
    "GET", scope=Scope.AGENTS_READ, answer=InstanceDetailOut, problems=(AgentMisconfigured,)
)
async def agent_detail(request: ApiRequest, instance: AgentInstance) -> InstanceDetailOut:
    """Describe one instance."""
    caller = request.caller
    current = await in_database(_current, caller.account_id, caller.account_slug, instance)
    return InstanceDetailOut.of_config(caller.account_slug, instance, current.effective)


@instance_view(
    "POST", scope=Scope.VISITORS_WRITE, body=VisitorIn, answer=VisitorOut, status=HTTPStatus.CREATED
)
async def visitor_start(
    request: ApiRequest, instance: AgentInstance, *, body: VisitorIn
) -> VisitorOut:
    """Start a visitor of an embed, or name the account's end user: a token and its end."""
    token = start_visitor(request.caller, instance.pk, body)
    return VisitorOut(token=visitor_tokens.write_token(token), expires_at=token.expires_at)


def _current(account_id: UUID, account_slug: str, instance: AgentInstance) -> CurrentConfig:
    with tenant_context(account_id):
        return current_config(account_slug, instance)
