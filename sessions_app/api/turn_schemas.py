"""The API's shapes for turns as resources."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from sessions_app.api.schemas import ChatOut

type Moment = Annotated[datetime, msgspec.Meta(tz=True)]


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
