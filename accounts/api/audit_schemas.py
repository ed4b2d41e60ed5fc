"""The API's shapes for the audit log."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from django.core.management import get_commands
from pydantic import AfterValidator, BaseModel, Field

from accounts.models import ActorKind, AuditAction, AuditEntry
from accounts.models.audit import OBJECT_TYPES
from salient.api.schemas import ListOut, OlderPageIn, Out


def _object_type(text: str) -> str:
    if text not in OBJECT_TYPES:
        raise ValueError(f"no entry is about such a table; there are {', '.join(OBJECT_TYPES)}")
    return text


def _actor_id(text: str) -> str:
    if not _ACTOR.fullmatch(text) and text not in get_commands():
        raise ValueError("this names no actor: give back an entry's `actor.id`")
    return text


def _object_id(text: str) -> str:
    if not text.isprintable():
        raise ValueError("use printable characters")
    return text


# The id of a person or a key, a visitor, or an end user; commands have names.
_ACTOR = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?:visitor|end-user):[0-9a-f]{32}"
)
# A moment as the database writes it.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")
type Word = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_object_id)]


class AuditIn(OlderPageIn):
    """Which part of the log: the newest entries, or those after the page before."""

    action: AuditAction | None = None
    actor_kind: ActorKind | None = None
    actor_id: Annotated[str, AfterValidator(_actor_id)] | None = None
    object_type: Annotated[str, AfterValidator(_object_type)] | None = None
    object_id: Word | None = None

    def conditions(self) -> dict[str, Any]:
        """Return which values the entries' columns must have."""
        return self.model_dump(exclude={*OlderPageIn.model_fields}, exclude_none=True)


class ActorOut(BaseModel):
    """Who did it: one of the platform's staff, a member, a key, a visitor, a command."""

    kind: ActorKind
    id: str
    name: str


class ObjectOut(BaseModel):
    """Which row: its table, its id, and what people call it."""

    type: str
    id: str
    name: str


class ChangeOut(BaseModel):
    """A column's values; moments end with Z, as everywhere."""

    before: Any
    after: Any

    @classmethod
    def of(cls, before: Any, after: Any) -> Self:
        return cls(before=_as_sent(before), after=_as_sent(after))


def _as_sent(value: Any) -> Any:
    return f"{value[:-6]}Z" if isinstance(value, str) and _MOMENT.fullmatch(value) else value


class EntryOut(Out):
    id: UUID
    created_at: datetime
    action: AuditAction
    actor: ActorOut
    object: ObjectOut
    changes: dict[str, ChangeOut]
    reason: str

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        return cls.of_row(
            entry,
            actor=ActorOut(kind=ActorKind(entry.actor_kind), id=entry.actor_id, name=entry.actor),
            object=ObjectOut(type=entry.object_type, id=entry.object_id, name=entry.object),
            changes={
                name: ChangeOut.of(before, after) for name, (before, after) in entry.changes.items()
            },
        )


class AuditOut(ListOut[EntryOut]):
    """Entries, the newest first; `entries` and `before` are other names of two fields."""

    entries: list[EntryOut]
    before: str | None
