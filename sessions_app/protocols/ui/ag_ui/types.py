"""The events of AG-UI, as they are sent."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from sessions_app.protocols.ui.outcome import Outcome

PROTOCOL = "1.0"


class RunStartedEvent(TypedDict):
    type: Literal["RUN_STARTED"]
    threadId: str
    runId: str
    protocolVersion: str


class TextMessageStartEvent(TypedDict):
    type: Literal["TEXT_MESSAGE_START"]
    messageId: str
    role: Literal["assistant"]


class TextMessageContentEvent(TypedDict):
    type: Literal["TEXT_MESSAGE_CONTENT"]
    messageId: str
    delta: str


class TextMessageEndEvent(TypedDict):
    type: Literal["TEXT_MESSAGE_END"]
    messageId: str


class ToolCallStartEvent(TypedDict):
    type: Literal["TOOL_CALL_START"]
    toolCallId: str
    toolCallName: str
    parentMessageId: str


class ToolCallArgsEvent(TypedDict):
    """The arguments, whole; of the agent's own tools it is an empty object."""

    type: Literal["TOOL_CALL_ARGS"]
    toolCallId: str
    delta: str


class ToolCallEndEvent(TypedDict):
    type: Literal["TOOL_CALL_END"]
    toolCallId: str


class ToolCallResultEvent(TypedDict):
    """How a call of an agent's own tool ended: `{"status": "done"}`, or `failed`."""

    type: Literal["TOOL_CALL_RESULT"]
    messageId: str
    toolCallId: str
    content: str
    role: Literal["tool"]


class RunUsage(TypedDict):
    """Tokens of the run; provider and model for those who see them."""

    provider: NotRequired[str]
    model: NotRequired[str]
    inputTokens: int
    outputTokens: int
    totalTokens: int
    cachedInputTokens: int
    reasoningTokens: int


class RunFinishedEvent(TypedDict):
    """Without an outcome, which clients before 1.0 read in another form: the run went well."""

    type: Literal["RUN_FINISHED"]
    threadId: str
    runId: str
    usage: list[RunUsage]
    result: Outcome


class RunErrorMetadata(TypedDict):
    salient: Outcome


class RunErrorEvent(TypedDict):
    """Ends a run that failed; `code` is that of the problem."""

    type: Literal["RUN_ERROR"]
    message: str
    code: str
    usage: list[RunUsage]
    metadata: RunErrorMetadata


type RunEvent = (
    RunStartedEvent
    | TextMessageStartEvent
    | TextMessageContentEvent
    | TextMessageEndEvent
    | ToolCallStartEvent
    | ToolCallArgsEvent
    | ToolCallEndEvent
    | ToolCallResultEvent
    | RunFinishedEvent
    | RunErrorEvent
)
# None has an `event:` line.
EVENTS: dict[str, Any] = {"": RunEvent}
