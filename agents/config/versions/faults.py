"""Says which agents cannot answer, and why; and which agents a model connection answers for."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from agents.config import ConfigError, load
from agents.config.schema import AgentConfig
from agents.config.versions.current import last_good
from agents.connections.connections import current_connections
from agents.models import AgentInstance, InstanceStatus, ProviderConnection
from agents.runtime.providers import connection_name


def fault_of(instance: AgentInstance) -> str:
    """Say why calls of the agent are answered 503; nothing where they are not."""
    return faults_of([instance]).get(instance.pk, "")


def faults_of(instances: Iterable[AgentInstance]) -> dict[UUID, str]:
    """Say why agents cannot answer, by their ids; those that can are left out.

    One query for all connections that they name, and one for each agent with broken files. The
    instances have their accounts. Call it inside the platform context.
    """
    found: dict[UUID, str] = {}
    wanted: dict[UUID, tuple[UUID, str]] = {}
    for instance in instances:
        try:
            config = _config_of(instance)
        except ConfigError as error:
            found[instance.pk] = f"Its configuration has an error: {error}"
        else:
            if (name := _needed(config)) is not None:
                wanted[instance.pk] = instance.account_id, name
    working = current_connections(wanted.values()) if wanted else {}
    for pk, connection in wanted.items():
        if connection not in working:
            found[pk] = f"Its model connection “{connection[1]}” is missing or cannot be read."
    return found


def agents_by_connection(
    connections: Iterable[ProviderConnection],
) -> dict[UUID, list[AgentInstance]]:
    """Return the agents whose model is called through each connection, by the connections' ids.

    Archived agents are left out. One query; call it inside the platform context.
    """
    by_name = {(each.account_id, each.name): each.pk for each in connections}
    found: dict[UUID, list[AgentInstance]] = {pk: [] for pk in by_name.values()}
    rows = AgentInstance.objects.exclude(status=InstanceStatus.ARCHIVED)
    rows = rows.filter(account_id__in={account_id for account_id, _ in by_name})
    for instance in rows.select_related("account").order_by("instance_slug"):
        try:
            name = _needed(_config_of(instance))
        except ConfigError:
            continue
        if name is not None and (pk := by_name.get((instance.account_id, name))):
            found[pk].append(instance)
    return found


def _config_of(instance: AgentInstance) -> AgentConfig:
    """Return what a turn would run with; raises ConfigError where it could not."""
    try:
        account, slug = instance.account.slug, instance.instance_slug
        return load(account, slug, override=instance.override).config
    except ConfigError as error:
        return last_good(instance, error).effective.config


def _needed(config: AgentConfig) -> str | None:
    """Return the connection without which the agent does not answer, whatever its fallbacks."""
    return connection_name(config.model.partition(":")[0])
