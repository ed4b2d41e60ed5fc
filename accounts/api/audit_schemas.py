"""The API's shapes for the audit log."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from django.core.management import get_commands
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from accounts.models import ActorKind, AuditAction, AuditEntry
from accounts.models.audit import OBJECT_TYPES
from salient.api.schemas import In, Out, Whole
from salient.cursor import Cursor


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
type Word = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_object_id)]


class AuditIn(In):
    """Which part of the log: the newest `limit` entries, or those before `before`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    limit: Annotated[Whole, Field(ge=1, le=200)] = 50
    before: Annotated[Cursor, PlainValidator(Cursor.read, json_schema_input_type=str)] | None = None
    action: AuditAction | None = None
    actor_kind: ActorKind | None = None
    actor_id: Annotated[str, AfterValidator(_actor_id)] | None = None
    object_type: Annotated[str, AfterValidator(_object_type)] | None = None
    object_id: Word | None = None

    def conditions(self) -> dict[str, Any]:
        """Return which values the entries' columns must have."""
        return self.model_dump(exclude={"limit", "before"}, exclude_none=True)


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
    before: Any
    after: Any


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
        return cls(
            id=entry.pk,
            created_at=entry.created_at,
            action=AuditAction(entry.action),
            actor=ActorOut(kind=ActorKind(entry.actor_kind), id=entry.actor_id, name=entry.actor),
            object=ObjectOut(type=entry.object_type, id=entry.object_id, name=entry.object),
            changes={
                name: ChangeOut(before=before, after=after)
                for name, (before, after) in entry.changes.items()
            },
            reason=entry.reason,
        )


class AuditOut(Out):
    """Entries, the newest first; `before` asks for the next page (null: there is none)."""

    entries: list[EntryOut]
    before: str | None
