"""The keys of an agent's configuration, their rules and their defaults."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from agents.config.errors import closest, legible
from agents.runtime.providers import (
    Connection,
    connection_name,
    model_exists,
    model_problem,
)
from agents.runtime.providers.base import ChatMessage
from agents.runtime.run import RunRequest
from agents.runtime.run import Timeouts as RunTimeouts
from agents.runtime.tools import tool_names

AGENT_TYPES = ("simple_chat",)
# The type of an error whose message needs no "…, not <value>" behind it.
COMPLETE = "complete"
# As long as the columns of a request are.
LONGEST_PROVIDER, LONGEST_MODEL = 50, 255
# Letters, signs and marks that show nothing, though Unicode calls them printable.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0]")


def _storable(text: str) -> str:
    # PostgreSQL stores neither a NUL nor half of a surrogate pair.
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise PydanticCustomError(COMPLETE, "holds a character that cannot be stored")
    return text


def _spoken(text: str) -> str:
    # A file that is being written may be empty for a moment, which must not become the prompt.
    if not text.strip():
        raise PydanticCustomError(COMPLETE, "must not be blank")
    return text


def _agent_type(name: str) -> str:
    if name not in AGENT_TYPES:
        raise _unknown("agent type", name, AGENT_TYPES)
    return name


def _tool(name: str) -> str:
    if name not in tool_names():
        raise _unknown("tool", name, tool_names())
    return name


def _model(name: str) -> str:
    provider, colon, model = name.partition(":")
    if len(provider) > LONGEST_PROVIDER or len(model) > LONGEST_MODEL:
        raise PydanticCustomError(
            COMPLETE, f"must have at most {LONGEST_MODEL} characters after the provider's name"
        )
    if (hidden := invisible(name)) is not None:
        raise PydanticCustomError(COMPLETE, "{hidden}", {"hidden": hidden})
    # What is not installed or has no key here is no fault of the file: other machines read it too.
    if not (colon and model.strip() and model_exists(provider, model)):
        problem = model_problem(name) or f'There is no provider "{provider}".'
        raise PydanticCustomError(COMPLETE, "{problem}", {"problem": legible(problem, limit=300)})
    return name


def invisible(name: str) -> str | None:
    """Name the invisible character of a model's name, and its place."""
    for place, char in enumerate(name):
        if not char.isprintable() or _BLANK.match(char):
            called = unicodedata.name(char, "a control character").lower()
            where = f'after "{legible(name[:place])}"' if place else "at its beginning"
            return f"holds the invisible character U+{ord(char):04X} ({called}) {where}"
    provider, _, model = name.partition(":")
    if model.strip() and (provider != provider.strip() or model != model.strip()):
        return "must have no space at its ends or beside the colon"
    return None


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise PydanticCustomError(COMPLETE, "must not name anything twice")
    return names


def _unknown(kind: str, name: str, known: Sequence[str]) -> PydanticCustomError:
    context = {
        "text": f'"{legible(name)}" is no {kind} (known: {", ".join(known)})',
        "suggestion": closest(name, known),
    }
    return PydanticCustomError(COMPLETE, "{text}", context)


type Text = Annotated[str, AfterValidator(_storable)]
type Spoken = Annotated[Text, AfterValidator(_spoken)]
type ModelName = Annotated[Text, AfterValidator(_model)]
type ToolName = Annotated[Text, AfterValidator(_tool)]
type Seconds = Annotated[float, Field(gt=0, le=600)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Timeouts(_Strict):
    """How many seconds to wait for a model server."""

    connect: Seconds = 5.0
    first_token: Seconds = 30.0
    stall: Seconds = 20.0
    total: Seconds = 180.0


class Callers(_Strict):
    """What callers of the API may add to a turn."""

    instructions: bool = False
    tools: bool = True
    attachments: bool = True
    sampling: bool = True
    max_temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class Visitors(_Strict):
    """What visitors and end users are told of a turn besides its answer."""

    show_model: bool = False
    show_usage: bool = False
    show_cost: bool = False


class AgentConfig(_Strict):
    """How one agent instance behaves; docs/configuration.md explains every key."""

    agent_type: Annotated[Text, AfterValidator(_agent_type)] = "simple_chat"
    display_name: Annotated[Spoken, Field(max_length=255)] | None = None
    model: ModelName
    # YAML has lists where Python has tuples: strict mode would refuse them.
    fallback_models: Annotated[
        tuple[ModelName, ...], Field(strict=False, max_length=5), AfterValidator(_distinct)
    ] = ()
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    system_prompt: Annotated[Spoken, Field(max_length=64 * 1024)]
    history_limit: Annotated[int, Field(ge=0, le=200)] = 20
    tools: Annotated[
        tuple[ToolName, ...], Field(strict=False, max_length=64), AfterValidator(_distinct)
    ] = ()
    timeouts: Timeouts = Timeouts()
    retries: Annotated[int, Field(ge=0, le=5)] = 2
    max_tool_rounds: Annotated[int, Field(ge=0, le=20)] = 5
    opening_message: Annotated[Spoken, Field(max_length=8_000)] | None = None
    callers: Callers = Callers()
    visitors: Visitors = Visitors()

    @cached_property
    def names_connection(self) -> bool:
        """Whether one of the models is on the account's own server."""
        return any(connection_name(model) is not None for model in self.models)

    @property
    def needed_connection(self) -> str | None:
        """The account's own server without which the agent answers nobody, whatever its fallbacks.

        None where the wanted model is on another one.
        """
        return connection_name(self.model)

    @property
    def models(self) -> tuple[str, ...]:
        """The wanted model, then its fallbacks, each once."""
        return tuple(dict.fromkeys((self.model, *self.fallback_models)))

    def run_request(
        self,
        messages: Sequence[ChatMessage],
        *,
        stream: bool,
        connections: Mapping[str, Connection] | None = None,
        max_tokens: int | None = None,
    ) -> RunRequest:
        """Return the run of this agent for these messages.

        `max_tokens` takes the place of its own.
        """
        return replace(
            self._base_request,
            messages=tuple(messages),
            stream=stream,
            connections=connections or {},
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
        )

    @cached_property
    def _base_request(self) -> RunRequest:
        """The fields that are the same for every turn."""
        return RunRequest(
            models=self.models,
            system_prompt=self.system_prompt,
            messages=(),
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            tools=self.tools,
            timeouts=RunTimeouts(**self.timeouts.model_dump()),
            retries=self.retries,
            max_tool_rounds=self.max_tool_rounds,
        )


def code_defaults() -> dict[str, Any]:
    """Return the defaults: every value without any file."""
    fields = AgentConfig.model_fields.items()
    given = {name: field.get_default() for name, field in fields if not field.is_required()}
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return list(value) if isinstance(value, tuple) else value
