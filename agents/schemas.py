"""The API's shapes for agents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agents.config import EffectiveConfig
from agents.models import AgentInstance
from salient.shapes import Out


class InstanceOut(Out):
    instance_slug: str
    agent_type: str
    display_name: str
    last_used_at: datetime | None

    @classmethod
    def of(cls, instance: AgentInstance) -> InstanceOut:
        return cls(**_facts(instance))


class InstancesOut(Out):
    account: str
    instances: list[InstanceOut]


class InstanceDetailOut(InstanceOut):
    """What a caller may know of how an agent is set up; its prompt stays with its owner."""

    account: str
    model: str
    tools: list[str]
    opening_message: str | None
    config_version: str

    @classmethod
    def of_config(
        cls, account: str, instance: AgentInstance, effective: EffectiveConfig
    ) -> InstanceDetailOut:
        config = effective.config
        return cls(
            **_facts(instance),
            account=account,
            model=config.model,
            tools=list(config.tools),
            opening_message=config.opening_message,
            config_version=effective.digest[:12],
        )


def _facts(instance: AgentInstance) -> dict[str, Any]:
    return {name: getattr(instance, name) for name in InstanceOut.model_fields}
