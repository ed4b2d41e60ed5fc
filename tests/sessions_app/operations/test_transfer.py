"""An account is exported as one archive, and imported elsewhere wholly or not at all."""

from __future__ import annotations

import json
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from unittest import mock
from zipfile import ZipFile

from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import StreamingHttpResponse
from django.test import Client, SimpleTestCase, TestCase, override_settings

from accounts.models import Account, ApiKey, AuditEntry, Invitation, Membership, User
from accounts.tenancy.context import platform_context
from accounts.tenancy.roles import TENANT_RIGHTS, has_account
from sessions_app.admin import lifecycle_export
from sessions_app.models import CompletionStatus, LLMRequest, Message, Session
from sessions_app.operations.integrity.service import check_integrity
from sessions_app.operations.lifecycle.transfer import archive, export, importing, rows
from sessions_app.operations.lifecycle.transfer.tables import HIDDEN, LEFT_OUT, Table, tables
from tests.support.commands import refusal, run_json
from tests.support.database.scratch_database import scratch_database
from tests.support.database.stored import change_all, change_row, row_of, rows_of
from tests.support.database.tenant_rows import make_tenant
from tests.support.factories import (
    make_account,
    make_instance,
    make_membership,
    make_message,
    make_session,
    make_user,
    write_config,
)
from tests.support.people import make_auditor, make_root, opened

# An import revokes keys and links, and writes into the log what it did; the text has a date.
DIFFERENT = {
    "data/api_keys.jsonl",
    "data/invitations.jsonl",
    "data/audit_log.jsonl",
    archive.README,
}
TEXT = 'Número {}\nline two \\ " \u2028 😀'


def fill(base: Path) -> Account:
    """Make an account with a row of every kind and with files, and another one beside it."""
    account: Account = make_tenant("acme")[Account]
    make_tenant("beta")
    many = make_session(make_instance(account, "talker"), title="Grüße", user=make_user())
    for number in range(7):
        make_message(many, content=TEXT.format(number), meta={"n": 1.50})
    for agent in ("bot", "bot2", "talker"):
        write_config(base, "acme", agent, "model: scripted:echo\n", f"Prompt of {agent}.")
    (base / "acme" / "bot" / ".hidden").write_text("a secret")
    change_all(LLMRequest, completion_status=CompletionStatus.COMPLETE)
    check_integrity(account, fix=True)
    return account


def faults(slug: str) -> dict[str, int]:
    account = row_of(Account, slug=slug)
    return {each.check.name: each.left for each in check_integrity(account) if each.left}


def manifest_of(path: Path) -> dict[str, Any]:
    with ZipFile(path) as zipped:
        found: dict[str, Any] = json.loads(zipped.read(archive.MANIFEST))
    return found


def lines_of(path: Path, table: str) -> list[dict[str, Any]]:
    with ZipFile(path) as zipped:
        return [json.loads(line) for line in zipped.read(f"data/{table}.jsonl").splitlines()]


async def content_of(answer: Any) -> bytes:
    return b"".join([piece async for piece in answer.streaming_content])


def rewritten(path: Path, to: Path, **changes: Any) -> Path:
    """Copy the archive with another manifest."""
    manifest = manifest_of(path) | changes
    with ZipFile(path) as source, ZipFile(to, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            target.writestr(name, json.dumps(manifest) if name == archive.MANIFEST else text)
    return to


class TransferTests(SimpleTestCase):
    """One archive of one installation, and what others make of it."""

    databases: ClassVar[set[str]] = {"default"}  # type: ignore[misc]
    folder: Path
    path: Path
    base: Path
    origin: str
    account: Account
    faults: dict[str, int]
    planned: dict[str, Any]
    report: dict[str, Any]
    was_written: bool
    again: tuple[int, str]
    moment: list[int]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.origin = connection.settings_dict["TEST"]["TEMPLATE"]
        cls.path = cls.folder / "acme.zip"
        base = cls.folder / "there"
        with scratch_database(source=cls.origin), override_settings(AGENT_CONFIG_DIR=base):
            cls.account = fill(base)
            cls.faults = faults("acme")
            cls.planned = run_json("export_account", "acme", str(cls.path), "--dry-run")
            cls.was_written = cls.path.exists()
            cls.report = run_json("export_account", "acme", str(cls.path))
            cls.again = refusal("export_account", "acme", str(cls.path))
            cls.moment = cls.export_while_somebody_writes()
        cls.base = cls.folder / "here"
        cls.enterClassContext(scratch_database(source=cls.origin))
        cls.enterClassContext(override_settings(AGENT_CONFIG_DIR=cls.base))

    @classmethod
    def export_while_somebody_writes(cls) -> list[int]:
        """Return the rows of messages in two archives; one was added while the first was made."""
        session, read = make_session(make_instance(cls.account)), export._rows

        def write() -> None:
            make_message(session)
            connection.close()

        def reading(table: Table, account: Account) -> Iterator[str]:
            if table.name == "messages":
                writer = Thread(target=write)
                writer.start()
                writer.join()
            return read(table, account)

        found = []
        for patched in (reading, read):
            with mock.patch.object(export, "_rows", patched), tempfile.TemporaryFile() as file:
                members = export.export_account(cls.account, file)["members"]
            found.append(members["data/messages.jsonl"]["rows"])
        return found

    def test_all_rows_are_of_one_moment(self) -> None:
        messages = len(lines_of(self.path, "messages"))
        self.assertEqual(self.moment, [messages, messages + 1])

    def test_the_archive_holds_what_the_manifest_says_and_no_secret(self) -> None:
        self.assertFalse(self.was_written)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(self.again, (1, f"{self.path} exists: name another file."))
        self.assertEqual([each.name for each in self.folder.glob(".*")], [])
        manifest = manifest_of(self.path)
        self.assertEqual(self.report["manifest"], manifest)
        with ZipFile(self.path) as zipped:
            names = zipped.namelist()
            everything = b"".join(zipped.read(name) for name in names).decode()
        self.assertEqual((names[0], names[-1]), (archive.README, archive.MANIFEST))
        self.assertIn("config/talker/system_prompt.md", names)
        self.assertNotIn("a secret", everything)
        self.assertNotIn("beta", everything)
        self.assertEqual(manifest["account"]["id"], str(self.account.pk))
        self.assertEqual(manifest["read_from"], "default")
        written = {
            name: facts["rows"] for name, facts in manifest["members"].items() if facts.get("rows")
        }
        self.assertEqual(
            written,
            {f"data/{name}.jsonl": many for name, many in self.planned["rows"].items()}
            # The export is noted first.
            | {
                "data/audit_log.jsonl": self.planned["rows"]["audit_log"] + 1,
                "data/people.jsonl": 1,
            },
        )
        entries = lines_of(self.path, "audit_log")
        [entry] = [each for each in entries if each["object"] == "export of the account"]
        self.assertEqual((entry["actor"], entry["action"]), ("export_account", "noted"))

    def test_people_who_are_no_members_are_left_out(self) -> None:
        [person] = lines_of(self.path, "people")
        [member] = lines_of(self.path, "memberships")
        self.assertEqual(set(person), {"id", "email", "first_name", "last_name"})
        self.assertEqual(member["user_id"], person["id"])
        self.assertEqual({each["user_id"] for each in lines_of(self.path, "sessions")}, {None})

    def test_what_is_damaged_newer_or_something_else_is_refused(self) -> None:
        damaged, content = self.folder / "damaged.zip", bytearray(self.path.read_bytes())
        with ZipFile(self.path) as zipped:
            info = zipped.getinfo("data/messages.jsonl")
        content[info.header_offset + len(info.filename) + 60] ^= 1
        damaged.write_bytes(content)
        cut = self.folder / "cut.zip"
        cut.write_bytes(content[:-100])
        newer = rewritten(self.path, self.folder / "newer.zip", format=2, version="9.0")
        members = manifest_of(self.path)["members"]
        wrong = members | {"data/messages.jsonl": members["data/messages.jsonl"] | {"bytes": 1}}
        for path, says in (
            (damaged, "data/messages.jsonl is not as the manifest says"),
            (rewritten(self.path, self.folder / "wrong.zip", members=wrong), "is not as the"),
            (rewritten(self.path, self.folder / "more.zip", members={}), "has other members"),
            (rewritten(self.path, self.folder / "kind.zip", kind="x"), "no archive of an account"),
            (newer, "does not know it: update to 9.0 first"),
            (cut, "no archive of an account, or not whole"),
            (self.folder / "none.zip", "cannot be read"),
        ):
            code, message = refusal("import_account", str(path), "--add-people")
            self.assertEqual(code, 1)
            self.assertIn(says, message)
        self.assert_nothing_here()

    def test_another_version_is_a_conflict(self) -> None:
        names = archive.migrations()
        with self.assertRaises(SystemExit):
            run_json(
                "import_account",
                str(
                    rewritten(
                        self.path,
                        self.folder / "later.zip",
                        migrations=[*names[1:], "accounts.9999_x"],
                    )
                ),
            )
        changed = rewritten(self.path, self.folder / "other.zip", migrations=names[1:])
        found, written = importing.import_account(changed, add_people=True)
        self.assertEqual(written, {})
        [conflict] = found.conflicts
        self.assertIn(f"older tables (without {names[0]})", conflict)

    def test_a_failure_leaves_nothing(self) -> None:
        write, calls = rows.write_rows, []

        def stop_at_messages(*arguments: Any) -> int:
            calls.append(arguments[1].name)
            if arguments[1].name == "messages":
                raise DatabaseError("the disk is full\nand more")
            return write(*arguments)

        with mock.patch.object(importing, "write_rows", stop_at_messages):
            refused = refusal("import_account", str(self.path), "--add-people")
        self.assertEqual(refused, (1, "Nothing was imported: the disk is full"))
        self.assertIn("sessions", calls)
        self.assert_nothing_here()

    def test_round_trip(self) -> None:
        self.round_trip("round")

    @override_settings(DATABASE_DISTRIBUTED=True)
    def test_a_cluster_writes_the_same_rows_one_by_one(self) -> None:
        self.round_trip("cluster")

    def round_trip(self, name: str) -> None:
        self.enterContext(scratch_database(source=self.origin))
        self.enterContext(self.files(name))
        dry = run_json("import_account", str(self.path), "--add-people", "--dry-run")
        self.assertTrue(dry["ok"])
        self.assert_nothing_here()

        report = run_json("import_account", str(self.path), "--add-people")

        self.assertEqual(report["rows"], dry["rows"])
        self.assertEqual(faults("acme"), self.faults)
        back = self.folder / f"{name}-back.zip"
        run_json("export_account", "acme", str(back))
        first, second = (manifest_of(path)["members"] for path in (self.path, back))
        self.assertEqual(set(first), set(second))
        self.assertEqual({n for n in first if first[n] != second[n]} - DIFFERENT, set())
        for table in ("api_keys", "invitations"):
            [row], [there] = lines_of(back, table), lines_of(self.path, table)
            self.assertIsNotNone(row["revoked_at"])
            self.assertEqual(row | {"revoked_at": None}, there)
        log, before = lines_of(back, "audit_log"), lines_of(self.path, "audit_log")
        self.assertEqual([entry for entry in before if entry not in log], [])
        new = [entry for entry in log if entry not in before]
        self.assertEqual({each["actor"] for each in new}, {"import_account", "export_account"})
        self.assertIn("import of the account", {each["object"] for each in new})
        [person] = lines_of(self.path, "people")
        self.assertFalse(User.objects.get(pk=person["id"]).has_usable_password())
        with platform_context():
            self.assertEqual(len(set(ApiKey.objects.values_list("secret_hash"))), 1)

    def test_all_conflicts_are_named_at_once_and_another_slug_is_possible(self) -> None:
        with scratch_database(source=self.origin), self.files("conflicts") as base:
            make_account("acme")
            other = make_account("other")
            # A row of another account that has an id of the archive.
            session = make_session(make_instance(other))
            [*_, taken] = lines_of(self.path, "sessions")
            change_row(session, id=taken["id"])
            (base / "acme").mkdir(parents=True)
            found, _ = importing.import_account(self.path)
            self.assertEqual([each.partition(":")[0] for each in found.conflicts], ["files"])
            (base / "acme").rmdir()

            found, _ = importing.import_account(self.path)

            self.assertEqual(
                [each.partition(":")[0] for each in found.conflicts], ["slug", "people", "sessions"]
            )
            self.assertIn(f"1 ids are here already, as {taken['id']}", found.conflicts[-1])
            with platform_context():
                Session.objects.all().delete()
            [person] = lines_of(self.path, "people")
            here = make_user(person["email"].upper())

            found, _ = importing.import_account(self.path, slug="zenith")

            self.assertEqual((found.conflicts, found.new_people), ([], []))
            self.assertEqual(faults("zenith"), self.faults)
            self.assertEqual(row_of(Membership, account_id=self.account.pk).user_id, here.pk)
            self.assertEqual(
                {row.account_slug for row in rows_of(Session, account_id=self.account.pk)},
                {"zenith"},
            )
            prompt = base / "zenith" / "talker" / "system_prompt.md"
            self.assertEqual(prompt.read_text(), "Prompt of talker.")
            found, _ = importing.import_account(self.path, slug="third")
            self.assertIn("account: it is here already, as “zenith”.", found.conflicts)

    def test_few_rows_are_held_at_a_time(self) -> None:
        with archive.opened(self.path) as read, mock.patch.object(rows, "BATCH", 3):
            lines = read.lines("data/messages.jsonl")
            held = [len(batch) for batch in rows.batches(lines)]
            with mock.patch.object(rows, "MOST_CHARACTERS", 1):
                large = [len(each) for each in rows.batches(iter(["a" * 9] * 3))]
        self.assertEqual((held, large), ([3, 3, 2], [1, 1, 1]))

    @contextmanager
    def files(self, name: str) -> Iterator[Path]:
        with override_settings(AGENT_CONFIG_DIR=self.folder / name):
            yield self.folder / name

    def assert_nothing_here(self) -> None:
        with platform_context():
            self.assertFalse(Account.objects.filter(pk=self.account.pk).exists())
            self.assertEqual(Message.objects.count() + Invitation.objects.count(), 0)
        self.assertFalse(User.objects.exists())
        folder = Path(settings.AGENT_CONFIG_DIR)
        self.assertEqual([*folder.glob("*"), *folder.glob(".*")], [])


class TableTests(SimpleTestCase):
    def test_each_table_of_accounts_is_exported_or_named(self) -> None:
        exported = [table.name for table in tables()]
        own = {model._meta.db_table for model in apps.get_models() if has_account(model)}
        self.assertEqual(set(exported) | set(LEFT_OUT), own | {"accounts"})
        self.assertEqual(own | {"accounts", "users"}, set(TENANT_RIGHTS))
        self.assertEqual(set(exported) & set(LEFT_OUT), set())
        self.assertEqual(len(exported), len(set(exported)))

    def test_no_column_with_a_secret_is_exported(self) -> None:
        suspicious = {
            f"{table.name}.{column}"
            for table in tables()
            for column in table.exported
            if re.search("secret$|secret_|hash|password|token$", column)
        }
        # HMACs of a person's address and of a request's body.
        harmless = {"erasures.person_hash", "llm_requests.idempotency_hash"}
        self.assertEqual(suspicious, harmless)
        for name, columns in HIDDEN.items():
            [table] = [table for table in tables() if table.name == name]
            self.assertLessEqual(set(columns), set(table.columns))


class DownloadTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        session = make_session(make_instance(self.account))
        for number in range(5):
            make_message(session, content=f"Text {number}")
        self.root = make_root()
        make_membership(self.account)
        self.client.force_login(self.root)
        self.url = f"/admin/lifecycle/{self.account.pk}/"

    def ask(self, client: Client | None = None) -> Any:
        return (client or self.client).post(self.url, {"do": "export"}, secure=True)

    def test_it_needs_a_support_access_and_is_noted_with_the_reason(self) -> None:
        self.assertContains(self.client.get(self.url, secure=True), "Download the archive")
        self.assertContains(self.ask(), "The archive holds every text of the account")
        opened(self.root, self.account, reason="ticket 9")

        # Three batches of messages.
        with mock.patch.object(export, "BATCH", 2):
            answer = self.ask()

        self.assertIsInstance(answer, StreamingHttpResponse)
        self.assertRegex(answer["Content-Disposition"], r'filename="acme-[\d-]+\.zip"')
        with tempfile.NamedTemporaryFile() as file:
            content = async_to_sync(content_of)(answer)
            self.assertEqual(int(answer["Content-Length"]), len(content))
            file.write(content)
            file.flush()
            with archive.opened(Path(file.name)) as read:
                texts = [json.loads(line)["content"] for line in read.lines("data/messages.jsonl")]
        self.assertEqual(texts, [f"Text {number}" for number in range(5)])
        entry = row_of(AuditEntry, object="export of the account")
        self.assertEqual((entry.actor, entry.reason), (self.root.email, "ticket 9"))

    def test_an_access_that_ends_meanwhile_and_a_large_account_get_nothing(self) -> None:
        access = opened(self.root, self.account)
        with mock.patch.object(lifecycle_export, "MOST_MESSAGES", 4):
            answer = self.client.post(self.url, {"do": "export"}, secure=True, follow=True)
        self.assertContains(answer, "manage.py export_account acme")

        def ending(*arguments: Any) -> Any:
            change_all(type(access), ended_at=access.created_at)
            return export.export_account(*arguments)

        with mock.patch.object(lifecycle_export, "export_account", ending):
            answer = self.client.post(self.url, {"do": "export"}, secure=True, follow=True)
        self.assertContains(answer, "The support access has ended meanwhile.")

    def test_auditors_and_others_are_refused(self) -> None:
        auditor = make_auditor()
        opened(auditor, self.account)
        client = Client()
        client.force_login(auditor)
        self.assertEqual(self.ask(client).status_code, 403)
        self.assertEqual(self.ask(Client()).status_code, 302)
