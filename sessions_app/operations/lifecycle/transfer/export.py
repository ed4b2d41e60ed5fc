"""Writes an account into one archive: its rows at one moment, and its agents' files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import IO, Any, Final

from psycopg import sql

from accounts.audit.notes import note
from accounts.models import Account
from accounts.tenancy.context import alias_in_use, connection_in_use, platform_context
from accounts.tenancy.replica import read_as_tenant
from agents.config import config_dir
from agents.models import AgentInstance
from salient.api.openapi.document import VERSION
from salient.database.upgrades.backups.archive import config_files
from sessions_app.models import Message
from sessions_app.operations.lifecycle.transfer import archive
from sessions_app.operations.lifecycle.transfer.readme import readme
from sessions_app.operations.lifecycle.transfer.tables import (
    HIDDEN,
    LEFT_OUT,
    PEOPLE,
    PEOPLE_COLUMNS,
    Table,
    tables,
)

# So many rows are in memory at a time.
BATCH: Final = 100
_PATIENCE = """
    SELECT set_config('statement_timeout', '900s', true),
        set_config('idle_in_transaction_session_timeout', '120s', true)
"""


def export_account(account: Account, file: IO[bytes]) -> archive.Manifest:
    """Write the account's archive; return its manifest. Outside of any context.

    All rows are of one moment; a replica is read where there is one. Who exports stands in the
    account's audit log before, so also in the archive unless the replica lags. The file must be
    seekable: where the replica fails, it is written again from its beginning.
    """
    with platform_context():
        note(account.pk, "accounts", "export of the account")
    return read_as_tenant(account.pk, partial(_write, account, file), snapshot=True)


def count_exported(account: Account) -> dict[str, int]:
    """Return how many rows of which table an archive would hold now."""
    return read_as_tenant(account.pk, partial(_counts, account), snapshot=True)


def has_more_messages(account: Account, most: int) -> bool:
    """Whether the account has more messages; it counts no further. In the platform context."""
    return Message.objects.filter(account_id=account.pk)[most : most + 1].exists()


def _write(account: Account, file: IO[bytes]) -> archive.Manifest:
    file.seek(0)
    file.truncate()
    with connection_in_use().cursor() as cursor:
        cursor.execute(_PATIENCE)
    writer, moment = archive.Writer(file), datetime.now(UTC)
    writer.add(archive.README, readme(account, moment).encode())
    for table in tables():
        writer.add_lines(f"{archive.DATA}{table.name}.jsonl", _rows(table, account))
    writer.add_lines(f"{archive.DATA}{PEOPLE}.jsonl", _people(account))
    _add_files(writer, account)
    return writer.close(
        {
            "kind": archive.KIND,
            "format": archive.FORMAT,
            "version": VERSION,
            "exported_at": moment.isoformat(timespec="seconds"),
            "account": {"id": str(account.pk), "slug": account.slug, "name": account.name},
            "read_from": alias_in_use(),
            "migrations": archive.migrations(),
            "left_out": dict(LEFT_OUT),
            "columns_left_out": {name: sorted(columns) for name, columns in HIDDEN.items()},
        }
    )


def _counts(account: Account) -> dict[str, int]:
    found = {}
    with connection_in_use().cursor() as cursor:
        cursor.execute(_PATIENCE)
        for table in tables():
            query = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s")
            names = sql.Identifier(table.name), sql.Identifier(table.owner)
            cursor.execute(query.format(*names), [account.pk])
            [found[table.name]] = cursor.fetchone()
    return {name: many for name, many in found.items() if many}


def _rows(table: Table, account: Account) -> Iterator[str]:
    """Yield the rows as JSON in the order of their key, batch by batch."""
    last: list[Any] = []
    with connection_in_use().cursor() as cursor:
        while True:
            cursor.execute(_query(table, account, is_first=not last), [account.pk, *last, BATCH])
            found = cursor.fetchall()
            yield from (row[0] for row in found)
            if len(found) < BATCH or not table.key:
                return
            last = list(found[-1][1:])


def _query(table: Table, account: Account, *, is_first: bool) -> sql.Composed:
    comma = sql.SQL(", ")
    places = comma.join([sql.Placeholder()] * len(table.key))
    after = sql.SQL("" if is_first else " AND ({}) > ({})").format(
        *(() if is_first else (comma.join(table.ordered("t")), places))
    )
    order = sql.SQL("" if not table.key else " ORDER BY {}")
    return sql.SQL(
        "SELECT row_to_json(r)::text{keys} FROM (SELECT {columns} FROM {table} AS t "
        "WHERE t.{owner} = %s{after}{inner} LIMIT %s) AS r{outer}"
    ).format(
        keys=sql.SQL("").join(
            sql.SQL(", r.{}::text").format(sql.Identifier(name)) for name, _ in table.key
        ),
        columns=comma.join(_column(table, name, account) for name in table.exported),
        table=sql.Identifier(table.name),
        owner=sql.Identifier(table.owner),
        after=after,
        inner=order.format(*([comma.join(table.ordered("t"))] if table.key else ())),
        outer=order.format(*([comma.join(table.ordered("r"))] if table.key else ())),
    )


def _column(table: Table, name: str, account: Account) -> sql.Composable:
    """Return what is exported of a column; of people who are no members nothing is known there."""
    if name not in table.people:
        return sql.SQL("t.{}").format(sql.Identifier(name))
    return sql.SQL(
        "CASE WHEN t.{0} IN (SELECT user_id FROM memberships WHERE account_id = {1}) "
        "THEN t.{0} END AS {0}"
    ).format(sql.Identifier(name), sql.Literal(account.pk))


def _people(account: Account) -> Iterator[str]:
    """Yield the account's members: who they are, no password."""
    query = sql.SQL(
        "SELECT row_to_json(r)::text FROM (SELECT {} FROM users WHERE id IN "
        "(SELECT user_id FROM memberships WHERE account_id = %s) ORDER BY id) AS r ORDER BY r.id"
    )
    with connection_in_use().cursor() as cursor:
        cursor.execute(
            query.format(sql.SQL(", ").join(map(sql.Identifier, PEOPLE_COLUMNS))), [account.pk]
        )
        while found := cursor.fetchmany(BATCH):
            yield from (row[0] for row in found)


def _add_files(writer: archive.Writer, account: Account) -> None:
    """Add each agent's configuration files, as they are on this server."""
    rows = AgentInstance.objects.filter(account_id=account.pk).order_by("instance_slug")
    for agent in rows.only("instance_slug", "config_folder"):
        folder = config_dir().joinpath(*agent.folder_in(account.slug))
        for name, data in config_files(folder):
            writer.add(f"{archive.CONFIG}{agent.instance_slug}/{name}", data)
