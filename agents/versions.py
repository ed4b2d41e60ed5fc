"""Which configuration an instance runs with now, and the row that remembers it for ever."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from agents.config import ConfigError, EffectiveConfig, load
from agents.models import AgentInstance, ConfigVersion
from salient.problems import Unavailable
from salient.ttl import TTLCache

logger = logging.getLogger(__name__)

# Which version of an instance this process serves: digest and row.
_serving: TTLCache[UUID, tuple[str, UUID]] = TTLCache(seconds=3600)


class AgentMisconfigured(Unavailable):
    """The instance's files are broken and no version that worked is known."""

    code = "agent_misconfigured"


@dataclass(frozen=True, slots=True)
class CurrentConfig:
    effective: EffectiveConfig
    version_id: UUID


def current_config(account_slug: str, instance: AgentInstance) -> CurrentConfig:
    """Return what the files say now, or the last version that worked when they are broken.

    Call it inside the tenant's door. Raises AgentMisconfigured when there is nothing to serve.
    """
    try:
        effective = load(account_slug, instance.instance_slug)
    except ConfigError as error:
        return _last_good(instance, error)
    return CurrentConfig(effective, _version_id(instance, effective))


def _version_id(instance: AgentInstance, effective: EffectiveConfig) -> UUID:
    digest, version_id = _serving.get(instance.pk) or ("", None)
    if version_id is None or digest != effective.digest:
        version_id = ConfigVersion.objects.ensure(
            instance, digest=effective.digest, content=dict(effective.content)
        )
        served = (effective.digest, version_id)
        # Only what is committed: another thread's transaction could not refer to the row yet.
        transaction.on_commit(lambda: _serving.put(instance.pk, served))
    return version_id


def _last_good(instance: AgentInstance, error: ConfigError) -> CurrentConfig:
    version = ConfigVersion.objects.last_served(instance)
    if version is None:
        raise _misconfigured(instance, error)
    try:
        effective = EffectiveConfig.from_content(
            version.content, digest=version.digest, error=str(error)
        )
    except ConfigError as outdated:
        raise _misconfigured(instance, outdated) from outdated
    logger.error("Agent %s serves its last good configuration: %s", instance.instance_slug, error)
    return CurrentConfig(effective, version.pk)


def _misconfigured(instance: AgentInstance, error: ConfigError) -> AgentMisconfigured:
    logger.error("Agent %s cannot start: %s", instance.instance_slug, error)
    return AgentMisconfigured("This agent's configuration has an error; its owner can see it.")
