"""What clients of AG-UI send: a RunAgentInput, as `@ag-ui/core` 1.0 describes it.

Fields that we do not know are not read, and neither are `state` and `forwardedProps`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from sessions_app.openai.schemas import MOST_MESSAGES, MOST_TOOLS, Known, Name

type Id = Annotated[str, Field(min_length=1, max_length=255)]


class Sent(Known):
    """An object whose fields are written in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class TextPart(Sent):
    type: Literal["text"]
    text: str


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


type Part = Annotated[TextPart | MediaPart | BinaryPart, Field(discriminator="type")]


class InstructionMessage(Sent):
    id: str
    role: Literal["system", "developer"]
    content: str


class UserMessage(Sent):
    id: str
    role: Literal["user"]
    content: str | list[Part]


class CalledFunction(Sent):
    name: Annotated[str, Field(max_length=64)]
    arguments: str


class ToolCallIn(Sent):
    id: Annotated[str, Field(min_length=1, max_length=128)]
    function: CalledFunction


class AssistantMessage(Sent):
    id: str
    role: Literal["assistant"]
    content: str | None = None
    tool_calls: Annotated[list[ToolCallIn], Field(max_length=MOST_TOOLS)] | None = None


class ToolMessage(Sent):
    """The result of a call; `error` says that it failed."""

    id: str
    role: Literal["tool"]
    tool_call_id: str
    content: str | list[Part]
    error: str | None = None


class OtherMessage(Sent):
    """What an interface shows beside the conversation; it is not read."""

    role: Literal["activity", "reasoning"]


type MessageIn = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage | OtherMessage,
    Field(discriminator="role"),
]


class ToolIn(Sent):
    """A tool of the client's; `parameters` is a JSON schema."""

    name: Name
    description: Annotated[str, Field(max_length=8_000)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ContextIn(Sent):
    description: str
    value: str


class RunIn(Sent):
    """A run: the whole thread as the client has it, its tools, and what the agent is to know.

    `threadId` names the conversation for this caller, or is the id of a session. `context` and the
    messages with the roles `system` and `developer` are instructions.
    """

    thread_id: Id
    run_id: Id
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=MOST_MESSAGES)]
    tools: Annotated[list[ToolIn], Field(max_length=MOST_TOOLS)] | None = None
    context: Annotated[list[ContextIn], Field(max_length=MOST_MESSAGES)] | None = None
    # Answers to interrupts, of which an agent here makes none.
    resume: list[Any] | None = None
