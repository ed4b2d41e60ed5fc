"""What clients of AG-UI send: a RunAgentInput, as `@ag-ui/core` 1.0 describes it.

Fields that we do not know are not read, and neither are `state` and `forwardedProps`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from sessions_app.protocols.openai.schemas import (
    MOST_MESSAGES,
    MOST_TOOLS,
    CalledFunction,
    Known,
    Name,
    TextPart,
)

type Id = Annotated[str, Field(min_length=1, max_length=255)]


class Sent(Known):
    """An object whose fields are written in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class DataSource(Sent):
    type: Literal["data"]
    value: str


class URLSource(Sent):
    type: Literal["url"]
    value: str


class FileSource(Sent):
    type: Literal["file"]


class MediaPart(Sent):
    """Images and documents are read; audio and video are refused."""

    type: Literal["image", "document", "audio", "video"]
    source: Annotated[DataSource | URLSource | FileSource, Field(discriminator="type")]


class BinaryPart(Sent):
    """What clients before 1.0 send instead of images and documents."""

    type: Literal["binary"]
    url: str | None = None
    data: str | None = None
    filename: Annotated[str, Field(max_length=255)] | None = None


type RunPart = Annotated[TextPart | MediaPart | BinaryPart, Field(discriminator="type")]


class RunInstruction(Sent):
    id: str
    role: Literal["system", "developer"]
    content: str


class RunUserMessage(Sent):
    id: str
    role: Literal["user"]
    content: str | list[RunPart]


class RunToolCall(Sent):
    id: Annotated[str, Field(min_length=1, max_length=128)]
    function: CalledFunction


class RunAnswer(Sent):
    id: str
    role: Literal["assistant"]
    content: str | None = None
    tool_calls: Annotated[list[RunToolCall], Field(max_length=MOST_TOOLS)] | None = None


class RunToolMessage(Sent):
    """The result of a call; `error` says that it failed."""

    id: str
    role: Literal["tool"]
    tool_call_id: str
    content: str | list[RunPart]
    error: str | None = None


class RunOtherMessage(Sent):
    """What an interface shows beside the conversation; it is not read."""

    role: Literal["activity", "reasoning"]


type RunMessage = Annotated[
    RunInstruction | RunUserMessage | RunAnswer | RunToolMessage | RunOtherMessage,
    Field(discriminator="role"),
]


class RunTool(Sent):
    """A tool of the client's; `parameters` is a JSON schema."""

    name: Name
    description: Annotated[str, Field(max_length=8_000)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class RunContext(Sent):
    description: str
    value: str


class RunIn(Sent):
    """A run: the whole thread as the client has it, its tools, and what the agent is to know.

    `threadId` names the conversation for this caller, or is the id of a session. `context` and the
    messages with the roles `system` and `developer` are instructions.
    """

    thread_id: Id
    run_id: Id
    messages: Annotated[list[RunMessage], Field(min_length=1, max_length=MOST_MESSAGES)]
    tools: Annotated[list[RunTool], Field(max_length=MOST_TOOLS)] | None = None
    context: Annotated[list[RunContext], Field(max_length=MOST_MESSAGES)] | None = None
    # Answers to interrupts, of which an agent here makes none.
    resume: list[Any] | None = None
