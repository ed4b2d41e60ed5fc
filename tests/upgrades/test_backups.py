"""A backup holds one moment, and is restored wholly and as its manifest says, or not at all."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, ClassVar
from unittest import mock

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from salient.database import embedded
from salient.database.diagnosis import parameters
from salient.database.upgrades.backups import dump, programs, restore
from salient.database.upgrades.backups.archive import read_manifest
from salient.database.upgrades.backups.contents import checks, contents_of
from salient.local.shared_process import SharedProcessError
from salient.management.base import Misused, Refused
from tests.support.commands import run_json
from tests.support.database import catalog
from tests.support.database.releases import schema_and_rows, versions
from tests.support.database.scratch_database import (
    ScratchCase,
    connect_to,
    own_tables,
    scratch_database,
)

FILES = {"defaults.yaml": b"model: scripted:echo\n", "acme/bot/system_prompt.md": b"Be brief.\n"}
# Stands in for pg_dump: tells how it was called, and fails half-way.
FAILING = """#!/bin/sh
if [ "$1" = --version ]; then echo 'pg_dump (PostgreSQL) 99.1'; exit; fi
echo "$@" "PGPASSWORD=$PGPASSWORD" > {log}
echo half a dump
echo 'pg_dump: error: the disk fell off' >&2
exit 1
"""


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def contents() -> dict[str, tuple[int, str]]:
    """All tables of the current database, without Django's connection."""
    with psycopg.connect(**parameters()) as own:
        return {name: (table.rows, table.hash) for name, table in contents_of(own).items()}


def said_by(manifest: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {name: (each["rows"], each["hash"]) for name, each in manifest["tables"].items()}


def schema() -> tuple[Any, ...]:
    """PostgreSQL words a CHECK in another way once it has been restored."""
    lines = [line for line in catalog.schema(own_tables()) if " CHECK " not in line[1]]
    return lines, catalog.names(own_tables()), contents()


@contextmanager
def connected(**options: str) -> Iterator[None]:
    """Have connections that are made now begin with other options."""
    given = connection.settings_dict["OPTIONS"]
    with mock.patch.dict(given, options):
        yield


class BackupCase(ScratchCase):
    """A database with rows in every table, and a backup of it."""

    folder: ClassVar[Path]
    backup: ClassVar[Path]
    manifest: ClassVar[dict[str, Any]]
    name: ClassVar[str]

    @classmethod
    def prepare(cls) -> None:
        execute(schema_and_rows(versions()[-1]))
        cls.name = str(connection.settings_dict["NAME"])
        connect_to(cls.name)
        cls.folder = Path(cls.enterClassContext(TemporaryDirectory()))
        configs = cls.folder / "agent_configs"
        for name, data in FILES.items():
            (configs / name).parent.mkdir(parents=True, exist_ok=True)
            (configs / name).write_bytes(data)
        (configs / ".draft").write_bytes(b"hidden")
        cls.enterClassContext(override_settings(AGENT_CONFIG_DIR=configs))
        cls.backup = cls.folder / "salient.backup"
        cls.manifest = run_json("backup", str(cls.backup))["manifest"]

    def changed(self, **changes: Any) -> Path:
        """Write the backup with another manifest."""
        path = self.folder / f"{self.id().rpartition('.')[2]}.backup"
        self.addCleanup(path.unlink)
        with tarfile.open(self.backup) as source, tarfile.open(path, "w") as target:
            for member in source:
                file = source.extractfile(member)
                if member.name == "manifest.json":
                    (self.folder / "m").write_text(json.dumps(self.manifest | changes))
                    target.add(self.folder / "m", member.name)
                else:
                    target.addfile(member, file)
        return path


class BackupTests(BackupCase):
    def test_it_holds_the_dump_the_files_and_what_they_are(self) -> None:
        self.assertEqual(stat.S_IMODE(self.backup.stat().st_mode), 0o600)
        with tarfile.open(self.backup) as archive:
            found = {
                member.name.removeprefix("agent_configs/"): archive.extractfile(member).read()  # type: ignore[union-attr]
                for member in archive
            }
        self.assertEqual({name: found[name] for name in FILES}, FILES)
        self.assertEqual({*found} - {*FILES}, {"database.dump", "manifest.json"})
        self.assertEqual(self.manifest, read_manifest(self.backup))
        self.assertEqual(said_by(self.manifest), contents())
        self.assertEqual({*self.manifest["config_files"]}, {*FILES})
        self.assertEqual(self.manifest["version"], "0.1.0")
        self.assertIn("sessions_app.0013_erasures", self.manifest["migrations"])
        self.assertEqual(
            [path.name for path in self.folder.iterdir() if path.suffix == ".part"], []
        )

    def test_counts_and_hashes_are_of_the_moment_of_the_dump(self) -> None:
        path = self.folder / "later.backup"
        add_dump = dump._add_dump

        def later(*arguments: Any) -> Any:
            with psycopg.connect(**parameters()) as other:
                other.execute("DELETE FROM message_feedback")
                other.execute("UPDATE accounts SET name = 'Later'")
            return add_dump(*arguments)

        with scratch_database(copied=True):
            with mock.patch.object(dump, "_add_dump", later):
                manifest = run_json("backup", str(path))["manifest"]
            self.assertNotEqual(contents(), said_by(manifest))
            run_json("restore", str(path), "--check")
        self.assertEqual(said_by(manifest), said_by(self.manifest))

    def test_a_login_that_does_not_see_every_row_is_refused_in_one_line(self) -> None:
        path = self.folder / "hidden.backup"
        with connected(options="-c role=salient_tenant"), self.assertRaises(Refused) as raised:
            call_command("backup", str(path))
        self.assertRegex(
            str(raised.exception), "^The login .* cannot back up the database: .*owner"
        )
        self.assertFalse(path.exists())

    def test_no_file_is_written_over(self) -> None:
        with self.assertRaisesMessage(Refused, "exists: name another file"):
            call_command("backup", str(self.backup))
        with self.assertRaisesMessage(Refused, "cannot be written: No such file or directory"):
            call_command("backup", str(self.folder / "none" / "x.backup"))

    def test_a_failed_dump_leaves_nothing_and_no_password_is_seen(self) -> None:
        tools = Path(self.enterContext(TemporaryDirectory()))
        for name in programs.NAMES:
            (tools / name).write_text(FAILING.format(log=tools / "log"))
            (tools / name).chmod(0o700)
        before = {*self.folder.iterdir()}
        with (
            mock.patch.object(programs, "VERSIONS", str(tools / "none")),
            mock.patch.dict("os.environ", {"PATH": f"{tools}:/usr/bin:/bin"}),
            mock.patch.object(embedded, "binaries", side_effect=SharedProcessError),
            mock.patch.dict(connection.settings_dict, {"PASSWORD": "hunter2 hunter2"}),
            self.assertRaisesMessage(Refused, "pg_dump: error: the disk fell off"),
        ):
            call_command("backup", str(self.folder / "failed.backup"))
        arguments, password = (tools / "log").read_text().strip().split("PGPASSWORD=")
        self.assertEqual(password, "hunter2 hunter2")
        self.assertNotIn("hunter2", arguments)
        self.assertIn(f"dbname={self.name}", arguments)
        self.assertEqual({*self.folder.iterdir()}, before)

    def test_one_that_is_told_to_end_leaves_nothing(self) -> None:
        def killed(*_args: Any) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)

        before = {*self.folder.iterdir()}
        databases = "SELECT datname FROM pg_database WHERE datname LIKE 'salient_check%'"
        for module, name, command in (
            (dump, "_add_dump", ["backup", str(self.folder / "killed.backup")]),
            (restore, "_load", ["restore", str(self.backup), "--check"]),
        ):
            handler = signal.getsignal(signal.SIGTERM)
            with mock.patch.object(module, name, killed), self.assertRaises(SystemExit) as left:
                call_command(*command)
            self.assertEqual(left.exception.code, 128 + signal.SIGTERM)
            self.assertEqual(signal.getsignal(signal.SIGTERM), handler)
        self.assertEqual({*self.folder.iterdir()}, before)
        self.assertEqual(catalog.rows(databases), [])

    def test_names_with_dots_and_quotes_are_told_apart(self) -> None:
        with scratch_database():
            names = ('"a.b"."c"', 'a."b.c"', 'a."x""y"', "public.z")
            execute('CREATE SCHEMA "a.b"; CREATE SCHEMA a')
            for number, name in enumerate(names):
                execute(f"CREATE TABLE {name} AS SELECT generate_series(1, {number}) AS id")
            with psycopg.connect(**parameters()) as own:
                found = contents_of(own)
                self.assertEqual(
                    {name: table.rows for name, table in found.items()},
                    {'"a.b".c': 0, 'a."b.c"': 1, 'a."x""y"': 2, "public.z": 3},
                )
                for statement in checks(found):
                    own.execute(statement)
                own.execute('DELETE FROM a."b.c"')
                with self.assertRaises(psycopg.errors.RaiseException):
                    for statement in checks(found):
                        own.execute(statement)

    def told_by_psql(self, said: str) -> programs.BackupProblem:
        """Return the problem of a psql that wrote this and failed."""
        with TemporaryFile() as errors, self.assertRaises(programs.BackupProblem) as raised:
            errors.write(said.encode())
            programs.require_success("psql", subprocess.Popen(["false"]), errors)
        return raised.exception

    def test_a_servers_error_is_known_by_its_code_in_any_language(self) -> None:
        said = (
            "psql:<stdin>:3: FEHLER:  55P03: storniere Anfrage wegen Zeitüberschreitung\n"
            "psql:<stdin>:3: ORT:  ProcessInterrupts, postgres.c:3400\n"
        )
        problem = self.told_by_psql(said)
        self.assertEqual(problem.sqlstate, "55P03")
        self.assertEqual(str(problem), "psql: FEHLER:  storniere Anfrage wegen Zeitüberschreitung")

    def test_neither_the_line_nor_a_warning_before_it_is_taken_for_the_error(self) -> None:
        said = (
            "psql:<stdin>:2: NOTICE:  00000: drop cascades to view v\n"
            'psql:<stdin>:3: WARNING:  01007: no privileges were granted for "messages"\n'
            "psql:<stdin>:4: ERROR:  40P01: deadlock detected\n"
        )
        problem = self.told_by_psql(said)
        self.assertEqual(problem.sqlstate, "40P01")
        self.assertEqual(str(problem), "psql: ERROR:  deadlock detected")

    def test_programs_that_are_older_than_the_server_are_named_in_one_line(self) -> None:
        with self.assertRaisesMessage(programs.BackupProblem, "install postgresql-client-97."):
            programs.Programs.for_server(97)

    def test_it_is_restored_as_it_was_with_its_policies(self) -> None:
        before = schema()
        with scratch_database():
            report = run_json("restore", str(self.backup))
            self.assertEqual(schema(), before)
            hidden = "SELECT count(*) FROM pg_class WHERE relrowsecurity"
            self.assertGreater(catalog.rows(hidden)[0][0], 20)
        self.assertEqual(report["done"], "restored")

    def test_checking_and_trying_change_nothing(self) -> None:
        databases = "SELECT datname FROM pg_database WHERE datname LIKE 'salient_check%'"
        before = schema()
        self.assertEqual(run_json("restore", str(self.backup), "--check")["done"], "checked")
        report = run_json("restore", str(self.backup), "--dry-run", "--replace")
        self.assertEqual(report["done"], "possible")
        self.assertEqual(schema(), before)
        self.assertEqual(catalog.rows(databases), [])
        with self.assertRaises(Misused):
            call_command("restore", str(self.backup), "--check", "--replace")

    def test_a_database_with_tables_is_replaced_only_when_told(self) -> None:
        before = schema()
        with scratch_database(copied=True):
            execute(
                "DELETE FROM message_feedback",
                "CREATE TABLE of_a_newer_release (id serial PRIMARY KEY)",
                "CREATE VIEW seen AS SELECT id FROM of_a_newer_release",
                "CREATE FUNCTION newer() RETURNS integer LANGUAGE sql RETURN 1",
                "CREATE TYPE mood AS ENUM ('fine')",
                "CREATE SCHEMA beside",
                "CREATE TABLE beside.moods (mood mood)",
                "INSERT INTO beside.moods VALUES ('fine')",
                "CREATE TABLE days (day date) PARTITION BY RANGE (day)",
            )
            other = schema()
            with self.assertRaisesMessage(Refused, "is not empty (45 tables)"):
                call_command("restore", str(self.backup))
            self.assertEqual(schema(), other)

            # What a backup holds besides tables can be replaced by itself.
            path = self.folder / "other.backup"
            self.addCleanup(path.unlink)
            call_command("backup", str(path), stdout=StringIO())
            run_json("restore", str(path), "--replace")
            self.assertEqual(schema(), other)

            run_json("restore", str(self.backup), "--replace")
            self.assertEqual(schema(), before)
            left = (
                "SELECT to_regclass('of_a_newer_release'), to_regprocedure('newer()'), "
                "to_regtype('mood'), to_regnamespace('beside')"
            )
            self.assertEqual(catalog.rows(left), [(None, None, None, None)])

    def test_what_is_not_as_the_manifest_says_is_undone(self) -> None:
        tables = self.manifest["tables"]
        wrong = tables["public.messages"] | {"hash": "0" * 32}
        path = self.changed(tables=tables | {"public.messages": wrong})
        with scratch_database(), self.assertRaisesMessage(Refused, "public.messages is not as"):
            call_command("restore", str(path))
        with scratch_database(copied=True):
            execute("DELETE FROM message_feedback")
            before = contents()
            with self.assertRaisesMessage(Refused, "public.messages is not as"):
                call_command("restore", str(path), "--replace")
            self.assertEqual(contents(), before)

    def test_tables_of_a_newer_release_are_refused(self) -> None:
        path = self.changed(migrations=[*self.manifest["migrations"], "agents.9999_next"])
        with scratch_database(), self.assertRaisesMessage(Refused, "as agents.9999_next"):
            call_command("restore", str(path))

    def test_roles_that_are_missing_are_named(self) -> None:
        path = self.changed(roles=["salient_tenant", "nobody_here"])
        for options in ((), ("--check",)):
            with self.assertRaisesMessage(Refused, "has no role nobody_here: create them first"):
                call_command("restore", str(path), *options)

    def test_a_damaged_file_is_refused_before_anything_is_changed(self) -> None:
        data = self.backup.read_bytes()
        path = self.folder / "damaged.backup"
        self.addCleanup(path.unlink)
        middle = len(data) // 3
        for broken, reason in (
            (data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], "it is damaged"),
            (data[:middle], "not a complete backup"),
            (b"not a tar at all", "not a complete backup"),
        ):
            path.write_bytes(broken)
            with self.assertRaisesMessage(Refused, reason):
                call_command("restore", str(path), "--replace")
        with self.assertRaisesMessage(Refused, "cannot be read: No such file or directory"):
            call_command("restore", str(self.folder / "none.backup"))

    def test_a_login_that_may_not_restore_is_told_also_by_a_dry_run(self) -> None:
        with scratch_database(copied=True), connected(options="-c role=salient_platform"):
            for option in ("--dry-run", "--replace"):
                with self.assertRaisesMessage(Refused, "tables belong to another"):
                    call_command("restore", str(self.backup), "--replace", option)
        with (
            scratch_database(),
            connected(options="-c role=salient_platform"),
            self.assertRaisesMessage(Refused, "it may not make tables"),
        ):
            call_command("restore", str(self.backup), "--dry-run")

    def test_a_file_that_says_something_else_is_refused_in_one_line(self) -> None:
        path = self.changed(config_files=self.manifest["config_files"] | {"defaults.yaml": "0"})
        with self.assertRaisesMessage(Refused, "defaults.yaml in"):
            call_command("restore", str(path), "--check")
        with tarfile.open(path, "a") as archive:
            archive.addfile(tarfile.TarInfo("agent_configs/../../.bashrc"))
        with self.assertRaisesMessage(Refused, "holds other files than its manifest says"):
            call_command("restore", str(path), "--check")
        folder, link = tarfile.TarInfo("manifest.json"), tarfile.TarInfo("manifest.json")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        for info, text in (
            (folder, b""),
            (link, b""),
            (tarfile.TarInfo("manifest.json"), b"[]"),
            (tarfile.TarInfo("manifest.json"), b'{"form": 1}'),
            (tarfile.TarInfo("manifest.json"), json.dumps(self.manifest).encode()),
        ):
            info.size = len(text)
            with tarfile.open(path, "w") as archive:
                archive.addfile(info, BytesIO(text))
            with self.assertRaises(Refused):
                call_command("restore", str(path), "--check")

    def test_a_file_of_an_agent_that_cannot_be_read_is_named(self) -> None:
        with (
            mock.patch.object(Path, "read_bytes", side_effect=PermissionError(13, "Not for you")),
            self.assertRaisesMessage(Refused, "bot/system_prompt.md cannot be read: Not for you."),
        ):
            call_command("backup", str(self.folder / "unread.backup"))
        self.assertFalse((self.folder / "unread.backup").exists())

    def test_a_login_without_the_right_to_check_is_told(self) -> None:
        with (
            connected(options="-c role=salient_platform"),
            self.assertRaisesMessage(Refused, "may not create a database to check the backup in"),
        ):
            call_command("restore", str(self.backup), "--check")

    def test_a_table_in_use_is_tried_again(self) -> None:
        with (
            scratch_database(copied=True),
            psycopg.connect(**parameters()) as reader,
            mock.patch.object(restore, "LOCK_TIMEOUT", "50ms"),
        ):
            reader.execute("SELECT count(*) FROM accounts")

            def give_way(_seconds: float) -> None:
                reader.rollback()

            with mock.patch("time.sleep", give_way):
                run_json("restore", str(self.backup), "--replace")

    def test_plain_tools_read_it_too(self) -> None:
        found = programs.Programs.for_server(self.manifest["postgresql"])
        with tarfile.open(self.backup) as archive:
            archive.extract("database.dump", self.folder, filter="data")
        listed = found.plain("pg_restore", "--list", str(self.folder / "database.dump"), stdout=-1)
        self.assertIn(b"TABLE DATA public messages", listed.communicate()[0])
        self.assertEqual(settings.AGENT_CONFIG_DIR, self.folder / "agent_configs")
