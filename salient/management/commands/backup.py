"""`manage.py backup`: the database and the agents' files as one file, with a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management import CommandParser

from salient.database.upgrades.backups.dump import make_backup
from salient.database.upgrades.backups.programs import BackupProblem
from salient.management.base import Refused, ReportingCommand, ended_by_signals


class Command(ReportingCommand):
    """Reads one moment of the database while the platform goes on."""

    help = "Back up the database and the agents' files, with the owner's DATABASE_URL."
    writes = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", nargs="?", type=Path, help="salient-TIME.backup unless given")

    def report(self, **options: Any) -> Mapping[str, Any]:
        named = options["file"] or Path(f"salient-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.backup")
        try:
            with ended_by_signals():
                manifest = make_backup(named)
        except BackupProblem as problem:
            raise Refused(str(problem)) from problem
        return {"file": str(named), "manifest": manifest}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        manifest = report["manifest"]
        tables = manifest["tables"]
        rows = sum(table["rows"] for table in tables.values())
        size = manifest["dump"]["bytes"] / 2**20
        yield f"{report['file']}: {len(tables)} tables, {rows:,} rows, {size:,.1f} MB,"
        yield f"  {len(manifest['config_files'])} files of agents, version {manifest['version']}"
        yield "Not in it: SECRET_KEY, API_KEY_PEPPER, SECRET_ENCRYPTION_KEYS and other settings."
        yield f"Check it: manage.py restore {report['file']} --check"
