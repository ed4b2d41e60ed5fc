"""What the history of a thing says of agents: publications with their values, changed files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from accounts.audit import timeline
from accounts.audit.log import NOTHING
from accounts.audit.timeline import Described, Event, Source
from accounts.models import AuditEntry
from agents.config.versions.diff import Change, content_changes
from agents.models import ConfigPublication, ConfigVersion
from salient.cursor import Cursor, older
from salient.ids import parse_uuid


def shown_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what differs, as histories show it: long texts line by line."""
    found = content_changes(old, new)
    return [_shown(change) for change in found if change.old != change.new]


def _shown(change: Change) -> dict[str, Any]:
    texts = {"before": change.old or NOTHING, "after": change.new or NOTHING}
    return {"name": change.key, "lines": change.lines, **texts}


@timeline.describes(ConfigPublication._meta.db_table)
def publications(entries: Sequence[AuditEntry]) -> dict[str, Described]:
    """Describe publications by their numbers, and by what they changed; two queries an account."""
    keys: dict[UUID, list[UUID]] = {}
    for entry in entries:
        if entry.account_id and (key := parse_uuid(entry.object_id)):
            keys.setdefault(entry.account_id, []).append(key)
    described: dict[str, Described] = {}
    for account_id, wanted in keys.items():
        mine = ConfigPublication.objects.filter(account_id=account_id, pk__in=wanted)
        rows = with_before(mine.select_related("config_version", "agent_instance"), account_id)
        before = _versions(found := list(rows))
        described |= {str(row.pk): _described(row, before.get(_before(row))) for row in found}
    return described


def _described(row: ConfigPublication, before: ConfigVersion | None) -> Described:
    new = row.config_version.content
    if before is None:
        # Nothing was in force: only what was written is news.
        new = {key: value for key, value in new.items() if key in (row.override or {})}
    reason = f" (tests not passed: {row.gate_reason})" if row.gate_reason else ""
    changes = shown_changes(before.content if before else {}, new)
    return Described(_name(row), changes, f"{row.note}{reason}")


def _name(row: ConfigPublication) -> str:
    back = ""
    if row.restores is not None:
        back = f", back to {f'number {row.restores}' if row.restores else 'the files'}"
    return f"number {row.number} of {row.agent_instance.instance_slug}{back}"


def with_before(rows: QuerySet[Any], account_id: UUID) -> QuerySet[Any]:
    """Add which version was in force before each row: what was published or changed on disk."""
    # The account as a value: a cluster cannot send sub-queries inside one another otherwise.
    mine = Q(
        account_id=account_id,
        agent_instance_id=OuterRef("agent_instance_id"),
        created_at__lt=OuterRef("created_at"),
    )
    published = ConfigPublication.objects.filter(mine).order_by("-created_at")
    on_disk = _from_files(ConfigVersion.objects.filter(mine), account_id).order_by("-created_at")
    found: QuerySet[Any] = rows.annotate(
        published=Subquery(published.values("config_version_id")[:1]),
        published_at=Subquery(published.values("created_at")[:1]),
        on_disk=Subquery(on_disk.values("pk")[:1]),
        on_disk_at=Subquery(on_disk.values("created_at")[:1]),
    )
    return found


def _from_files(rows: QuerySet[ConfigVersion], account_id: UUID) -> QuerySet[ConfigVersion]:
    """Leave out what was published, and what was only tried out."""
    made_it = ConfigPublication.objects.filter(
        account_id=account_id, config_version_id=OuterRef("pk")
    )
    return rows.filter(last_served_at__isnull=False).exclude(Exists(made_it))


def _before(row: Any) -> UUID | None:
    """Return the version that was in force before: what was published or changed last."""
    is_published = row.published_at and (row.on_disk_at or row.published_at) <= row.published_at
    found: UUID | None = row.published if is_published else row.on_disk
    return found


def _versions(rows: Iterable[Any]) -> dict[Any, ConfigVersion]:
    return ConfigVersion.objects.in_bulk([key for row in rows if (key := _before(row))])


def changed_files(account_id: UUID, **whose: Any) -> Source:
    """Return the changes of the files on disk of an account's agents, or of one of them.

    Each counts from the first answer with it, and is compared with what was in force before.
    """

    def read(place: Cursor | None, most: int) -> list[Event]:
        mine = ConfigVersion.objects.filter(account_id=account_id, **whose)
        rows = _from_files(mine, account_id)
        rows = rows if place is None else older(rows, "created_at", place)
        newest = with_before(rows.select_related("agent_instance"), account_id)
        found = list(newest.order_by("-created_at", "-id")[:most])
        before = _versions(found)
        return [_event(row, before.get(_before(row))) for row in found]

    return read


def _event(row: ConfigVersion, before: ConfigVersion | None) -> Event:
    slug = row.agent_instance.instance_slug
    return Event(
        when=row.created_at,
        id=row.pk,
        action="changed" if before else "created",
        state="info" if before else "ok",
        kind="files",
        about=f"{row} of {slug}",
        who="the server's disk",
        changes=shown_changes(before.content if before else {}, row.content),
    )


def of_account(account_id: UUID) -> Source:
    return changed_files(account_id)


timeline.add_to_accounts(of_account)
