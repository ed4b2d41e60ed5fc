"""`manage.py distribute`: spread the accounts' tables over the servers of a Citus cluster."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db import connection

from accounts.tenancy.distribution import cluster
from salient.database import DatabaseProblem
from salient.management.base import Refused, ReportingCommand


class Command(ReportingCommand):
    """Run it with the DATABASE_URL of the tables' owner."""

    help = "Distribute the tables by account; exit code 1 when something stands in the way."
    writes = False

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "--check", action="store_true", help="what stands in the way; needs no Citus"
        )
        what.add_argument("--sql", action="store_true", help="print the SQL that --apply runs")
        what.add_argument(
            "--apply", action="store_true", help="run it, while no server of Salient runs"
        )
        what.add_argument("--status", action="store_true", help="the tables, shards and nodes")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        try:
            if options["sql"]:
                return {"sql": cluster.plan(connection)}
            if options["status"]:
                return cluster.status(connection)
            if options["check"]:
                return cluster.check(connection)
            return {"applied": cluster.apply(connection)}
        except DatabaseProblem as problem:
            raise Refused(str(problem)) from problem

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if "sql" in report:
            yield from (f"{statement};" for statement in report["sql"])
        elif "applied" in report:
            yield f"Ran {report['applied']} statements: the tables are distributed by account."
        elif "nodes" in report:
            yield from self._status(report)
        else:
            yield from (f"in the way  {line}" for line in report["faults"])
            if not report["faults"]:
                yield "Nothing stands in the way."
            yield from (f"is changed  {line}" for line in report["changes"])
            yield f"distributed ({len(report['distributed'])}): {', '.join(report['distributed'])}"
            yield f"local ({len(report['local'])}): {', '.join(report['local'])}"

    def _status(self, report: Mapping[str, Any]) -> Iterator[str]:
        if not report["citus"]:
            yield "This database has no Citus: all tables are on one server."
            return
        for node in report["nodes"]:
            role = "coordinator" if node["is_coordinator"] else "worker"
            state = "" if node["is_active"] else ", not active"
            yield f"{role} {node['host']}:{node['port']}: {node['shards']} shards{state}"
        yield from (f"{table}: {shards} shards" for table, shards in report["tables"].items())
        yield from (f"{table}: not distributed" for table in report["undistributed"])
