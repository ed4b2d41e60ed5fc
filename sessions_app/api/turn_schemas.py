"""The API's shapes for turns as resources."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from sessions_app.api.schemas import ChatOut


class TurnErrorOut(BaseModel):
    """How a turn failed."""

    code: str
    detail: str


class TurnOut(ChatOut):
    """A turn, running or ended. `response` is the answer, of a running one what is stored of it.

    `id` is its `llm_request_id`. Tokens and cost are known when it has ended.
    """

    id: UUID
    created_at: datetime
    ended_at: datetime | None
    error: TurnErrorOut | None
