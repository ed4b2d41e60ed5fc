"""Refused calls of an account, of a key, or of all accounts: how often, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts.audit.refusals.counting import OTHER, UNKNOWN
from accounts.audit.refusals.days import Refused, refusals
from accounts.keys.services import keys_by_public_id
from accounts.models import ApiKey
from sessions_app.usage.error_help import ErrorHelp, help_with_refusal
from sessions_app.usage.queries import Days

MOST_OF_ALL, MOST_ROWS = 8, 20
CALLERS = {
    UNKNOWN: "no valid key or token",
    OTHER: "many callers",
    "secret_key": "a key",
    "publishable_key": "a publishable key",
    "visitor": "a visitor",
    "end_user": "an end user",
    "member": "a member",
    "staff": "staff",
}


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A sum of refusals with what its code means, and who called."""

    sum: Refused
    # None where a row above says the same.
    help: ErrorHelp | None
    caller: str
    key: ApiKey | None


def refused_of_all(days: Days) -> list[RefusalRow]:
    """Return the most frequent refusals by account and code; inside the platform context."""
    columns = ("account_id", "account_slug")
    return _rows(refusals(*columns, first=days.first, last=days.last, most=MOST_OF_ALL), {})


def refused_of_account(account_id: UUID, days: Days) -> list[RefusalRow]:
    """Return an account's most frequent refusals by code, caller, key and agent; in a context."""
    found = _of_account(account_id, days)
    return _rows(found, keys_by_public_id(account_id, {each.key_id for each in found}))


def refused_of_key(key: ApiKey, days: Days) -> list[RefusalRow]:
    """Return a key's most frequent refusals by code and agent, its visitors' too; in a context."""
    return _rows(_of_account(key.account_id, days, key.key_id), {key.key_id: key})


def _of_account(account_id: UUID, days: Days, key_id: str | None = None) -> list[Refused]:
    return refusals(
        *("account_id", "caller", "key_id", "agent"),
        first=days.first,
        last=days.last,
        most=MOST_ROWS,
        account_id=account_id,
        key_id=key_id,
    )


def _rows(found: Sequence[Refused], keys: Mapping[str, ApiKey]) -> list[RefusalRow]:
    rows, explained = [], set()
    for each in found:
        help_ = help_with_refusal(each.code, each.status)
        said, is_new = CALLERS.get(each.caller, each.caller), help_ not in explained
        explained.add(help_)
        rows.append(RefusalRow(each, help_ if is_new else None, said, keys.get(each.key_id)))
    return rows
