"""Distributes the database of this installation, and says how it is distributed."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from accounts.tenancy.distribution.findings import findings, missing_tables
from accounts.tenancy.distribution.statements import ERASES, ON_WORKERS, one_line, statements
from accounts.tenancy.distribution.tables import LOCAL_TABLES, distributed_tables
from accounts.tenancy.roles import Database, grant_rights
from salient.database import DatabaseProblem

NO_EXTENSION = (
    "this database has no extension citus: install it on every node, add the workers with "
    "citus_add_node, and run this again"
)
HOLDS_SHARDS = (
    "the coordinator may hold shards, on which INSERT … SELECT and COPY pass by row-level "
    "security: SELECT citus_set_node_property(nodename, nodeport, 'shouldhaveshards', false) "
    "FROM pg_dist_node WHERE groupid = 0"
)
NO_WORKERS = "the cluster has no worker that may hold shards: add them with citus_add_node"
NOT_MIGRATED = "this database lacks tables of this version: run manage.py migrate first"
_NODES = """
    SELECT nodename, nodeport, groupid = 0, shouldhaveshards, isactive,
        (SELECT count(*) FROM pg_dist_placement
            WHERE pg_dist_placement.groupid = pg_dist_node.groupid)
    FROM pg_dist_node ORDER BY groupid, nodename, nodeport
"""
_SHARDS = """
    SELECT logicalrelid::text, count(*)
    FROM pg_dist_partition LEFT JOIN pg_dist_shard USING (logicalrelid)
    WHERE partmethod = 'h' GROUP BY 1 ORDER BY 1
"""


def check(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return what stands in the way and what would be changed; needs no Citus.

    Raises DatabaseProblem where the database is not migrated.
    """
    require_migrated(connection)
    found = findings(Database(connection))
    return {
        "ok": all(each.change for each in found),
        "faults": [f"{each.rule}: {each.name}" for each in found if not each.change],
        "changes": [f"{each.rule}: {each.name} ({each.change})" for each in found if each.change],
        "distributed": distributed_tables(),
        "local": sorted(LOCAL_TABLES),
    }


def status(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return the cluster's nodes and the tables with their shards."""
    database = Database(connection)
    if not _has_extension(database):
        return {"citus": False, "nodes": [], "tables": {}, "undistributed": distributed_tables()}
    names = ("host", "port", "is_coordinator", "holds_shards", "is_active", "shards")
    tables = {
        table: shards for table, shards in database.rows(_SHARDS) if table in distributed_tables()
    }
    return {
        "citus": True,
        "nodes": [dict(zip(names, row, strict=True)) for row in database.rows(_NODES)],
        "tables": tables,
        "undistributed": [table for table in distributed_tables() if table not in tables],
    }


def apply(connection: BaseDatabaseWrapper) -> int:
    """Distribute the tables, and return how many statements that took.

    One statement after the other, as Citus wants it: stop the servers before, and have a backup.
    Raises DatabaseProblem, one line, where it may not begin or a statement fails.
    """
    database = Database(connection)
    require_migrated(connection)
    if problem := refusal(connection):
        raise DatabaseProblem(problem)
    done = 0
    for statement in plan(connection):
        try:
            told = _run(database, statement)
        except DatabaseError as error:
            told = str(error)
        if told:
            raise DatabaseProblem(
                f"statement {done + 1} failed, “{one_line(statement)} …”: {' '.join(told.split())}"
            )
        done += 1
    grant_rights(connection.alias)
    # Migrations keep it where DATABASE_DISTRIBUTED is set.
    database.run(ERASES)
    return done


def _run(database: Database, statement: str) -> str:
    """Run it, and return what failed on a worker, for which Citus raises no error; else ""."""
    if not statement.startswith(ON_WORKERS):
        database.run(statement)
        return ""
    failed = [row for row in database.rows(statement) if not row[2]]
    return "; ".join(f"{host}:{port}: {result}" for host, port, _, result in failed)


def require_migrated(connection: BaseDatabaseWrapper) -> None:
    """Raise DatabaseProblem, one line, where tables are missing."""
    if missing_tables(Database(connection)):
        raise DatabaseProblem(NOT_MIGRATED)


def plan(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the statements that `apply` runs; raises DatabaseProblem as `check` does."""
    require_migrated(connection)
    return list(statements(Database(connection)))


def refusal(connection: BaseDatabaseWrapper) -> str:
    """Return why this database may not be distributed, "" where it may."""
    database = Database(connection)
    if not _has_extension(database):
        return NO_EXTENSION
    found = status(connection)
    if any(node["is_coordinator"] and node["holds_shards"] for node in found["nodes"]):
        return HOLDS_SHARDS
    if not any(node["holds_shards"] for node in found["nodes"]):
        return NO_WORKERS
    if found["tables"]:
        return f"{len(found['tables'])} tables are distributed already: see --status"
    if faults := [each for each in findings(database) if not each.change]:
        return f"{faults[0].rule}: {faults[0].name}, and {len(faults) - 1} more: see --check"
    return ""


def _has_extension(database: Database) -> bool:
    return bool(database.rows("SELECT FROM pg_extension WHERE extname = 'citus'"))
