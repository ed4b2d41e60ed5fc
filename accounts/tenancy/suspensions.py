"""Suspensions: accounts, agents, keys and connections are stopped for a reason, and resumed.

A row with a `suspended_reason` is suspended. The reason is for staff and for the account's audit
log: who calls learns only that it is suspended. What runs ends within seconds, because running
turns are asked again whether they may go on (accounts/auth/revocation.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from django.db import models, transaction

from accounts.audit.notes import clean_reason
from accounts.models import Account, AccountStatus, AuditEntry
from salient.api.problems import Problem

NO_REASON = "Say why: whoever resumes it has to know."
_forget: dict[type[models.Model], Callable[[Any], None]] = {}


class Suspended(Problem):
    """The account, agent or connection is suspended by the platform; `what` says which."""

    status = HTTPStatus.FORBIDDEN
    code = "suspended"
    extensions = {"what": str}

    def __init__(self, what: str) -> None:
        detail = f"This {what} is suspended. Ask whoever runs this service."
        super().__init__(detail, what=what)


def require_active(account: Account) -> None:
    """Raise Suspended where the account is."""
    if account.status != AccountStatus.ACTIVE:
        raise Suspended("account")


def forgets(model: type[models.Model]) -> Callable[[Callable[[Any], None]], Any]:
    """Register what makes this process forget its cached rows of a model; it gets the row."""

    def register(forget: Callable[[Any], None]) -> Callable[[Any], None]:
        _forget[model] = forget
        return forget

    return register


def suspend(row: Any, reason: str) -> bool:
    """Stop a row for a reason; False where it is stopped already. Raises ValidationError.

    Here and below: inside a context that may change it; the database writes the audit log.
    """
    return _write(row, "", clean_reason(reason, missing=NO_REASON))


def resume(row: Any) -> bool:
    """Let it work again; False where it did."""
    return bool(row.suspended_reason) and _write(row, row.suspended_reason, "")


def _write(row: Any, before: str, reason: str) -> bool:
    rows = type(row)._default_manager.filter(pk=row.pk, suspended_reason=before)
    changed = bool(rows.update(suspended_reason=reason))
    row.suspended_reason = reason
    if changed and (forget := _forget.get(type(row))):
        transaction.on_commit(partial(forget, row))
    return changed


def suspension_of(row: models.Model) -> AuditEntry | None:
    """Return the entry of who suspended or resumed the row last; in a context."""
    entries = AuditEntry.objects.filter(
        object_type=row._meta.db_table,
        object_id=str(row.pk),
        changes__has_key="suspended_reason",
    )
    found: AuditEntry | None = entries.order_by("-created_at").first()
    return found
