"""Notes in the audit log of what changes no row: an export, a reading; and the reasons given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from accounts.auth.caller import Caller
from accounts.models import AuditAction, AuditEntry
from salient.actors import Actor, current_actor

LONGEST_REASON = 500


def note(
    account_id: UUID,
    object_type: str,
    what: str,
    *,
    object_id: str = "",
    changes: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
) -> None:
    """Note what somebody did in the account, else whoever acts now; inside a context.

    `object_type` is a table's name; `changes` maps a name to [before, after].
    """
    who = actor or current_actor()
    AuditEntry.objects.create(
        account_id=account_id,
        actor_kind=who.kind,
        actor_id=who.id,
        actor=who.name,
        action=AuditAction.NOTED,
        object_type=object_type,
        object_id=object_id,
        object=what[:255],
        changes=dict(changes or {}),
        reason=who.reason,
    )


def note_callers_export(
    caller: Caller,
    table: str,
    chosen: Mapping[str, str],
    *,
    object_id: str = "",
    name: str = "CSV export",
) -> None:
    """Note who exported which rows of their own account; call it inside the tenant context."""
    changes, actor = as_changes(chosen), caller.actor
    note(caller.account_id, table, name, object_id=object_id, changes=changes, actor=actor)


def as_changes(filters: Mapping[str, str]) -> dict[str, Any]:
    """Return the filters of an export as a note has them."""
    return {name: [None, value] for name, value in filters.items()}


def clean_reason(reason: str, *, missing: str) -> str:
    """Return the reason in one line; raises ValidationError, with `missing` where there is none."""
    reason = " ".join(reason.split())
    if not reason:
        raise ValidationError(missing)
    if len(reason) > LONGEST_REASON:
        raise ValidationError(f"A reason has at most {LONGEST_REASON} characters.")
    return reason
