"""The API's shapes for conversations: what callers send and what they get back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    model_validator,
)

from accounts.limits.registry import MAX_MESSAGE_BYTES
from agents.costs.pricing import Price
from agents.runtime.events import ModelCall
from salient.api.problems import FieldError
from salient.api.schemas import In, Out, PageLimit, StructOut
from salient.texts import is_blank
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import Message, Role

type Moment = Annotated[datetime, msgspec.Meta(tz=True)]
type Rating = Literal["good", "bad"]
RATINGS: dict[int | None, Rating] = {1: "good", -1: "bad"}


def _sendable(message: str) -> str:
    if is_blank(message):
        raise ValueError("the message is blank")
    if "\x00" in message:
        raise ValueError("the message holds a NUL character")
    try:
        size = len(message.encode())
    except UnicodeEncodeError:
        raise ValueError("the message holds half a surrogate pair") from None
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f"the message is longer than {MAX_MESSAGE_BYTES} bytes")
    return message


def storable_text(text: str) -> str:
    if any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text holds a character that cannot be stored")
    return text


def _comment(text: str) -> str:
    return "" if is_blank(storable_text(text)) else text.strip()


class ChatIn(In):
    """One message; `session_id` continues a conversation, without it a new one starts.

    A turn with `background` goes on to its end when the client leaves. `dry_run` checks, counts and
    prices the turn without a call; a stream takes none.
    """

    message: Annotated[str, AfterValidator(_sendable)]
    session_id: UUID | None = None
    background: bool = False
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.dry_run and self.background:
            raise FieldError("dry_run", "a dry run has no turn that could go on in the background")
        return self

    def as_input(self) -> TurnInput:
        return TurnInput(message=self.message, session_id=self.session_id)


class HistoryIn(In):
    """A page of a conversation: the newest `limit` messages, or the newest before `before`."""

    session_id: UUID | None = None
    limit: PageLimit = 50
    before: UUID | None = None


class FeedbackIn(In):
    """A rating, with a comment or without; a rating of null removes the caller's feedback."""

    rating: Rating | None
    comment: Annotated[str, Field(max_length=2_000), AfterValidator(_comment)] = ""

    @model_validator(mode="after")
    def _comment_needs_rating(self) -> Self:
        if self.rating is None and self.comment:
            raise FieldError("comment", "a comment needs a rating")
        return self


class FeedbackOut(Out):
    """The caller's feedback to the message, as it is stored now."""

    message_id: UUID
    rating: Rating | None
    comment: str


class UsageOut(msgspec.Struct):
    """Tokens of the turn, summed over its model calls; `estimated` when a count is missing.

    `cached_tokens` are a part of the input, `reasoning_tokens` of the output; 0 where the provider
    says nothing of them.
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    requests: int
    estimated: bool

    @classmethod
    def of(cls, calls: Sequence[ModelCall]) -> Self:
        read = written = cached = thought = 0
        estimated = False
        for call in calls:
            read += call.input_tokens
            written += call.output_tokens
            cached += call.cached_tokens
            thought += call.reasoning_tokens
            estimated = estimated or call.estimated
        return cls(
            input_tokens=read,
            output_tokens=written,
            total_tokens=read + written,
            cached_tokens=cached,
            reasoning_tokens=thought,
            requests=len(calls),
            estimated=estimated,
        )


def dollars(amount: Decimal) -> str:
    """Write an amount in decimal notation: 0.00000001, never 1E-8."""
    return f"{amount:f}"


class CostOut(msgspec.Struct):
    """US dollars as exact decimals; null and source “unknown” when the price is not known."""

    currency: Literal["USD"]
    input: str | None
    output: str | None
    total: str | None
    source: str

    @classmethod
    def of(cls, price: Price) -> Self:
        return cls(
            currency="USD",
            input=None if price.prompt_cost is None else dollars(price.prompt_cost),
            output=None if price.completion_cost is None else dollars(price.completion_cost),
            total=None if price.total_cost is None else dollars(price.total_cost),
            source=price.source,
        )


class DoneOut(StructOut):
    """How a turn ended: the last event of every stream, and part of every chat answer.

    `model`, `usage` and `cost` are null for visitors and end users, unless the agent shows them.
    """

    status: str
    session_id: UUID
    message_id: UUID | None
    llm_request_id: UUID
    model: str | None
    # Why the model stopped: stop, length, content_filter, tool_calls or the provider's own word.
    finish_reason: str | None
    usage: UsageOut | None
    cost: CostOut | None
    config_version: str
    latency_ms: int
    time_to_first_token_ms: int | None


class ChatOut(DoneOut):
    response: str

    @property
    def done(self) -> DoneOut:
        """The same without the text."""
        return DoneOut(*(getattr(self, name) for name in DoneOut.__struct_fields__))


class ToolOut(BaseModel):
    """A call of a tool as a stream tells it: twice, when it begins and when it has ended."""

    # Unique in the turn.
    id: str
    name: str
    status: Literal["running", "done", "failed"]


class MessageOut(BaseModel):
    """A message as the history has it; `message_id` and `timestamp` are other names."""

    id: UUID
    message_id: UUID
    role: Literal["user", "bot"]
    content: str
    created_at: datetime
    timestamp: datetime
    llm_request_id: UUID | None
    # The caller's own rating of it.
    feedback: Rating | None = None

    @classmethod
    def of(cls, message: Message) -> Self:
        return cls(
            id=message.pk,
            message_id=message.pk,
            role="user" if message.role == Role.HUMAN else "bot",
            content=message.content,
            created_at=message.created_at,
            timestamp=message.created_at,
            llm_request_id=message.llm_request_id,
            feedback=RATINGS.get(getattr(message, "own_rating", None)),
        )


class HistoryOut(Out):
    """Messages, oldest first; `before` asks for the page of older ones (null: there is none)."""

    session_id: UUID | None
    messages: list[MessageOut]
    before: UUID | None


class TurnErrorOut(msgspec.Struct):
    """How a turn failed."""

    code: str
    detail: str


class TurnOut(ChatOut):
    """A turn, running or ended. `response` is the answer, of a running one what is stored of it.

    `id` is its `llm_request_id`. Tokens and cost are known when it has ended.
    """

    id: UUID
    created_at: Moment
    ended_at: Moment | None
    error: TurnErrorOut | None
