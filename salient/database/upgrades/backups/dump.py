"""Makes a backup: pg_dump and the manifest read the same snapshot."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryFile
from typing import IO, Any, cast

import psycopg
from django.conf import settings

from salient.api.openapi.document import VERSION
from salient.database.diagnosis import ensure_started, in_one_line, parameters
from salient.database.upgrades.backups.archive import (
    CONFIGS,
    DUMP,
    FORM,
    Archive,
    Manifest,
    config_files,
    new_file,
)
from salient.database.upgrades.backups.contents import TABLES, contents_of
from salient.database.upgrades.backups.programs import (
    BackupProblem,
    Programs,
    ended,
    require_success,
)

# Tables of which the login would see no row, or may not read.
HIDDEN = """
    SELECT relname, row_security_active(pg_class.oid) FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' AND (nspname, relname) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        AND (row_security_active(pg_class.oid) OR NOT has_table_privilege(pg_class.oid, 'SELECT'))
    ORDER BY relname
"""
# Roles that a restore needs: those that rights and policies name, but for the owners.
ROLES = """
    SELECT DISTINCT rolname::text FROM (
        SELECT grantee FROM pg_class, aclexplode(relacl) WHERE grantee <> relowner
            AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        UNION SELECT grantee FROM pg_proc, aclexplode(proacl) WHERE grantee <> proowner
            AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        UNION SELECT unnest(polroles) FROM pg_policy
    ) AS named JOIN pg_roles ON pg_roles.oid = grantee ORDER BY 1
"""


def make_backup(path: Path) -> Manifest:
    """Write the database and the agents' files; return the manifest. Raises BackupProblem.

    The login must see all rows: the owner of the tables, or a superuser.
    """
    try:
        ensure_started()
        with psycopg.connect(**parameters()) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            programs = Programs.for_server(connection.info.server_version // 10_000)
            require_all_rows(connection)
            with new_file(path) as file:
                archive = Archive(file)
                manifest = _facts(connection)
                manifest["dump"] = _add_dump(archive, connection, programs)
                manifest["config_files"] = _add_configs(archive)
                archive.close(manifest)
    except psycopg.Error as error:
        raise BackupProblem(in_one_line(error)) from error
    return manifest


def require_all_rows(connection: psycopg.Connection[Any]) -> None:
    tables = connection.execute(TABLES).fetchall()
    schemas, names = [row[0] for row in tables], [row[1] for row in tables]
    found = connection.execute(HIDDEN, [schemas, names]).fetchall()
    if found:
        table, is_filtered = found[0]
        why = "row-level security hides rows from it" if is_filtered else "it may not read"
        user = connection.info.user
        raise BackupProblem(
            f"The login {user!r} cannot back up the database: {why} ({table}, {len(found)} "
            "tables). Use the DATABASE_URL of the tables' owner."
        )


def _facts(connection: psycopg.Connection[Any]) -> Manifest:
    """Return what stands in the database; its transaction sees one moment until it ends."""
    tables = contents_of(connection)
    rows = connection.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
    return {
        "form": FORM,
        "version": VERSION,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": connection.info.dbname,
        "postgresql": connection.info.server_version // 10_000,
        "migrations": [f"{app}.{name}" for app, name in rows.fetchall()],
        "roles": [name for (name,) in connection.execute(ROLES).fetchall()],
        "tables": {name: table._asdict() for name, table in tables.items()},
    }


def _add_dump(
    archive: Archive, connection: psycopg.Connection[Any], programs: Programs
) -> dict[str, Any]:
    [(snapshot,)] = connection.execute("SELECT pg_export_snapshot()").fetchall()
    options = ["--format=custom", "--no-owner", f"--snapshot={snapshot}"]
    with (
        TemporaryFile() as errors,
        ended(programs.start("pg_dump", *options, stdout=PIPE, stderr=errors)) as dumping,
    ):
        size, digest = archive.add_stream(DUMP, cast(IO[bytes], dumping.stdout))
        require_success("pg_dump", dumping, errors)
    return {"bytes": size, "sha256": digest}


def _add_configs(archive: Archive) -> dict[str, str]:
    digests = {}
    for name, data in config_files(Path(settings.AGENT_CONFIG_DIR)):
        archive.add(f"{CONFIGS}/{name}", data)
        digests[name] = hashlib.sha256(data).hexdigest()
    return digests
