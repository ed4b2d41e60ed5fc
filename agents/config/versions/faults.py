"""Says which agents cannot answer and why, and which agents use a model connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from uuid import UUID

from accounts.models import AccountStatus
from agents.config import ConfigError, EffectiveConfig, load
from agents.config.schema import AgentConfig
from agents.connections.connections import current_connections, suspended_connections
from agents.models import AgentInstance, ConfigVersion, InstanceStatus, ProviderConnection
from agents.runtime.providers import connection_name, model_problem


def fault_of(instance: AgentInstance) -> str:
    """Say why the agent cannot answer, and what its callers get; nothing where it can."""
    return faults_of([instance]).get(instance.pk, "")


def faults_of(instances: Iterable[AgentInstance]) -> dict[UUID, str]:
    """Say why agents cannot answer, by their ids; those that can are left out.

    Three queries at most, however many there are. The instances have their accounts. Call it inside
    the platform context.
    """
    rows = list(instances)
    suspended = {row.pk: text for row in rows if (text := suspension(row))}
    configs, broken = configurations(rows)
    found = {pk: f"Its configuration has an error: {error}" for pk, error in broken.items()}
    working = _working_connections(configs)
    uncallable = {
        instance.pk: f"Its model cannot be called: {problem}"
        for instance, config in configs
        if (problem := uncallable_models(config, working[instance.account_id]))
    }
    lost = {
        instance.pk: (instance.account_id, name)
        for instance, config in configs
        if (name := config.needed_connection) and name not in working[instance.account_id]
    }
    stopped = suspended_connections(lost.values()) if lost else {}
    for pk, connection in lost.items():
        reason = stopped.get(connection)
        why = f"suspended: {reason}" if reason else "missing or cannot be read."
        found[pk] = f"Its model connection “{connection[1]}” is {why}"
    answers = {
        # A test key gets scripted answers, whatever the agent's model.
        "502 unknown_model, but for those with a test key": uncallable,
        "503 agent_misconfigured": found,
        "403 suspended": suspended,
    }
    return {
        pk: f"{_sentence(why)} Every call of it gets {answer}."
        for answer, agents in answers.items()
        for pk, why in agents.items()
    }


def _sentence(text: str) -> str:
    """End what staff or a provider wrote, if they did not."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _working_connections(
    configs: Iterable[tuple[AgentInstance, AgentConfig]],
) -> Mapping[UUID, set[str]]:
    """Return the names of the connections that these agents use and that work, by account."""
    named = {
        (instance.account_id, name)
        for instance, config in configs
        for model in config.models
        if (name := connection_name(model)) is not None
    }
    found: defaultdict[UUID, set[str]] = defaultdict(set)
    for account_id, name in current_connections(named) if named else ():
        found[account_id].add(name)
    return found


def uncallable_models(config: AgentConfig, working: Container[str]) -> str:
    """Say why none of the agent's models can be called; nothing where one can.

    `working` names the account's own servers that can be called.
    """
    problems = [model_problem(model, working) for model in config.models]
    return "" if None in problems else problems[0] or ""


def suspension(instance: AgentInstance) -> str:
    """Say that the agent or its account is suspended, and why; nothing where neither is."""
    if instance.suspended_reason:
        return f"It is suspended: {instance.suspended_reason}"
    if instance.account.status == AccountStatus.SUSPENDED:
        return f"Its account is suspended: {instance.account.suspended_reason or 'nobody said why'}"
    return ""


def agents_by_connection(
    connections: Iterable[ProviderConnection],
) -> dict[UUID, list[AgentInstance]]:
    """Return the agents that need each connection, by the connections' ids.

    Archived agents are left out. Two queries at most; call it inside the platform context.
    """
    by_name = {(each.account_id, each.name): each.pk for each in connections}
    found: dict[UUID, list[AgentInstance]] = {pk: [] for pk in by_name.values()}
    rows = AgentInstance.objects.exclude(status=InstanceStatus.ARCHIVED)
    rows = rows.filter(account_id__in={account_id for account_id, _ in by_name})
    configs, _ = configurations(rows.select_related("account").order_by("instance_slug"))
    for instance, config in configs:
        name = config.needed_connection
        if name is not None and (pk := by_name.get((instance.account_id, name))):
            found[pk].append(instance)
    return found


def configurations(
    instances: Iterable[AgentInstance],
) -> tuple[list[tuple[AgentInstance, AgentConfig]], dict[UUID, ConfigError]]:
    """Return what turns would run with, and what is wrong where they cannot run.

    Where files are broken it is the version that served last: one query for all of these.
    """
    configs: list[tuple[AgentInstance, AgentConfig]] = []
    broken: dict[UUID, tuple[AgentInstance, ConfigError]] = {}
    for instance in instances:
        account, slug = instance.folder
        try:
            configs.append((instance, load(account, slug, override=instance.override).config))
        except ConfigError as error:
            broken[instance.pk] = instance, error
    for version in ConfigVersion.objects.newest_served(broken) if broken else ():
        with suppress(ConfigError):
            effective = EffectiveConfig.from_content(version.content, digest=version.digest)
            instance, _ = broken.pop(version.agent_instance_id)
            configs.append((instance, effective.config))
    return configs, {pk: error for pk, (_, error) in broken.items()}
