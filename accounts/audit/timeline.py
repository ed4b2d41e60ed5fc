"""One history of a thing: what was changed, published or stopped, by whom, from what to what.

It merges sources by time: entries of the audit log, and what the apps above know besides, such as
changes of files on disk. Each source reads one page by an index, so a deep page costs as much as
the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet

from accounts.audit.log import STATES, Change, changes_of, name_of
from accounts.models import ActorKind, ApiKey, AuditEntry, User
from salient.cursor import Cursor, older
from salient.ids import parse_uuid

PAGE = 30
# So many parts of a thing are followed, such as publications of an agent, the newest.
MOST_PARTS = 1_000


@dataclass(frozen=True, slots=True)
class Event:
    """One change; `state` is the colour of its badge, `actor` an id that `named` turns to a name.

    `changes` have `name`, `before`, `after`, and perhaps `lines`, a comparison of long texts.
    """

    when: datetime
    id: UUID
    action: str
    state: str
    # The kind of the changed row and its name; the row itself for a link to its page.
    kind: str
    about: str
    who: str = ""
    who_kind: str = ""
    actor_id: str = ""
    reason: str = ""
    changes: Sequence[Any] = field(default_factory=tuple)
    entry: AuditEntry | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """What an app says of its rows in place of the plain columns of the log."""

    about: str
    changes: Sequence[Any]
    reason: str = ""


# Gets a place and a number; returns so many events before it, the newest first.
type Source = Callable[[Cursor | None, int], Sequence[Event]]
type Describe = Callable[[Sequence[AuditEntry]], Mapping[str, Described]]
_describe: dict[str, Describe] = {}
_of_accounts: list[Callable[[UUID], Source]] = []


def describes(table: str) -> Callable[[Describe], Describe]:
    """Register what describes the entries of a table; it returns descriptions by object id."""

    def register(describe: Describe) -> Describe:
        _describe[table] = describe
        return describe

    return register


def add_to_accounts(source: Callable[[UUID], Source]) -> None:
    """Add a source to the histories of accounts; it gets the account's id."""
    _of_accounts.append(source)


def account_sources(account_id: UUID) -> list[Source]:
    """Return all that is known of an account: its whole audit log, and what the apps add."""
    rows = AuditEntry.objects.filter(account_id=account_id)
    return [entries(rows), *(source(account_id) for source in _of_accounts)]


def row_sources(row: Model, *parts: QuerySet[Any]) -> list[Source]:
    """Return the entries about one row, and about rows that are parts of it; in a context."""
    found = [about(row._meta.db_table, [str(row.pk)])]
    for rows in parts:
        ids = [str(key) for key in rows.order_by("-pk").values_list("pk", flat=True)[:MOST_PARTS]]
        found += [about(rows.model._meta.db_table, ids)] if ids else []
    return found


def about(table: str, ids: Sequence[str]) -> Source:
    """Return the entries about these rows of one table."""
    return entries(AuditEntry.objects.filter(object_type=table, object_id__in=ids))


def entries(rows: QuerySet[AuditEntry]) -> Source:
    def read(place: Cursor | None, most: int) -> list[Event]:
        return _events(list(newest(rows, place, most)))

    return read


def newest(rows: QuerySet[AuditEntry], place: Cursor | None, most: int) -> QuerySet[AuditEntry]:
    """Return so many entries before a place, the newest first, as an index has them."""
    found = rows if place is None else older(rows, "created_at", place)
    return found.select_related("account").order_by("-created_at", "-id")[:most]


def page(
    sources: Iterable[Source], place: Cursor | None = None, *, size: int = PAGE
) -> tuple[list[Event], str | None]:
    """Return a page of the merged sources and the cursor of the next; inside a context."""
    found = [event for source in sources for event in source(place, size + 1)]
    found.sort(key=lambda event: (event.when, event.id), reverse=True)
    shown = named(found[:size])
    last = shown[-1] if len(found) > size else None
    return shown, str(Cursor(last.when, last.id)) if last else None


def named(events: Sequence[Event]) -> list[Event]:
    """Write the names of people and keys in place of what the log knows; two queries."""
    by_kind: dict[str, set[UUID]] = {}
    for event in events:
        if key := parse_uuid(event.actor_id):
            by_kind.setdefault(event.who_kind, set()).add(key)
    people = by_kind.get(ActorKind.STAFF, set()) | by_kind.get(ActorKind.MEMBER, set())
    names: dict[str, str] = {}
    if people:
        for user in User.objects.filter(pk__in=people).only("email", "first_name", "last_name"):
            names[str(user.pk)] = f"{user.get_full_name()} {user.email}".strip()
    if keys := by_kind.get(ActorKind.KEY):
        rows = ApiKey.objects.filter(pk__in=keys).values_list("pk", "name")
        names |= {str(key): name for key, name in rows}
    return [replace(event, who=names.get(event.actor_id) or event.who) for event in events]


def _events(found: Sequence[AuditEntry]) -> list[Event]:
    described: dict[str, Mapping[str, Described]] = {}
    for table, describe in _describe.items():
        if own := [entry for entry in found if entry.object_type == table]:
            described[table] = describe(own)
    return [_event(entry, described.get(entry.object_type, {})) for entry in found]


def _event(entry: AuditEntry, described: Mapping[str, Described]) -> Event:
    own = described.get(entry.object_id)
    changes: Sequence[Change] = own.changes if own else changes_of(entry)
    return Event(
        when=entry.created_at,
        id=entry.pk,
        action=entry.action,
        state=STATES[entry.action],
        kind=name_of(entry.object_type),
        # A row without a name is known by its kind.
        about=own.about if own else "" if parse_uuid(entry.object) else entry.object,
        who=entry.actor or entry.actor_id or "an unknown actor",
        who_kind=entry.actor_kind,
        actor_id=entry.actor_id,
        reason=(own.reason if own else "") or entry.reason,
        changes=changes,
        entry=entry,
        account=entry.account.slug if entry.account else "",
    )
