"""The API's shapes for agents: what callers see of one, and what those who manage it change."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field

from agents.config.yaml.source import MAX_BYTES
from agents.instances.managed import AgentState
from agents.models import AgentInstance, InstanceStatus
from salient.api.schemas import In, ListOut, NamedListIn, Origin, Out, Printable

MOST_ORIGINS = 100
NO_NUL = r"^[^\x00]*$"

type Status = Literal["active", "inactive", "archived"]
type DisplayName = Annotated[Printable, Field(min_length=1, max_length=255)]
type Origins = Annotated[list[Origin], Field(max_length=MOST_ORIGINS)]
# YAML, as in an agent's config.yaml.
type ConfigText = Annotated[str, Field(max_length=MAX_BYTES, pattern=NO_NUL)]


class AgentsIn(NamedListIn):
    """Which agents to list; others than active ones for those who manage agents."""

    status: Literal["active", "inactive", "archived", "all"] = "active"


class AgentIn(In):
    """A new agent. `config` is published as its first version; without it the files decide."""

    instance_slug: Annotated[Printable, Field(min_length=1, max_length=63)]
    display_name: DisplayName | None = None
    allowed_origins: Origins = []
    config: ConfigText = ""


class AgentChangeIn(In):
    """What is to change of an agent. Its old URLs answer 308 for 90 days after a new slug."""

    # An empty text is no default that the document may name.
    instance_slug: Annotated[Printable, Field(min_length=1, max_length=63)] = Field(
        default_factory=str
    )
    display_name: DisplayName = ""
    allowed_origins: Origins = []
    status: Status = "active"


class InstanceOut(Out):
    """An agent of the account."""

    id: UUID
    instance_slug: str
    agent_type: str
    display_name: str
    status: InstanceStatus
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, instance: AgentInstance) -> InstanceOut:
        return cls(**facts_of(instance))


class InstancesOut(ListOut[InstanceOut]):
    """Agents by slug; `instances` is another name of `data`."""

    account: str
    instances: list[InstanceOut]


class InstanceDetailOut(InstanceOut):
    """What a caller may know of how an agent is set up; its prompt stays with who manages it.

    `model`, `tools` and `config_version` are null where nothing is in force, which only those who
    manage the agent are answered. `allowed_origins` are for them too.
    """

    account: str
    can_answer: bool
    published_version: int | None
    model: str | None
    tools: list[str] | None
    opening_message: str | None
    config_version: str | None
    allowed_origins: list[str] | None

    @classmethod
    def of_state(
        cls, account: str, instance: AgentInstance, state: AgentState, *, for_managers: bool
    ) -> Self:
        effective = state.effective
        config = effective.config if effective else None
        return cls(
            **facts_of(instance),
            account=account,
            can_answer=state.can_answer,
            published_version=state.published_version,
            model=config.model if config else None,
            tools=list(config.tools) if config else None,
            opening_message=config.opening_message if config else None,
            config_version=effective.digest[:12] if effective else None,
            allowed_origins=instance.allowed_origins if for_managers else None,
        )


def facts_of(instance: AgentInstance) -> dict[str, Any]:
    facts = {name: getattr(instance, name) for name in InstanceOut.model_fields}
    return facts | {"status": InstanceStatus(instance.status)}
