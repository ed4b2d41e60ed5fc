"""Reads the audit log: an account's own entries, and one entry as a table for a page."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model, QuerySet

from accounts.api.audit_schemas import AuditIn, AuditOut, EntryOut
from accounts.models import AuditEntry
from accounts.models.audit import AuditAction
from accounts.tenancy.context import tenant_context
from salient.cursor import newest_page
from salient.formatting import exact_moment

NOTHING = "\N{EN DASH}"
# An action's colour.
STATES = {"created": "ok", "changed": "info", "deleted": "bad", "noted": "warn"}
_INSTANCE = re.compile(r"\b(agent )?instance\b")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}[.\d]*([+-]\d{2}:\d{2}|Z)")


@dataclass(frozen=True, slots=True)
class Change:
    """One column's values before and after, as people read them."""

    name: str
    before: str
    after: str


def entries_of(account_id: UUID, page: AuditIn) -> AuditOut:
    """Return a page of the account's log, the newest entries first."""
    with tenant_context(account_id):
        rows = AuditEntry.objects.filter(account_id=account_id, **page.conditions())
        shown, cursor = newest_page(rows, "created_at", page.place, page.limit)
    entries = [EntryOut.of(entry) for entry in shown]
    return AuditOut.of_page(entries, cursor, entries=entries, before=cursor)


def makers_of(rows: Collection[Model]) -> dict[str, AuditEntry]:
    """Return the entry of who made each of these rows of one table, by its id; in a context."""
    if not rows:
        return {}
    table = next(iter(rows))._meta.db_table
    made = AuditEntry.objects.filter(
        object_type=table, object_id__in=[str(row.pk) for row in rows], action=AuditAction.CREATED
    )
    return {entry.object_id: entry for entry in made}


def changes_of(entry: AuditEntry) -> list[Change]:
    """Return what changed, sorted by column.

    The log has a sign in place of a secret, also of one that was not there before or is not after.
    """
    was, stays = entry.action != AuditAction.CREATED, entry.action != AuditAction.DELETED
    return [
        Change(
            column_name(name),
            in_words(before) if was else NOTHING,
            in_words(after) if stays else NOTHING,
        )
        for name, (before, after) in sorted(entry.changes.items())
    ]


def column_name(column: str) -> str:
    """Return a column's name as pages write it: what tables call an instance is an agent there."""
    return _INSTANCE.sub("agent", column.replace("_", " "))


def in_words(value: Any) -> str:
    """Write a column's value for people; nothing is a dash."""
    match value:
        case None | "" | []:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case list() if all(isinstance(each, str | int) for each in value):
            return ", ".join(map(str, value))
        case dict() | list():
            # Line ends as lines: these are texts that people wrote, such as prompts.
            return json.dumps(value, indent=2, ensure_ascii=False).replace("\\n", "\n")
        case str() if _MOMENT.fullmatch(value):
            return exact_moment(datetime.fromisoformat(value))
    return str(value)


def model_of(table: str) -> type[Model] | None:
    """Return the table's model."""
    return next((model for model in apps.get_models() if model._meta.db_table == table), None)


def name_of(table: str) -> str:
    model = model_of(table)
    return str(model._meta.verbose_name) if model else table.replace("_", " ")


def shown(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as pages show it: its colour, kinds of actor and row, and changes."""
    changes = changes_of(entry)
    return {
        "entry": entry,
        "state": STATES[entry.action],
        "actor_kind": entry.get_actor_kind_display().partition(":")[0],
        "row_kind": name_of(entry.object_type),
        "changes": changes,
        "columns": ", ".join(change.name for change in changes),
    }


def newest_entries(account_id: UUID, most: int) -> QuerySet[AuditEntry]:
    """Return the account's newest entries; inside the platform context."""
    return AuditEntry.objects.filter(account_id=account_id).newest_first()[:most]
