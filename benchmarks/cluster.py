"""The benchmark's own PostgreSQL, from the embedded wheel, and queries about its load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from salient.database.embedded import NAME, EmbeddedServer, socket_directory
from salient.local.shared_process import SharedProcess

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "var" / "bench"
DIRECTORY = BENCH / "postgres"
# Besides the embedded server's own settings. Both sides of every comparison have them.
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    # Counts statements of clients, not those inside of functions.
    "pg_stat_statements.track": "top",
    "max_connections": "200",
    "shared_buffers": "512MB",
    "max_wal_size": "2GB",
}


class BenchServer(EmbeddedServer):
    """The embedded server with statistics of its statements."""

    def _make_cluster(self, log: IO[bytes]) -> None:
        super()._make_cluster(log)
        lines = [f"{name} = '{value}'\n" for name, value in SETTINGS.items()]
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(lines)


def start() -> None:
    """Start the server; it runs until this process ends."""
    DIRECTORY.parent.mkdir(parents=True, exist_ok=True)
    SharedProcess(
        name="the benchmark's PostgreSQL",
        directory=DIRECTORY,
        factory="benchmarks.cluster:BenchServer",
    ).ensure()
    with administrator() as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def url(database: str, client: str = "benchmark") -> str:
    """DATABASE_URL in Salient's form; the client's name identifies its connections."""
    host = quote(str(socket_directory(DIRECTORY)), safe="")
    return f"postgres://{NAME}@/{database}?host={host}&application_name={client}"


@contextmanager
def administrator(database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url(database), autocommit=True) as connection:
        yield connection


def make_database(name: str, *, template: str = "template1") -> None:
    """Create it, replacing an old one; nobody may be connected to the template."""
    drop_database(name)
    with administrator() as connection:
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        connection.execute(make.format(sql.Identifier(name), sql.Identifier(template)))


def drop_database(name: str) -> None:
    with administrator() as connection:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(drop.format(sql.Identifier(name)))


def backends(client: str) -> list[int]:
    """The processes that serve this client's connections."""
    found = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
    with administrator() as connection:
        connected = connection.execute(f"{found} AND backend_type = 'client backend'", [client])
        return [pid for (pid,) in connected]


def statements(database: str) -> int:
    """Return the number of statements that clients sent to it, BEGIN and COMMIT included."""
    count = (
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements s "
        "JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = %s"
    )
    with administrator() as connection:
        row = connection.execute(count, [database]).fetchone()
    return int(row[0]) if row else 0
