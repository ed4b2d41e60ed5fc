"""The API's shapes for sessions: conversations as resources, their messages and exports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, model_validator

from salient.api.problems import FieldError
from salient.api.schemas import Day, In, ListOut, OlderPageIn, Out, PageIn
from salient.texts import is_blank
from sessions_app.api.schemas import RATINGS, Rating, storable_text
from sessions_app.models import Message, MessageFeedback, Role, Session

MOST_NOTES, LONGEST_NOTE_NAME, LONGEST_NOTE = 16, 64, 512


class SessionStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Order(StrEnum):
    NEWEST_FIRST = "desc"
    OLDEST_FIRST = "asc"


class ExportFormat(StrEnum):
    JSON = "json"
    MARKDOWN = "markdown"


def _title(text: str) -> str:
    if is_blank(storable_text(text)):
        raise ValueError("the title is blank; null removes it")
    if not text.isprintable():
        raise ValueError("use printable characters")
    return text.strip()


def _end_user(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("use printable characters, without spaces at the ends")
    return text


def _notes(notes: dict[str, str]) -> dict[str, str]:
    if len(notes) > MOST_NOTES:
        raise ValueError(f"at most {MOST_NOTES} keys")
    for name, value in notes.items():
        if not 1 <= len(storable_text(name)) <= LONGEST_NOTE_NAME:
            raise ValueError(f"a key has 1 to {LONGEST_NOTE_NAME} characters")
        if len(storable_text(value)) > LONGEST_NOTE:
            raise ValueError(f"a value has at most {LONGEST_NOTE} characters")
    return notes


def _words(text: str) -> str:
    if is_blank(text):
        raise ValueError("say which words to look for")
    return text


type Title = Annotated[str, Field(max_length=200), AfterValidator(_title)]
type EndUser = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_end_user)]
type Notes = Annotated[dict[str, str], AfterValidator(_notes)]


class SessionsIn(OlderPageIn):
    """A page of sessions, the latest active first; days are of UTC, and both are included.

    `q` looks for words in the messages: all of them, "a phrase", or, -not.
    """

    status: SessionStatus | None = None
    end_user: EndUser | None = None
    created_from: Day | None = None
    created_to: Day | None = None
    active_from: Day | None = None
    active_to: Day | None = None
    q: Annotated[str, Field(max_length=200), AfterValidator(_words)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for what, first, last in (
            ("created", self.created_from, self.created_to),
            ("active", self.active_from, self.active_to),
        ):
            if first is not None and last is not None and last < first:
                raise FieldError(f"{what}_to", f"this day is before “{what}_from”")
        return self

    def days(self) -> tuple[tuple[date | None, date | None], tuple[date | None, date | None]]:
        """Return the days of creation and those of the last activity."""
        return (self.created_from, self.created_to), (self.active_from, self.active_to)


class SessionCreateIn(In):
    """A new session; a key may say whose it is, and keys and members may add metadata."""

    title: Title | None = None
    metadata: Notes | None = None
    end_user: EndUser | None = None


class SessionChangeIn(In):
    """What is to change. `metadata` is replaced as a whole; null removes title or metadata."""

    title: Title | None = None
    metadata: Notes | None = None
    status: SessionStatus = SessionStatus.OPEN


class SessionOut(Out):
    """A session; `end_user` is the account's own id of the person, null for a visitor.

    `metadata` is for the account's keys and members, null for others. `session_id` is another name
    of `id`.
    """

    id: UUID
    session_id: UUID
    title: str | None
    status: SessionStatus
    end_user: str | None
    metadata: dict[str, Any] | None
    turn_count: int
    created_at: datetime
    last_activity_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, session: Session, *, with_metadata: bool) -> Self:
        notes = session.meta if isinstance(session.meta, dict) else {}
        return cls(
            id=session.pk,
            session_id=session.pk,
            title=session.title,
            status=SessionStatus.OPEN if session.closed_at is None else SessionStatus.CLOSED,
            end_user=session.end_user,
            metadata=notes if with_metadata else None,
            turn_count=session.turn_count,
            created_at=session.created_at,
            last_activity_at=session.last_activity_at,
            closed_at=session.closed_at,
        )


class SessionsOut(ListOut[SessionOut]):
    """Sessions, the latest active first; `sessions` and `before` are other names of two fields."""

    sessions: list[SessionOut]
    before: str | None


class MessagesIn(PageIn):
    """A page of a session's messages: the newest first, or the oldest."""

    order: Order = Order.NEWEST_FIRST


class RatingOut(BaseModel):
    """A rating of an answer; `own` is the caller's."""

    rating: Rating
    comment: str
    created_at: datetime
    own: bool

    @classmethod
    def of(cls, feedback: MessageFeedback, caller: str) -> Self:
        return cls(
            rating=RATINGS[feedback.rating],
            comment=feedback.comment,
            created_at=feedback.created_at,
            own=feedback.caller == caller,
        )


class SessionMessageOut(BaseModel):
    """A message; what follows `config_version` is of the turn whose answer it is.

    `status` and `finish_reason` say how that turn ended. `model` is null for visitors and end
    users, unless the agent shows it. `ratings` are all ratings of the answer; of others than their
    own, visitors and end users get none.
    """

    id: UUID
    role: Literal["user", "assistant"]
    content: str
    created_at: datetime
    llm_request_id: UUID | None
    config_version: str | None
    status: str | None
    finish_reason: str | None
    model: str | None
    ratings: list[RatingOut]

    @classmethod
    def of(
        cls, message: Message, ratings: Sequence[RatingOut], *, with_model: bool
    ) -> SessionMessageOut:
        """Read a message that has its turn's values as annotations."""
        turn: Any = message
        is_answer = message.role == Role.ASSISTANT and message.llm_request_id is not None
        return cls(
            id=message.pk,
            role="user" if message.role == Role.HUMAN else "assistant",
            content=message.content,
            created_at=message.created_at,
            llm_request_id=message.llm_request_id,
            config_version=turn.digest[:12] if turn.digest else None,
            status=turn.turn_status if is_answer else None,
            finish_reason=(turn.turn_finish_reason or None) if is_answer else None,
            model=f"{turn.turn_provider}:{turn.turn_model}" if is_answer and with_model else None,
            ratings=list(ratings),
        )


class MessagesOut(ListOut[SessionMessageOut]):
    """Messages of a session, in the order that was asked for."""


class ExportOut(Out):
    """An export as JSON."""

    session: SessionOut
    messages: list[SessionMessageOut]


class ExportIn(In):
    """How the export is written."""

    format: ExportFormat = ExportFormat.JSON
