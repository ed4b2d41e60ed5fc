"""Responses and the events of their streams, as they are sent."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from sessions_app.protocols.openai.types import Extra

type Status = Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]
type ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(TypedDict):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


class OutputMessage(TypedDict):
    type: Literal["message"]
    id: str
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText]


class OutputCall(TypedDict):
    type: Literal["function_call"]
    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


type OutputItem = OutputMessage | OutputCall


class InputText(TypedDict):
    type: Literal["input_text"]
    text: str


class UserMessage(TypedDict):
    type: Literal["message"]
    id: str
    status: ItemStatus
    role: Literal["user"]
    content: list[InputText]


class OutputOfCall(TypedDict):
    type: Literal["function_call_output"]
    id: str
    status: ItemStatus
    call_id: str
    output: str


type InputItem = UserMessage | OutputMessage | OutputCall | OutputOfCall


class InputItemsOut(TypedDict):
    """A page of what a response was made of; `last_id` is the `after` of the next page."""

    object: Literal["list"]
    data: list[InputItem]
    first_id: str | None
    last_id: str | None
    has_more: bool


class CachedTokens(TypedDict):
    cached_tokens: int


class ReasoningTokens(TypedDict):
    reasoning_tokens: int


class ResponseUsage(TypedDict):
    input_tokens: int
    input_tokens_details: CachedTokens
    output_tokens: int
    output_tokens_details: ReasoningTokens
    total_tokens: int


class ResponseError(TypedDict):
    code: str
    message: str


class IncompleteDetails(TypedDict):
    reason: Literal["max_output_tokens", "content_filter"]


class Reasoning(TypedDict):
    effort: None
    summary: None


class ConversationRef(TypedDict):
    id: str


class Fixed(TypedDict):
    """What a response says of features that there are not here."""

    max_tool_calls: int | None
    reasoning: Reasoning
    service_tier: str
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int


class ResponseOut(Fixed):
    """A response; while it is made it has no usage and nothing of ours.

    Visitors and end users get no usage, unless the agent shows it.
    """

    background: bool
    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Status
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    conversation: ConversationRef | None
    prompt_cache_key: str | None
    safety_identifier: str | None
    store: bool
    temperature: float
    top_p: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    truncation: str
    usage: ResponseUsage | None
    user: str | None
    metadata: dict[str, str]
    salient: NotRequired[Extra]


class DeletedResponse(TypedDict):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ResponseEvent(TypedDict):
    """created, in_progress, completed, incomplete and failed: each with the whole response."""

    type: str
    sequence_number: int
    response: ResponseOut


class ItemEvent(TypedDict):
    """output_item.added and output_item.done."""

    type: str
    sequence_number: int
    output_index: int
    item: OutputItem


class PartEvent(TypedDict):
    """content_part.added and content_part.done."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class TextDeltaEvent(TypedDict):
    type: str
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[Any]


class TextDoneEvent(TypedDict):
    type: str
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[Any]


class ArgumentsDeltaEvent(TypedDict):
    type: str
    sequence_number: int
    item_id: str
    output_index: int
    delta: str


class ArgumentsDoneEvent(TypedDict):
    type: str
    sequence_number: int
    item_id: str
    output_index: int
    name: str
    arguments: str


class ErrorEvent(TypedDict):
    """Ends a stream that failed.

    The fields of the event are beside `error`: clients that know the event read those, and the
    official SDKs raise an error for every event that has an `error`.
    """

    type: Literal["error"]
    sequence_number: int
    code: str
    message: str
    param: str | None
    error: dict[str, Any]


# The events by name; all are JSON, and each says its name again as `type`.
EVENTS: dict[str, Any] = {
    "response.created": ResponseEvent,
    "response.in_progress": ResponseEvent,
    "response.output_item.added": ItemEvent,
    "response.content_part.added": PartEvent,
    "response.output_text.delta": TextDeltaEvent,
    "response.output_text.done": TextDoneEvent,
    "response.content_part.done": PartEvent,
    "response.function_call_arguments.delta": ArgumentsDeltaEvent,
    "response.function_call_arguments.done": ArgumentsDoneEvent,
    "response.output_item.done": ItemEvent,
    "response.completed": ResponseEvent,
    "response.incomplete": ResponseEvent,
    "response.failed": ResponseEvent,
    "error": ErrorEvent,
}
