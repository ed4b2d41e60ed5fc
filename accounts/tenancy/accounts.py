"""Accounts as staff find and change them: suspending, reactivating and archiving."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Model, QuerySet
from django.db.models.functions import Now

from accounts.models import Account, AccountStatus
from accounts.tenancy.context import platform_context
from salient.ids import parse_uuid

BADGES = {
    AccountStatus.ACTIVE: "ok",
    AccountStatus.SUSPENDED: "warn",
    AccountStatus.DELETED: "bad",
}
# The status `deleted` deletes nothing, so people read "archived".
NAMES = {AccountStatus.DELETED: "archived"}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """An action that changes a status: what it is called, and what follows from it."""

    status: str
    verb: str
    done: str
    means: str
    dangerous: bool = True
    needs_reason: bool = False


CHANGES = {
    "suspend": StatusChange(
        AccountStatus.SUSPENDED,
        "Suspend",
        "suspended",
        "Every call with its keys and visitors answers 403 “suspended” within 5 seconds, without "
        "the reason, and running answers are stopped. Nothing is deleted, and one click resumes "
        "it.",
        needs_reason=True,
    ),
    "reactivate": StatusChange(
        AccountStatus.ACTIVE,
        "Resume",
        "active again",
        "Its keys, visitors and members can call again within 5 seconds. Keys that were revoked "
        "or have expired stay as they are.",
        dangerous=False,
    ),
    "archive": StatusChange(
        AccountStatus.DELETED,
        "Archive",
        "archived",
        "Every call answers 404 within 5 seconds. Its conversations, costs and configuration are "
        "kept, and no other account can have its slug.",
    ),
}


def find_accounts(ids: Collection[UUID]) -> list[Account]:
    return list(Account.objects.filter(pk__in=ids))


def account_by_id(text: str) -> Account | None:
    """Return the account whose id an address or a form names; None for no id and no account."""
    key = parse_uuid(text)
    return Account.objects.filter(pk=key).first() if key else None


def account_named(text: str) -> Account | None:
    """Return the account of this id or slug."""
    key = parse_uuid(text)
    rows = Account.objects.filter(pk=key) if key else Account.objects.filter(slug=text)
    return rows.first()


def account_of_row(model: type[Model], key: UUID) -> Account | None:
    """Return the account of a row of another table, by the row's id."""
    rows = model._default_manager.filter(pk=key)
    return Account.objects.filter(pk__in=rows.values("account_id")).first()


def row_name(model: type[Model], key: UUID) -> str:
    """Name a row of another table by its id; in a context."""
    row = model._default_manager.filter(pk=key).first()
    return f"no such {model._meta.verbose_name}" if row is None else str(row)


def all_accounts() -> QuerySet[Account]:
    """Return the accounts by slug."""
    return Account.objects.order_by("slug")


def list_accounts() -> list[Account]:
    """List every account, whatever its status, by slug."""
    with platform_context():
        return list(all_accounts())


def read_account(slug: str) -> Account | None:
    """Return the whole row of the account, whatever its status."""
    with platform_context():
        found: Account | None = Account.objects.filter(slug=slug).first()
    return found


def active_accounts() -> QuerySet[Account]:
    return Account.objects.active()


def set_status(account_ids: Collection[UUID], change: StatusChange, reason: str = "") -> int:
    """Change the accounts that have another status, and return how many were changed.

    The reason is kept as long as they are suspended. The database writes each into the audit log.
    """
    others = Account.objects.filter(pk__in=account_ids).exclude(status=change.status)
    return others.update(status=change.status, suspended_reason=reason, updated_at=Now())


def status_badge(account: Account) -> dict[str, str]:
    """Return how the account's status is shown: its `name` and its colour, `state`."""
    status = AccountStatus(account.status)
    return {"name": NAMES.get(status, status.value), "state": BADGES[status]}


def changes_for(account: Account) -> list[tuple[str, StatusChange]]:
    """Return the changes that are possible now, each with its key in CHANGES."""
    return [(name, each) for name, each in CHANGES.items() if each.status != account.status]
