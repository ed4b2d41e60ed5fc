"""Restores a backup in one transaction, undone unless every table is as the manifest says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGPIPE
from subprocess import DEVNULL, PIPE
from tempfile import TemporaryFile
from typing import IO, Any, cast

import psycopg
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from salient.database.diagnosis import ensure_started, in_one_line, parameters
from salient.database.upgrades.backups.archive import (
    Manifest,
    dump_of,
    read_manifest,
    require_whole,
)
from salient.database.upgrades.backups.contents import TABLES, Table, checks
from salient.database.upgrades.backups.programs import (
    BackupProblem,
    Programs,
    ended,
    require_success,
)

# A database in use gives its tables up when its transactions have ended; others wait meanwhile.
LOCK_TIMEOUT, TRIES, PAUSE_SECONDS = "2s", 10, 0.5
# lock_not_available and deadlock_detected.
BUSY = {"55P03", "40P01"}
# What stands in the way of a restore, and goes with --replace: views and sequences go with them.
OBJECTS = """
    SELECT format('DROP %s IF EXISTS %s CASCADE', kind, name) FROM (
        SELECT 1 AS place, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            pg_class.oid::regclass::text AS name, 'pg_class'::regclass AS catalog,
            pg_class.oid, relnamespace AS namespace
        FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
        UNION ALL
        SELECT 2, CASE prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE'
                ELSE 'FUNCTION' END,
            oid::regprocedure::text, 'pg_proc'::regclass, oid, pronamespace
        FROM pg_proc
        UNION ALL
        SELECT 3, 'TYPE', oid::regtype::text, 'pg_type'::regclass, oid, typnamespace FROM pg_type
        WHERE typtype IN ('d', 'e', 'r') OR (typtype = 'c' AND
            EXISTS (SELECT FROM pg_class WHERE pg_class.oid = typrelid AND relkind = 'c'))
        UNION ALL
        SELECT 4, 'SCHEMA', quote_ident(nspname), 'pg_namespace'::regclass, oid, oid
        FROM pg_namespace WHERE nspname <> 'public'
    ) AS found JOIN pg_namespace ON pg_namespace.oid = namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = catalog AND objid = found.oid AND objsubid = 0
            AND deptype IN ('e', 'i', 'a'))
    ORDER BY place, name
"""

# Whether the login may make what a backup holds, and how many tables it may not replace.
RIGHTS = """
    SELECT coalesce(has_schema_privilege(to_regnamespace('public'), 'CREATE'), true),
        (SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
            AND NOT pg_has_role(relowner, 'USAGE'))
"""


def check_backup(path: Path) -> Manifest:
    """Restore into a database that is dropped again; raises BackupProblem. Nothing else changes."""
    with (
        _server_for(path) as (manifest, server, programs),
        _scratch_database(server) as name,
    ):
        _load(path, manifest, Programs(programs.folder, name), [])
    return manifest


def restore_backup(path: Path, *, replace: bool, dry_run: bool = False) -> Manifest:
    """Restore into the database of DATABASE_URL, wholly or not at all; raises BackupProblem.

    `replace` drops first what is there. A server may run meanwhile: its calls wait, or get 503.
    """
    with _server_for(path) as (manifest, target, programs):
        require_known(manifest)
        tables = target.execute(TABLES).fetchall()
        if tables and not replace:
            raise BackupProblem(
                f"The database {target.info.dbname!r} is not empty ({len(tables)} tables): "
                "restore into an empty one, or say --replace."
            )
        _require_rights(target)
        if not dry_run:
            _load_over(path, manifest, programs, _drops(target) if replace else [])
    return manifest


def _require_rights(target: psycopg.Connection[Any]) -> None:
    [(may_create, others)] = target.execute(RIGHTS).fetchall()
    if not may_create or others:
        why = f"{others} of its tables belong to another" if others else "it may not make tables"
        raise BackupProblem(
            f"The login {target.info.user!r} cannot restore the database: {why}. Use the "
            "DATABASE_URL of the tables' owner."
        )


def require_known(manifest: Manifest) -> None:
    """Refuse a schema that is newer than this code."""
    known = MigrationLoader(None).disk_migrations
    names = {".".join(key) for key in known}
    names |= {".".join(key) for migration in known.values() for key in migration.replaces}
    if unknown := sorted(set(manifest["migrations"]) - names):
        raise BackupProblem(
            f"This backup is of version {manifest['version']}, whose tables are newer than this "
            f"code ({len(unknown)} unknown migrations, as {unknown[0]}): install that version."
        )


@contextmanager
def _server_for(path: Path) -> Iterator[tuple[Manifest, psycopg.Connection[Any], Programs]]:
    """Read the backup's manifest and connect to the database; its errors are one line."""
    manifest = read_manifest(path)
    require_whole(path, manifest)
    try:
        ensure_started()
        with psycopg.connect(**parameters(), autocommit=True) as server:
            yield manifest, server, _programs(server, manifest)
    except psycopg.Error as error:
        raise BackupProblem(in_one_line(error)) from error


def _programs(server: psycopg.Connection[Any], manifest: Manifest) -> Programs:
    """Find the programs, and the roles that the dump names."""
    query = (
        "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regrole(quote_ident(name)) IS NULL"
    )
    if missing := [name for (name,) in server.execute(query, [manifest["roles"]]).fetchall()]:
        raise BackupProblem(
            f"This server has no role {', '.join(missing)}: create them first, as “manage.py "
            "database_roles --sql” says."
        )
    major = server.info.server_version // 10_000
    return Programs.for_server(max(major, manifest["postgresql"]))


@contextmanager
def _scratch_database(server: psycopg.Connection[Any]) -> Iterator[str]:
    name = f"salient_check_{time.time_ns()}"
    try:
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )
    except psycopg.errors.InsufficientPrivilege:
        raise BackupProblem(
            f"The login {server.info.user!r} may not create a database to check the backup in: "
            "check it with a login that may, on any server."
        ) from None
    try:
        yield name
    finally:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _drops(target: psycopg.Connection[Any]) -> list[str]:
    """Return what empties the database; all of its tables are locked before."""
    tables = [sql.Identifier(*row[:2]) for row in target.execute(TABLES).fetchall()]
    lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.SQL(", ").join(tables))
    locks = [lock.as_string(None)] if tables else []
    drops = [statement for (statement,) in target.execute(OBJECTS).fetchall()]
    return [
        f"SET LOCAL client_min_messages = error; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'",
        *locks,
        *drops,
    ]


def _load_over(path: Path, manifest: Manifest, programs: Programs, before: list[str]) -> None:
    """Load; where a table in use is not free, let others pass and try again."""
    for tries_left in reversed(range(TRIES)):
        try:
            return _load(path, manifest, programs, before)
        except BackupProblem as problem:
            if not tries_left or problem.sqlstate not in BUSY:
                raise
            time.sleep(PAUSE_SECONDS)
    return None


def _load(path: Path, manifest: Manifest, programs: Programs, before: list[str]) -> None:
    """Run `before`, the dump and the checks as one transaction."""
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"]
    tables = {name: Table(**table) for name, table in manifest["tables"].items()}
    with (
        TemporaryFile() as errors,
        ended(programs.start("psql", *options, stdin=PIPE, stdout=DEVNULL, stderr=errors)) as psql,
    ):
        sql_in, is_sent = cast(IO[bytes], psql.stdin), False
        # Whatever ends this without a COMMIT, PostgreSQL undoes all of it.
        with suppress(BrokenPipeError):
            _write(sql_in, "BEGIN", *before)
            _restore_into(sql_in, path, programs)
            _write(sql_in, *checks(tables), "COMMIT")
            sql_in.close()
            is_sent = True
        require_success("psql", psql, errors)
        if not is_sent:
            raise BackupProblem("psql ended too early; nothing was restored.")


def _write(file: IO[bytes], *statements: str) -> None:
    file.write("".join(f"{statement.rstrip().rstrip(';')};\n" for statement in statements).encode())
    file.flush()


def _restore_into(output: IO[bytes], path: Path, programs: Programs) -> None:
    """Have pg_restore write the dump as SQL; raises BrokenPipeError when psql has ended."""
    options = ["--no-owner", "--file=-"]
    with (
        TemporaryFile() as errors,
        ended(
            programs.plain("pg_restore", *options, stdin=PIPE, stdout=output, stderr=errors)
        ) as restoring,
    ):
        dump_in = cast(IO[bytes], restoring.stdin)
        with suppress(BrokenPipeError):
            for chunk in dump_of(path):
                dump_in.write(chunk)
            dump_in.close()
        if restoring.wait() == -SIGPIPE:
            raise BrokenPipeError
        require_success("pg_restore", restoring, errors)
