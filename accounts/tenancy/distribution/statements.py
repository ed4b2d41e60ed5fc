"""The SQL that distributes a migrated database by account, made from its catalog.

In this order: keys and nulls that Citus refuses, triggers off, the cluster's functions, the
distribution itself, then the keys and triggers again, what the dropped keys did, and the logins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

from django.apps import apps

from accounts.models.audit import NOBODY
from accounts.tenancy.distribution.tables import OFF_SHARDS, distributed_tables
from accounts.tenancy.roles import ROLES, Database
from salient.database.sql_files import in_schema

# With the policy “erased”: entries of an account that is being erased.
ERASES: Final = "GRANT DELETE ON audit_log TO salient_platform"
# ruff: noqa: S608 - built from the catalog and from constants
_KEYS = """
    SELECT conrelid::regclass::text, conname, confrelid::regclass::text,
        (SELECT array_agg(attname::text ORDER BY place)
            FROM unnest(conkey) WITH ORDINALITY AS part (number, place)
            JOIN pg_attribute ON attrelid = conrelid AND attnum = number),
        (SELECT array_agg(attname::text ORDER BY place)
            FROM unnest(confkey) WITH ORDINALITY AS part (number, place)
            JOIN pg_attribute ON attrelid = confrelid AND attnum = number),
        confdeltype
    FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0 AND connamespace = current_schema()::regnamespace
    ORDER BY 1, 2
"""
_UNIQUE = """
    SELECT indrelid::regclass::text, indexrelid::regclass::text, indisprimary,
        (SELECT conname FROM pg_constraint
            WHERE conindid = indexrelid AND contype IN ('p', 'u')), pg_get_indexdef(indexrelid)
    FROM pg_index
    WHERE indisunique AND indrelid = ANY(%s::text[]::regclass[]) AND NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = indrelid AND attnum = ANY(indkey) AND attname = 'account_id')
    ORDER BY 1, 2
"""
_TRIGGERS = """
    SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(pg_trigger.oid), proname::text
    FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE NOT tgisinternal AND tgrelid = ANY(%s::text[]::regclass[]) ORDER BY 1, 2
"""
_NULLS = """
    SELECT attrelid::regclass::text FROM pg_attribute
    WHERE attname = 'account_id' AND NOT attnotnull
        AND attrelid = ANY(%s::text[]::regclass[]) ORDER BY 1
"""
ON_WORKERS: Final = "SELECT nodename, nodeport, success, result FROM run_command_on_workers("
_ACTIONS = {"c": " ON DELETE CASCADE", "n": "", "d": "", "a": "", "r": " ON DELETE RESTRICT"}


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key; `on_delete` is a letter of pg_constraint."""

    table: str
    name: str
    target: str
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    on_delete: str

    def without_slugs(self) -> str:
        pairs = zip(self.columns, self.targets, strict=True)
        kept = [pair for pair in pairs if not any(map(is_slug, pair))]
        columns, targets = (", ".join(part) for part in zip(*kept, strict=True))
        return (
            f'ALTER TABLE {self.table} ADD CONSTRAINT "{self.name}" FOREIGN KEY ({columns}) '
            f"REFERENCES {self.target} ({targets}){_ACTIONS[self.on_delete]}"
        )


def statements(database: Database) -> Iterator[str]:
    """Yield the SQL, one statement each, without semicolons at their ends."""
    tables = distributed_tables()
    keys = [Key(t, n, r, tuple(c), tuple(f), a) for t, n, r, c, f, a in database.rows(_KEYS)]
    touching = [key for key in keys if key.table in tables or key.target in tables]
    inside = [key for key in touching if key.table in tables and key.target in tables]
    yield from (f'ALTER TABLE {key.table} DROP CONSTRAINT "{key.name}"' for key in touching)
    # No key to accounts is left: the nil id is nobody's.
    for (table,) in database.rows(_NULLS, [tables]):
        yield f"UPDATE {table} SET account_id = '{NOBODY}' WHERE account_id IS NULL"
        yield (
            f"ALTER TABLE {table} ALTER account_id SET DEFAULT '{NOBODY}', "
            "ALTER account_id SET NOT NULL"
        )
    yield from _wider_uniques(database, tables)
    triggers = database.rows(_TRIGGERS, [tables])
    yield from (f'DROP TRIGGER "{name}" ON {table}' for table, name, _, _ in triggers)
    yield from cluster_functions(database)
    yield from _settings(database)
    yield from _distribute(_parents_first(tables, inside))
    yield from (key.without_slugs() for key in inside)
    yield from (made for _, _, made, function in triggers if function not in OFF_SHARDS)
    yield from _followers(database, touching, _parents_first(tables, inside))
    yield from _logins(database)


def cluster_functions(database: Database) -> Iterator[str]:
    """Yield the variants that Citus' planner takes, from {app}/sql/cluster."""
    for config in apps.get_app_configs():
        for path in sorted(Path(config.path, "sql", "cluster").glob("*.sql")):
            text = in_schema(path.read_text(encoding="utf-8"), database.connection)
            yield text.strip().removesuffix(";")


def _wider_uniques(database: Database, tables: list[str]) -> Iterator[str]:
    for table, index, is_primary, constraint, definition in database.rows(_UNIQUE, [tables]):
        if is_primary:
            yield (
                f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}", '
                f'ADD CONSTRAINT "{constraint}" PRIMARY KEY (id, account_id)'
            )
            continue
        yield (
            f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"'
            if constraint
            else f"DROP INDEX {index}"
        )
        yield definition.replace("btree (", "btree (account_id, ", 1)


def _parents_first(tables: list[str], keys: Iterable[Key]) -> list[str]:
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(tables, ()))
    for key in keys:
        if key.table != key.target:
            order.add(key.table, key.target)
    return list(order.static_order())


def _settings(database: Database) -> Iterator[str]:
    """Yield what the database needs for contexts: SET LOCAL goes to the workers."""
    [(name,)] = database.rows("SELECT quote_ident(current_database())")
    for setting, value in (
        ("citus.propagate_set_commands", "local"),
        ("citus.multi_shard_modify_mode", "sequential"),
    ):
        yield f"ALTER DATABASE {name} SET {setting} TO '{value}'"
        yield f"SET {setting} TO '{value}'"


def _logins(database: Database) -> Iterator[str]:
    """Yield LOGIN and CONNECT on the workers, where distributing made the roles as they are here.

    The coordinator logs in there as the role of the context. Where the database was closed to
    PUBLIC (`database_roles --sql`), Citus has closed it on the workers as well.
    """
    [(name,)] = database.rows("SELECT quote_ident(current_database())")
    for role in ROLES:
        # One statement: of several Citus tells only what came of the first.
        yield (
            f"{ON_WORKERS}$workers$DO $$ BEGIN "
            "SET LOCAL citus.enable_alter_role_propagation TO off; "
            "SET LOCAL citus.enable_ddl_propagation TO off; "
            f"ALTER ROLE {role} LOGIN; GRANT CONNECT ON DATABASE {name} TO {role}; "
            "END $$ $workers$)"
        )


def _distribute(tables: list[str]) -> Iterator[str]:
    yield "SET citus.enable_unsafe_triggers = on"
    for place, table in enumerate(tables):
        beside = tables[0] if place else "none"
        yield (
            f"SELECT create_distributed_table('{table}', 'account_id', colocate_with := '{beside}')"
        )
        yield f"SELECT truncate_local_data_after_distributing_table('{table}')"


def _followers(database: Database, dropped: list[Key], tables: list[str]) -> Iterator[str]:
    """Yield triggers that do what keys to other servers' tables did: erase, rename, forget."""
    columns = database.columns()
    renames = [
        f"UPDATE {{schema}}.{table} SET account_slug = NEW.slug WHERE account_id = NEW.id"
        for table in tables
        if "account_slug" in columns[table]
    ]
    # The log last: triggers of the other tables write into it, which see no account from a worker.
    erased = [table for table in reversed(tables) if table != "audit_log"] + ["audit_log"]
    deletes = [f"DELETE FROM {{schema}}.{table} WHERE account_id = OLD.id" for table in erased]
    erasing = "EXECUTE format('SET LOCAL app.erasing TO %L', OLD.id)"
    yield from _trigger("accounts", "follow_renamed", "UPDATE OF slug", renames, database)
    yield from _trigger("accounts", "follow_erased", "DELETE", [erasing, *deletes], database)
    people = [key for key in dropped if key.target == "users"]
    yield from _trigger("users", "follow_erased", "DELETE", map(_forget, people), database)
    for target in tables:
        referring = [key for key in dropped if key.target == target]
        if moved := [line for key in referring for line in _renamed(key)]:
            [slug] = {column for key in referring for column in key.targets if is_slug(column)}
            yield from _trigger(target, "follow_renamed", f"UPDATE OF {slug}", moved, database)
    yield ERASES
    yield (
        "CREATE POLICY erased ON audit_log AS RESTRICTIVE FOR DELETE TO salient_platform "
        "USING (account_id = nullif(current_setting('app.erasing', true), '')::uuid)"
    )


def _renamed(key: Key) -> Iterator[str]:
    pairs = dict(zip(key.targets, key.columns, strict=True))
    for target, column in pairs.items():
        if is_slug(target):
            yield (
                f"UPDATE {{schema}}.{key.table} SET {column} = NEW.{target} "
                f"WHERE account_id = NEW.account_id AND {pairs['id']} = NEW.id"
            )


def is_slug(column: str) -> bool:
    """Whether a renamed account or agent changes it: then no key of a cluster holds it."""
    return column.endswith("slug")


def _forget(key: Key) -> str:
    [column] = [c for c, target in zip(key.columns, key.targets, strict=True) if target == "id"]
    if key.on_delete == "c":
        return f"DELETE FROM {{schema}}.{key.table} WHERE {column} = OLD.id"
    return f"UPDATE {{schema}}.{key.table} SET {column} = NULL WHERE {column} = OLD.id"


def _trigger(
    table: str, name: str, event: str, lines: Iterable[str], database: Database
) -> Iterator[str]:
    [(schema,)] = database.rows("SELECT quote_ident(current_schema()::text)")
    body = "".join(f"    {line.replace('{schema}', schema)};\n" for line in lines)
    function = f"app_{name}_{table}"
    yield (
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger\n"
        "LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$\nBEGIN\n"
        f"{body}    RETURN NULL;\nEND $$"
    )
    yield f"REVOKE ALL ON FUNCTION {function}() FROM PUBLIC"
    yield (
        f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"
    )


def one_line(statement: str) -> str:
    """Return the statement's beginning, for a report."""
    code = re.sub(r"^--.*$", "", statement, flags=re.MULTILINE)
    return " ".join(code.split())[:100]
