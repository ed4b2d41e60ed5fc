"""What a check is: what it looks for, in whose rows, and what it has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.models import Account
from accounts.tenancy.context import platform_context
from sessions_app.usage.rollup import Differences

# A statement reads whole tables, which takes longer than a page may.
STATEMENT_SECONDS = 600
# So many of what was found are named.
NAMED = 10

_COUNTED = """
    WITH found (account_id, id) AS MATERIALIZED ({query})
    SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(named)s),
        ARRAY(SELECT account_id::text FROM found GROUP BY account_id ORDER BY account_id),
        ARRAY(SELECT count(*) FROM found GROUP BY account_id ORDER BY account_id)
"""


@dataclass(slots=True)
class Scope:
    """Whose rows are looked at: one account's, or everybody's."""

    account: Account | None = None
    # What sessions_app/usage/rollup.py found, by account: two checks read it.
    differences: dict[UUID, Differences] | None = None

    @property
    def account_id(self) -> UUID | None:
        return None if self.account is None else self.account.pk

    @property
    def slug(self) -> str | None:
        return None if self.account is None else self.account.slug


@dataclass(slots=True)
class Found:
    """How many there are, the names of the first ones, and how many each account has."""

    count: int = 0
    ids: list[str] = field(default_factory=list)
    accounts: Counter[UUID] = field(default_factory=Counter)

    @classmethod
    def of(cls, rows: Iterable[tuple[UUID | None, str]]) -> Found:
        """Read (account, name) of each."""
        listed = sorted(rows, key=lambda row: row[1])
        accounts = Counter(account for account, _ in listed if account is not None)
        return cls(len(listed), [name for _, name in listed[:NAMED]], accounts)

    def __add__(self, other: Found) -> Found:
        ids = [*self.ids, *other.ids][:NAMED]
        return Found(self.count + other.count, ids, self.accounts + other.accounts)


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of contradiction; `means` is a sentence, `advice` says what to do about it.

    `find` opens its own contexts. `mend` mends all of it, by the same condition; `table` is where,
    for the audit log. What a `notice` finds may be intended: it is told and is no fault.
    """

    name: str
    means: str
    advice: str
    find: Callable[[Scope], Found]
    mend: Callable[[Scope], None] | None = None
    table: str = ""
    is_notice: bool = False


def count_rows(query: str, scope: Scope, **values: Any) -> Found:
    """Run a SELECT of (account_id, name) over the rows of `%(account)s`, or of all where null."""
    known = {"account": scope.account_id, "named": NAMED} | values
    with platform_context(statement_seconds=STATEMENT_SECONDS), connection.cursor() as cursor:
        cursor.execute(_COUNTED.format(query=query), known)
        count, ids, accounts, counts = cursor.fetchone()
    numbers = zip(accounts, counts, strict=True)
    return Found(count, ids, Counter({UUID(each): n for each, n in numbers if each is not None}))


def change_rows(statement: str, scope: Scope, **values: Any) -> None:
    with platform_context(statement_seconds=STATEMENT_SECONDS), connection.cursor() as cursor:
        cursor.execute(statement, {"account": scope.account_id} | values)


def of_account(alias: str) -> str:
    """Return the condition that a row belongs to the scope."""
    return f"(%(account)s::uuid IS NULL OR {alias}.account_id = %(account)s::uuid)"
