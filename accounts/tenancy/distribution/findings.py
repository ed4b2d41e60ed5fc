"""What of the schema Citus refuses or does in another way, read from the catalog without Citus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from accounts.tenancy.distribution.tables import distributed_tables
from accounts.tenancy.roles import Database

# What `distribute` changes: by the rule, each index, key or function with why it breaks the rule.
# Upper apps add theirs (register_changed).
CHANGED: Final[dict[str, dict[str, str]]] = {
    "unique without account_id": {
        "audit_log_pkey": "the log has entries of no account, and a primary key holds no null",
    },
    "account_id may be null": {"audit_log": "the log has entries of no account"},
    # By the triggers' functions.
    "trigger": {"app_record_change": "the audit log, which names who changed the row"},
}
# Erasing an account or a person takes their rows along; on a cluster triggers of these tables do.
KEYS_TO_LOCAL_TABLES: Final = {"accounts", "users"}
_UNIQUE = """
    SELECT indexrelid::regclass::text FROM pg_index
    WHERE indisunique AND indrelid = ANY(%(tables)s::text[]::regclass[]) AND NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = indrelid AND attnum = ANY(indkey) AND attname = 'account_id'
    )
"""
_KEYS = """
    SELECT conrelid::regclass::text, conname, confrelid::regclass::text, confupdtype = 'c',
        confdeltype IN ('n', 'd'), EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = conrelid AND attnum = ANY(conkey) AND attname = 'account_id'
        )
    FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0 AND (conrelid = ANY(%(tables)s::text[]::regclass[])
        OR confrelid = ANY(%(tables)s::text[]::regclass[]))
"""
_POLICIES = """
    SELECT polrelid::regclass::text FROM pg_policy
    WHERE polrelid = ANY(%(tables)s::text[]::regclass[])
        AND concat(polqual::text, polwithcheck::text) LIKE '%%SUBLINK%%'
"""
_TRIGGERS = """
    SELECT DISTINCT proname::text FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE NOT tgisinternal AND tgrelid = ANY(%(tables)s::text[]::regclass[])
"""
_NULLS = """
    SELECT attrelid::regclass::text FROM pg_attribute
    WHERE attname = 'account_id' AND NOT attnotnull
        AND attrelid = ANY(%(tables)s::text[]::regclass[])
"""


def register_changed(rules: Mapping[str, Mapping[str, str]]) -> None:
    """Add what of an app's tables `distribute` changes, as CHANGED has it."""
    for rule, names in rules.items():
        CHANGED.setdefault(rule, {}).update(names)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What breaks a rule; `change` says why `distribute` changes it, and is empty for a fault."""

    rule: str
    name: str
    change: str = ""


def missing_tables(database: Database) -> list[str]:
    """Return the tables of the registry that this database does not have: it is not migrated."""
    have = database.columns()
    return [table for table in distributed_tables() if table not in have]


def findings(database: Database) -> list[Finding]:
    """Return all that breaks a rule, sorted."""
    found = [
        Finding(rule, name, CHANGED.get(rule, {}).get(name, ""))
        for rule, name in _found(database, distributed_tables())
    ]
    return sorted(found)


def _found(database: Database, tables: list[str]) -> Iterator[tuple[str, str]]:
    values = {"tables": tables}
    for rule, query in (
        ("unique without account_id", _UNIQUE),
        ("sub-select in a policy", _POLICIES),
        ("trigger", _TRIGGERS),
        ("account_id may be null", _NULLS),
    ):
        yield from ((rule, name) for (name,) in database.rows(query, values))
    for table, name, target, follows_updates, sets, has_account in database.rows(_KEYS, values):
        if table not in tables:
            yield "key from a local table", name
        elif target not in tables:
            if target not in KEYS_TO_LOCAL_TABLES:
                yield "key to a local table", name
        elif not has_account:
            yield "key without account_id", name
        else:
            if follows_updates:
                yield "ON UPDATE CASCADE with account_id", name
            if sets:
                yield "ON DELETE SET with account_id", name
