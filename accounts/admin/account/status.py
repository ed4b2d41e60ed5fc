"""Suspending, reactivating and archiving tenants: what it means, and doing it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Now

from accounts.models import Account, AccountStatus

BADGES = {
    AccountStatus.ACTIVE: "ok",
    AccountStatus.SUSPENDED: "warn",
    AccountStatus.DELETED: "bad",
}
# The status `deleted` keeps everything: that is an archive to people.
NAMES = {AccountStatus.DELETED: "archived"}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """What the change to a status is called and what follows from it, in words."""

    status: str
    verb: str
    done: str
    means: str
    dangerous: bool = True


CHANGES = {
    "suspend": StatusChange(
        AccountStatus.SUSPENDED,
        "Suspend",
        "suspended",
        "Every call with its keys, visitors and members answers 404 within 5 seconds, and answers "
        "under way end. Nothing is deleted; it can be reactivated.",
    ),
    "reactivate": StatusChange(
        AccountStatus.ACTIVE,
        "Reactivate",
        "reactivated",
        "Its keys, visitors and members are let in again within 5 seconds. Keys that were revoked "
        "or have expired stay as they are.",
        dangerous=False,
    ),
    "archive": StatusChange(
        AccountStatus.DELETED,
        "Archive",
        "archived",
        "It is put away: every call answers 404 within 5 seconds. Its conversations, costs and "
        "configuration stay, and its slug stays taken.",
    ),
}


def set_status(account_ids: Collection[UUID], change: StatusChange) -> int:
    """Change those that are not so already, and say how many; the audit log names each."""
    others = Account.objects.filter(pk__in=account_ids).exclude(status=change.status)
    return others.update(status=change.status, updated_at=Now())


def badge(account: Account) -> dict[str, str]:
    """Return how the status is shown: its name and its colour."""
    status = AccountStatus(account.status)
    return {"name": NAMES.get(status, status.value), "state": BADGES[status]}


def open_to(account: Account) -> list[tuple[str, StatusChange]]:
    """Return what can be done to the account now."""
    return [(name, each) for name, each in CHANGES.items() if each.status != account.status]
