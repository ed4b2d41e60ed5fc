"""Notes in the audit log what callers of the API have exported."""

from __future__ import annotations

from collections.abc import Mapping

from accounts.auth.caller import Caller
from accounts.auth.decorators import actor_of
from accounts.models import ActorKind, AuditAction, AuditEntry


def note_callers_export(
    caller: Caller,
    table: str,
    chosen: Mapping[str, str],
    *,
    object_id: str = "",
    name: str = "CSV export",
) -> None:
    """Note who exported which rows of their own account; call it inside the tenant context."""
    actor = actor_of(caller)
    AuditEntry.objects.create(
        account_id=caller.account_id,
        actor_kind=ActorKind(actor.kind),
        actor_id=actor.id,
        actor=actor.name,
        action=AuditAction.NOTED,
        object_type=table,
        object_id=object_id,
        object=name,
        changes={name: [None, value] for name, value in chosen.items()},
    )
