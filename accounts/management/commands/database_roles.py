"""`manage.py database_roles`: what the database's roles lack, or the SQL that makes them."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db import connection

from accounts.tenancy import role_report
from salient.management.base import ReportingCommand


class Command(ReportingCommand):
    """Checks the login that it runs with: give it the DATABASE_URL that Salient serves with."""

    help = "Check the roles that keep tenants apart; exit code 1 when something is missing."
    writes = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--sql", action="store_true", help="print what an administrator of the server runs"
        )
        parser.add_argument(
            "--apply",
            action="store_true",
            help="run that SQL as the login of DATABASE_URL; LOGIN_PASSWORD in the environment is "
            "what the serving login's password becomes",
        )
        parser.add_argument(
            "--login",
            default=role_report.LOGIN,
            metavar="NAME",
            help="with --sql, --apply: the login that Salient serves with (default: %(default)s)",
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        if options["apply"]:
            password = os.environ.get("LOGIN_PASSWORD", "")
            return {"applied": len(role_report.apply(connection, options["login"], password))}
        if options["sql"]:
            return {"sql": role_report.statements(connection, options["login"])}
        return role_report.check_roles(connection)

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if "sql" in report:
            yield from report["sql"]
            return
        if "applied" in report:
            yield f"Ran {report['applied']} statements: the serving login has its rights."
            return
        yield f"Login: {report['login']}"
        for kind in ("problems", "advice"):
            yield from (f"{kind.removesuffix('s')}: {line}" for line in report[kind])
        if report["ok"]:
            yield "The roles, their rights and the policies are as they must be."
