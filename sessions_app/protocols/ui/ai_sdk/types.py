"""The chunks of a UI-message stream, as they are sent."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from sessions_app.protocols.ui.outcome import Outcome

HEADERS = {"X-Vercel-AI-UI-Message-Stream": "v1"}


class MessageMetadata(TypedDict):
    """What becomes the message's `metadata`."""

    salient: Outcome


class StartChunk(TypedDict):
    """`messageId` is the id of the stored answer, or of the message that goes on.

    A stream that is resumed has none: the page knows whether one of its messages goes on.
    """

    type: Literal["start"]
    messageId: NotRequired[str]


class StepChunk(TypedDict):
    type: Literal["start-step", "finish-step"]


class TextBoundaryChunk(TypedDict):
    type: Literal["text-start", "text-end"]
    id: str


class TextDeltaChunk(TypedDict):
    type: Literal["text-delta"]
    id: str
    delta: str


class ToolInputStartChunk(TypedDict):
    """Begins a call; those of the agent's own tools are dynamic and executed by the provider."""

    type: Literal["tool-input-start"]
    toolCallId: str
    toolName: str
    dynamic: NotRequired[bool]
    providerExecuted: NotRequired[bool]


class ToolInputDeltaChunk(TypedDict):
    type: Literal["tool-input-delta"]
    toolCallId: str
    inputTextDelta: str


class ToolInputAvailableChunk(TypedDict):
    """The arguments, whole; of the agent's own tools it is an empty object."""

    type: Literal["tool-input-available"]
    toolCallId: str
    toolName: str
    input: Any
    dynamic: NotRequired[bool]
    providerExecuted: NotRequired[bool]


class ToolStatus(TypedDict):
    status: str


class ToolOutputAvailableChunk(TypedDict):
    """A call of an agent's own tool went well."""

    type: Literal["tool-output-available"]
    toolCallId: str
    output: ToolStatus
    dynamic: bool
    providerExecuted: bool


class ToolOutputErrorChunk(TypedDict):
    """A call of an agent's own tool failed; the model goes on."""

    type: Literal["tool-output-error"]
    toolCallId: str
    errorText: str
    dynamic: bool
    providerExecuted: bool


class FinishChunk(TypedDict):
    type: Literal["finish"]
    finishReason: Literal["stop", "length", "content-filter", "tool-calls", "other"]
    messageMetadata: MessageMetadata


class MetadataChunk(TypedDict):
    """Comes before the error of a turn that failed."""

    type: Literal["message-metadata"]
    messageMetadata: MessageMetadata


class ErrorChunk(TypedDict):
    """`errorText` is a problem document, as the body of a refused call is."""

    type: Literal["error"]
    errorText: str


type UIChunk = (
    StartChunk
    | StepChunk
    | TextBoundaryChunk
    | TextDeltaChunk
    | ToolInputStartChunk
    | ToolInputDeltaChunk
    | ToolInputAvailableChunk
    | ToolOutputAvailableChunk
    | ToolOutputErrorChunk
    | FinishChunk
    | MetadataChunk
    | ErrorChunk
)
# None has an `event:` line.
EVENTS: dict[str, Any] = {"": UIChunk}
