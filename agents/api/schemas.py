"""The API's shapes for agents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from django.conf import settings
from pydantic import AfterValidator, Field, model_validator

from agents.config import EffectiveConfig
from agents.models import AgentInstance
from salient.api.origins import is_origin
from salient.api.problems import FieldError
from salient.api.schemas import In, ListOut, Out

LONGEST_END_USER_SECONDS = 24 * 3600


class InstanceOut(Out):
    """An agent; paths name it by its slug."""

    id: UUID
    instance_slug: str
    agent_type: str
    display_name: str
    created_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, instance: AgentInstance) -> InstanceOut:
        return cls(**_facts(instance))


class InstancesOut(ListOut[InstanceOut]):
    """Active agents by slug; `instances` is another name of `data`."""

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


def _a_name(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("use printable characters, without spaces at the ends")
    return text


def _an_origin(text: str) -> str:
    if not is_origin(text):
        raise ValueError("write it as browsers do: https://shop.example")
    return text


class VisitorIn(In):
    """Whom a token shall stand for: nobody known, or (`sub`) the account's own end user."""

    sub: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_a_name)] | None = None
    expires_in: Annotated[int, Field(ge=1)] | None = None
    # The token then works from pages of this origin alone.
    origin: Annotated[str, AfterValidator(_an_origin)] | None = None

    @model_validator(mode="after")
    def _not_too_long(self) -> Self:
        longest = settings.VISITOR_TOKEN_SECONDS if self.sub is None else LONGEST_END_USER_SECONDS
        if self.expires_in is not None and self.expires_in > longest:
            raise FieldError("expires_in", f"at most {longest} seconds")
        return self


class VisitorOut(Out):
    """Sent as `Authorization: Bearer`; it opens this visitor's conversations and no others."""

    token: str
    expires_at: datetime


def _facts(instance: AgentInstance) -> dict[str, Any]:
    return {name: getattr(instance, name) for name in InstanceOut.model_fields}
