"""Ends running turns whose agent was stopped, or whose model connection was changed or deleted.

A turn names both as its requirement; accounts/auth/revocation.py asks about them every few seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from accounts.auth.revocation import Revoked, recheck
from accounts.tenancy.context import platform_context
from agents.connections.connections import current_connections
from agents.models import AgentInstance
from agents.runtime.providers import Connection


class AgentDeactivated(Revoked):
    """The agent was deactivated, suspended or archived while the answer ran; the received part is
    stored.

    What to do: activate or resume the agent if it was not meant; its history says who stopped it.
    """

    code = "agent_deactivated"

    def __init__(self) -> None:
        super().__init__("The agent was deactivated, suspended or archived while it answered.")


class ConnectionChanged(Revoked):
    """The agent's model connection was changed or deleted while the answer ran; the received part
    is stored.

    What to do: send the message again; if the connection was deleted, choose another in the
    agent's configuration.
    """

    code = "connection_changed"

    def __init__(self) -> None:
        super().__init__(
            "The agent's model connection was changed or deleted while the agent answered."
        )


@dataclass(frozen=True, slots=True)
class AgentUse:
    """The agent that a turn runs, and the account's own model servers that it may call."""

    account_id: UUID
    instance_id: UUID
    connections: tuple[Connection, ...] = ()


@recheck(AgentUse)
def ended(uses: Collection[AgentUse]) -> dict[AgentUse, type[Revoked]]:
    """Read all agents in one query and, where any is used, all connections in another."""
    ids = {use.instance_id for use in uses}
    names = {(use.account_id, each.name) for use in uses for each in use.connections}
    with platform_context():
        active = set(
            AgentInstance.objects.serving().filter(pk__in=ids).values_list("pk", flat=True)
        )
        current = current_connections(names) if names else {}
    found: dict[AgentUse, type[Revoked]] = {}
    for use in uses:
        if use.instance_id not in active:
            found[use] = AgentDeactivated
        elif any(current.get((use.account_id, each.name)) != each for each in use.connections):
            found[use] = ConnectionChanged
    return found
