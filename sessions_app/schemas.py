"""The API's shapes for conversations: what callers send and what they get back."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from agents.pricing import Price
from agents.schemas import Out
from sessions_app.models import Message, Role

MAX_MESSAGE_BYTES = 32 * 1024


def _sendable(message: str) -> str:
    if not message.strip():
        raise ValueError("the message is blank")
    if "\x00" in message:
        raise ValueError("the message holds a NUL character")
    if len(message.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_BYTES:
        raise ValueError(f"the message is longer than {MAX_MESSAGE_BYTES} bytes")
    if any("\ud800" <= character <= "\udfff" for character in message):
        raise ValueError("the message holds half a surrogate pair")
    return message


class ChatIn(BaseModel):
    """One message; `session_id` continues a conversation, without it a new one starts."""

    model_config = ConfigDict(extra="forbid")

    message: Annotated[str, AfterValidator(_sendable)]
    session_id: UUID | None = None


class HistoryIn(BaseModel):
    """Which part of a conversation: the newest `limit` messages, or those before `before`."""

    model_config = ConfigDict(extra="forbid")

    session_id: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: UUID | None = None


class UsageOut(BaseModel):
    """Tokens of the turn, summed over its model calls; `estimated` when a count is missing."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int
    requests: int
    estimated: bool


# Written out, never as 1E-8.
type Dollars = Annotated[Decimal, PlainSerializer(lambda amount: f"{amount:f}", return_type=str)]


class CostOut(BaseModel):
    """US dollars as exact decimals; null and source “unknown” when nobody knows the price."""

    currency: Literal["USD"] = "USD"
    input: Dollars | None
    output: Dollars | None
    total: Dollars | None
    source: str

    @classmethod
    def of(cls, price: Price) -> Self:
        return cls(
            input=price.prompt_cost,
            output=price.completion_cost,
            total=price.total_cost,
            source=price.source.value,
        )


class DoneOut(Out):
    """How a turn ended: the last event of every stream, and part of every chat answer."""

    status: str
    session_id: UUID
    message_id: UUID | None
    llm_request_id: UUID
    model: str
    usage: UsageOut
    cost: CostOut
    config_version: str
    latency_ms: int
    time_to_first_token_ms: int | None


class ChatOut(DoneOut):
    response: str


class MessageOut(BaseModel):
    message_id: UUID
    role: Literal["user", "bot"]
    content: str
    timestamp: datetime

    @classmethod
    def of(cls, message: Message) -> Self:
        return cls(
            message_id=message.pk,
            role="user" if message.role == Role.HUMAN else "bot",
            content=message.content,
            timestamp=message.created_at,
        )


class HistoryOut(Out):
    """Messages, oldest first; `before` asks for the page above this one (null: there is none)."""

    session_id: UUID | None
    messages: list[MessageOut]
    before: UUID | None


def query(model: type[BaseModel], parameters: Any) -> Any:
    """Read a query string strictly: a name given twice or unknown is an error that names it."""
    values = {name: found[0] if len(found) == 1 else found for name, found in parameters.lists()}
    return model.model_validate(values)
