"""Writes into the audit log what happened to no row: an export, an import, a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from accounts.models import ActorKind, AuditAction, AuditEntry
from salient.actors import actor_text


def note(
    account_id: UUID, object_type: str, what: str, *, changes: Mapping[str, Any] | None = None
) -> None:
    """Note it for the account, with whoever acts now; inside a context.

    `object_type` is a table's name; `changes` maps a name to [before, after].
    """
    actor = json.loads(actor_text() or "{}")
    AuditEntry.objects.create(
        account_id=account_id,
        actor_kind=actor.get("kind", ActorKind.SYSTEM),
        actor_id=actor.get("id", ""),
        actor=actor.get("name", ""),
        action=AuditAction.NOTED,
        object_type=object_type,
        object_id="",
        object=what[:255],
        changes=dict(changes or {}),
        reason=actor.get("reason", ""),
    )
