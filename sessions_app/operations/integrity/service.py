"""Runs the checks, repairs what may be repaired, and notes it in the audit log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from django.db import DatabaseError

from accounts.models import Account, ActorKind, AuditAction, AuditEntry
from accounts.models.audit import OBJECT_TYPES
from accounts.tenancy.context import platform_context
from sessions_app.operations.integrity import accounts, figures, keys, schema
from sessions_app.operations.integrity.checks import Check, Found, Scope

logger = logging.getLogger(__name__)

COMMAND = "check_integrity"
# Rows that a policy hides are not there for a check: what leads to them would be deleted.
HIDDEN = "Not mended: mend row-level security first, as the check “policies” says."
# Of one account only what its rows and files say; keys and policies belong to all.
OF_ACCOUNTS: tuple[Check, ...] = (*keys.CHECKS, *accounts.CHECKS, *figures.CHECKS)
# Rows are mended before the keys that look at them are validated.
CHECKS: tuple[Check, ...] = (*OF_ACCOUNTS, *schema.CHECKS)


@dataclass(slots=True)
class Result:
    """What one check has found, and how much of it was mended; `error`: it could not be done."""

    check: Check
    found: Found = field(default_factory=Found)
    mended: int = 0
    error: str = ""

    @property
    def status(self) -> str:
        if self.error or self.left:
            return "notice" if self.check.is_notice and not self.error else "fault"
        return "mended" if self.mended else "ok"

    @property
    def left(self) -> int:
        return self.found.count - self.mended

    def as_dict(self) -> dict[str, Any]:
        check = self.check
        return {
            "name": check.name,
            "status": self.status,
            "means": check.means,
            "count": self.found.count,
            "ids": self.found.ids,
            "mended": self.mended,
            "can_be_mended": check.mend is not None,
            "advice": check.advice,
            "error": self.error,
        }


def check_integrity(
    account: Account | None = None, *, fix: bool = False, checks: Sequence[Check] | None = None
) -> list[Result]:
    """Run every check, of one account or of all; with `fix` mend what is safe to mend.

    It runs beside serving processes. A check that fails says so, and the others go on.
    """
    scope = Scope(account)
    chosen = checks or (CHECKS if account is None else OF_ACCOUNTS)
    results = [_find(check, scope) for check in chosen]
    if fix:
        hides = _find(schema.POLICIES, scope)
        for result in results:
            if result.found.count and result.check.mend is not None:
                if result.check in OF_ACCOUNTS and hides.status != "ok":
                    result.error = HIDDEN
                else:
                    _mend(result, scope)
    return results


def _find(check: Check, scope: Scope) -> Result:
    try:
        return Result(check, check.find(scope))
    except DatabaseError as error:
        return Result(check, error=_reason(check, error))


def _mend(result: Result, scope: Scope) -> None:
    """Mend, look again, and note what has gone."""
    check, before = result.check, result.found
    mend = cast(Callable[[Scope], None], check.mend)
    try:
        mend(scope)
        after = check.find(scope)
    except DatabaseError as error:
        result.error = _reason(check, error)
        return
    result.mended = max(0, before.count - after.count)
    with platform_context():
        _note(check, before.accounts - after.accounts)


def _note(check: Check, mended: Counter[UUID]) -> None:
    """Note in each account's audit log how many rows were mended; a lost account has none."""
    if check.table not in OBJECT_TYPES:
        return
    there = Account.objects.filter(pk__in=mended).values_list("pk", flat=True)
    AuditEntry.objects.bulk_create(
        AuditEntry(
            account_id=account_id,
            actor_kind=ActorKind.COMMAND,
            actor_id=COMMAND,
            actor=COMMAND,
            action=AuditAction.NOTED,
            object_type=check.table,
            object_id=check.name,
            object=COMMAND,
            changes={"mended": [None, mended[account_id]]},
        )
        for account_id in there
    )


def _reason(check: Check, error: DatabaseError) -> str:
    reason = str(error).partition("\n")[0]
    logger.warning("The check %s failed: %s", check.name, reason)
    return reason


def report(results: Sequence[Result], account: Account | None) -> dict[str, Any]:
    """Return what the command prints; `ok` is false while a fault is left."""
    return {
        "ok": all(result.status != "fault" for result in results),
        "account": account.slug if account else None,
        "checks": [result.as_dict() for result in results],
    }
