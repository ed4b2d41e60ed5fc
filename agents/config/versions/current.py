"""The configuration that an instance runs with now, and the row that stores it for good."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from agents.config import ConfigError, EffectiveConfig, load
from agents.connections.connections import connections_for
from agents.models import AgentInstance, ConfigVersion
from agents.runtime.providers import Connection
from agents.runtime.providers.base import ChatMessage
from agents.runtime.run import RunRequest
from salient.api.problems import Unavailable
from salient.ttl import TTLCache

logger = logging.getLogger(__name__)

# Which version of an instance this process serves: digest and row.
_serving: TTLCache[UUID, tuple[str, UUID]] = TTLCache(seconds=3600, of_rows=False)


# The versions of drafts that were tried out here: instance and digest.
_tried: TTLCache[tuple[UUID, str], UUID] = TTLCache(seconds=3600, of_rows=False)

# Which errors of an instance this process has logged; each of its turns meets the same error.
_logged: TTLCache[UUID, str] = TTLCache(seconds=3600, of_rows=False)

# How many of the versions that served are tried, when files or what was published are broken.
MOST_TRIED = 5


class AgentMisconfigured(Unavailable):
    """The agent's files are broken and it never had good ones, or its model connection does not
    work.
    """

    code = "agent_misconfigured"
    # What would have run; None where no configuration could be read.
    current: CurrentConfig | None = None


class CurrentConfig(msgspec.Struct, frozen=True):
    """What serves now, and the account's own model servers that it names."""

    effective: EffectiveConfig
    version_id: UUID
    connections: Mapping[str, Connection] = msgspec.field(default_factory=dict)

    def run_request(
        self, messages: Sequence[ChatMessage], *, stream: bool, max_tokens: int | None = None
    ) -> RunRequest:
        return self.effective.config.run_request(
            messages, stream=stream, connections=self.connections, max_tokens=max_tokens
        )


def current_config(
    account_slug: str, instance: AgentInstance, *, draft: Mapping[str, Any] | None = None
) -> CurrentConfig:
    """Return what is in force: the files and what was published over them.

    When they are broken it is the last version that worked. With a draft it is what would be in
    force if the draft were published; it is never recorded as served. Call it inside the
    tenant context. Raises AgentMisconfigured when there is nothing to serve.
    """
    if draft is not None:
        return _connected(instance, _tried_out(account_slug, instance, draft))
    try:
        effective = load(*instance.folder_in(account_slug), override=instance.override)
    except ConfigError as error:
        current = _last_good(instance, error)
    else:
        current = CurrentConfig(effective, _version_id(instance, effective))
    return _connected(instance, current)


def known_config(account_slug: str, instance: AgentInstance) -> CurrentConfig | None:
    """Return what is in force if this process has it cached; needs no tenant context.

    One that is new, broken, or names an account's own model server is not known.
    """
    try:
        effective = load(*instance.folder_in(account_slug), override=instance.override)
    except ConfigError:
        return None
    digest, version_id = _serving.get(instance.id) or ("", None)
    if version_id is None or digest != effective.digest or effective.config.names_connection:
        return None
    return CurrentConfig(effective, version_id)


def _tried_out(
    account_slug: str, instance: AgentInstance, draft: Mapping[str, Any]
) -> CurrentConfig:
    try:
        effective = load(*instance.folder_in(account_slug), override=draft)
    except ConfigError as error:
        raise AgentMisconfigured(f"The draft cannot be used: {error}") from error
    key = instance.pk, effective.digest
    version_id = _tried.get(key)
    if version_id is None:
        version_id = ensure_version(instance, effective, serves=False)
        transaction.on_commit(partial(_tried.put, key, version_id))
    return CurrentConfig(effective, version_id)


def ensure_version(instance: AgentInstance, effective: EffectiveConfig, *, serves: bool) -> UUID:
    """Return the row of a configuration; make it when it is new."""
    return ConfigVersion.objects.ensure(
        instance, digest=effective.digest, content=dict(effective.content), serves=serves
    )


def _connected(instance: AgentInstance, current: CurrentConfig) -> CurrentConfig:
    """Add the connections; a missing one is a fault when it is the wanted model's."""
    config = current.effective.config
    wanted = config.needed_connection
    connections = connections_for(instance.account_id, config.models)
    if wanted is not None and wanted not in connections:
        logger.error(
            "Agent %s wants the connection %s, which does not work",
            instance.instance_slug,
            wanted,
        )
        problem = AgentMisconfigured(f"This agent's model connection “{wanted}” does not work.")
        problem.current = current
        raise problem
    return msgspec.structs.replace(current, connections=connections) if connections else current


def _version_id(instance: AgentInstance, effective: EffectiveConfig) -> UUID:
    digest, version_id = _serving.get(instance.pk) or ("", None)
    if version_id is None or digest != effective.digest:
        version_id = ensure_version(instance, effective, serves=True)
        served = (effective.digest, version_id)
        # Only what is committed: another thread's transaction could not refer to the row yet.
        transaction.on_commit(lambda: _serving.put(instance.pk, served))
    return version_id


def _last_good(instance: AgentInstance, error: ConfigError) -> CurrentConfig:
    reason: ConfigError = error
    for version in ConfigVersion.objects.served(instance)[:MOST_TRIED]:
        try:
            effective = EffectiveConfig.from_content(
                version.content, digest=version.digest, error=str(error)
            )
        except ConfigError as outdated:
            reason = outdated
        else:
            _log_once(instance, f"serves its last good configuration: {error}")
            return CurrentConfig(effective, version.pk)
    _log_once(instance, f"cannot start: {reason}")
    text = "This agent's configuration has an error; its owner can see it."
    raise AgentMisconfigured(text) from reason


def _log_once(instance: AgentInstance, what: str) -> None:
    if _logged.get(instance.pk) != what:
        _logged.put(instance.pk, what)
        logger.error("Agent %s %s", instance.instance_slug, what)
