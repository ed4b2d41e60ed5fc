"""Each fault that check_integrity knows is planted, named, mended where it may be, and gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test import TestCase
from django.utils import timezone

from accounts.limits.budgets import set_budget
from accounts.models import AuditEntry, WebhookDelivery
from accounts.tenancy.context import platform_context
from accounts.tenancy.lookups import find_account
from accounts.tenancy.renames import rename_account
from accounts.tenancy.roles import tenant_tables
from agents.instances.renames import rename_agent
from sessions_app.operations.doctor.agents_in_use import models_in_use
from sessions_app.operations.integrity import service
from sessions_app.operations.integrity.checks import NAMED, Check
from tests.support.commands import refusal, reported, run
from tests.support.database.stored import as_platform, count_of, rows_of
from tests.support.factories import (
    make_account,
    make_delivery,
    make_erasure,
    make_llm_request,
    make_session,
    make_webhook,
    write_config,
)
from tests.support.fixtures import AgentFixtures

# ruff: noqa: S608 - built from names of this module
NOWHERE = "'00000000-0000-7000-8000-000000000000'"


def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan that read a table and are run."""
    if "Relation Name" in node and node.get("One-Time Filter") != "false":
        yield node
    for child in node.get("Plans", []):
        yield from scans(child)


@dataclass(frozen=True)
class Fault:
    """A fault: SQL or a function that plants it, what it is named, and whether --fix mends it."""

    check: str
    plant: str | Callable[[Any], object]
    named: str
    is_mended: bool = False
    # What the audit log says it was done to.
    table: str = ""


def orphan(table: str, column: str) -> Fault:
    plant = f"UPDATE {table} SET {column} = {NOWHERE}"
    check = {"config_version_id": "config_versions", "endpoint_id": "deliveries"}.get(column)
    return Fault(check or "orphans", plant, f"{table}.{column} ")


def plant_folder(case: Any) -> None:
    shutil.copytree(case.folder / "bot", case.folder / "lost")


def break_file(case: Any) -> None:
    (case.folder / "bot/config.yaml").write_text("modell: scripted:echo\n")


def remove_files(case: Any) -> None:
    shutil.rmtree(case.folder / "bot")


FAULTS = (
    orphan("sessions", "agent_instance_id"),
    orphan("messages", "session_id"),
    orphan("messages", "llm_request_id"),
    orphan("llm_requests", "session_id"),
    orphan("usage_days", "account_id"),
    orphan("messages", "config_version_id"),
    Fault(
        "deliveries", f"UPDATE webhook_deliveries SET endpoint_id = {NOWHERE}", "endpoint_id", True
    ),
    Fault("slugs", "UPDATE sessions SET account_slug = 'acme-1'", "sessions.", True, "sessions"),
    Fault(
        "slugs",
        "UPDATE llm_requests SET agent_instance_slug = 'b'",
        "llm_requests.",
        True,
        "sessions",
    ),
    Fault("agents", lambda _case: make_account("empty"), "empty"),
    Fault("publications", "UPDATE agent_instances SET override = '{}'", "agent_instances "),
    Fault("configurations", break_file, "acme/bot: "),
    Fault("files", remove_files, "acme/bot"),
    Fault("folders", plant_folder, "acme/lost"),
    Fault(
        "erasures",
        "UPDATE erasures SET finished_at = NULL, created_at = now() - interval '2 hours'",
        "erasures ",
    ),
    Fault(
        "turns",
        "UPDATE llm_requests SET completion_status = 'running', settled_at = NULL, "
        "created_at = now() - interval '1 hour'",
        "llm_requests ",
        True,
        "llm_requests",
    ),
    Fault("messages", "DELETE FROM messages WHERE role = 'assistant'", "llm_requests "),
    Fault("messages", "DELETE FROM messages WHERE role = 'human'", "llm_requests "),
    Fault(
        "messages",
        "INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id, role,"
        " content) SELECT gen_random_uuid(), account_id, agent_instance_id, session_id, "
        "llm_request_id, role, content FROM messages WHERE role = 'assistant'",
        "llm_requests ",
    ),
    Fault("places", f"UPDATE messages SET agent_instance_id = {NOWHERE}", "messages "),
    Fault("usage", "UPDATE usage_days SET cost = cost + 1", "usage_days ", True, "usage_days"),
    Fault(
        "usage",
        "DELETE FROM usage_days WHERE day > '2020-02-02'",
        "usage_days ",
        True,
        "usage_days",
    ),
    Fault("counters", "UPDATE sessions SET turn_count = 7", "sessions ", True, "sessions"),
    Fault("totals", "UPDATE usage_totals SET requests = 7", "usage_totals ", True),
    Fault("running", "UPDATE account_limits SET running = 3", "acme", True, "account_limits"),
    Fault("reserved", "UPDATE budgets SET reserved = 2", "budgets ", True, "budgets"),
    Fault(
        "keys",
        "ALTER TABLE messages DROP CONSTRAINT fk_messages_session_id; ALTER TABLE messages ADD "
        "CONSTRAINT fk_messages_session_id FOREIGN KEY (account_id, session_id) REFERENCES "
        "sessions (account_id, id) NOT VALID",
        "messages fk_messages_session_id",
        True,
    ),
    Fault(
        "missing_keys",
        "ALTER TABLE messages DROP CONSTRAINT fk_messages_session_id; DROP INDEX ix_sessions_user",
        "fk_messages_session_id",
    ),
    Fault(
        "indexes",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_sessions_user'::regclass",
        "sessions ix_sessions_user",
    ),
    Fault("policies", "ALTER TABLE messages DISABLE ROW LEVEL SECURITY", "messages: "),
)


class CheckIntegrityTests(AgentFixtures, TestCase):
    maxDiff = None

    def setUp(self) -> None:
        """One real turn, and a row of what it does not make."""
        super().setUp()
        self.folder = Path(settings.AGENT_CONFIG_DIR, "acme")
        if find_account("default"):
            # The migrations made it, and no test has emptied the tables yet.
            write_config(settings.AGENT_CONFIG_DIR, "default", "simple-chat", self.config)
        set_budget(self.account, period="day", limit=Decimal(100))
        async_to_sync(self.say)("hello")
        make_delivery(make_webhook(self.account))
        make_erasure(self.account, finished_at=timezone.now())
        make_llm_request(
            make_session(self.instance),
            created_at=datetime(2020, 2, 2, tzinfo=UTC),
            settled_at=datetime(2020, 2, 2, tzinfo=UTC),
        )
        run("rollup", "--rebuild")

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo what is done to rows, schema and files; a context may open a transaction in it."""
        files = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        mark = transaction.savepoint_create()
        try:
            yield
        finally:
            transaction.savepoint_rollback(mark)
            shutil.rmtree(self.folder)
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def plant(self, fault: Fault) -> None:
        if callable(fault.plant):
            fault.plant(self)
            return
        # Without the keys and triggers that would forbid it.
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(fault.plant)
            cursor.execute("SET LOCAL session_replication_role = origin")

    def found(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code, and what each check that found something says."""
        found, code = reported("check_integrity", *arguments)
        return code, {each["name"]: each for each in found["checks"] if each["status"] != "ok"}

    def test_nothing_is_wrong_with_what_the_product_writes(self) -> None:
        self.assertEqual(self.found(), (0, {}))
        self.assertEqual(self.found("--account", "acme"), (0, {}))

    def test_nothing_is_wrong_with_what_was_renamed(self) -> None:
        as_platform(rename_account, self.account.pk, "zenith")
        as_platform(rename_agent, self.instance, "helper")
        self.assertEqual(self.found(), (0, {}))
        self.assertEqual(self.found("--account", "zenith"), (0, {}))
        plant_folder(self)
        self.assertEqual(self.found("--account", "zenith")[1]["folders"]["ids"], ["acme/lost"])
        [used] = [each for each in models_in_use() if each.account == "zenith"]
        self.assertEqual((used.agent, used.folder), ("zenith/helper", "acme"))

    def test_each_fault_is_named_and_what_is_safe_is_mended(self) -> None:
        checks = {check.name: check for check in service.CHECKS}
        for fault in FAULTS:
            check = checks[fault.check]
            with self.subTest(fault.check, plant=fault.plant), self.undone():
                self.assertEqual(self.status(check), "ok")
                self.plant(fault)
                [result] = service.check_integrity(checks=[check])
                self.assertEqual(result.status, "notice" if check.is_notice else "fault")
                self.assertTrue(any(fault.named in name for name in result.found.ids), result)

                after = "mended" if fault.is_mended else result.status
                self.assertEqual(self.status(check, fix=True), after)
                self.assertEqual(self.status(check), "ok" if fault.is_mended else result.status)
                self.assertEqual(self.noted(), [fault.table] if fault.table else [])

    def status(self, check: Check, *, fix: bool = False) -> str:
        [result] = service.check_integrity(fix=fix, checks=[check])
        return result.status

    def noted(self) -> list[str]:
        """Return of which tables the audit log says that something was mended."""
        rows = rows_of(AuditEntry, object="check_integrity", account=self.account)
        return [row.object_type for row in rows]

    def test_every_check_has_a_fault_here(self) -> None:
        self.assertEqual({fault.check for fault in FAULTS}, {each.name for each in service.CHECKS})

    def test_another_accounts_faults_are_left_alone(self) -> None:
        make_account("beta")
        self.plant(Fault("running", "UPDATE account_limits SET running = 3", ""))
        code, found = self.found("--account", "beta", "--fix")
        self.assertEqual((code, [*found]), (0, ["agents"]))
        code, found = self.found("--account", "acme")
        self.assertEqual((code, found["running"]["status"]), (1, "fault"))
        self.assertEqual((code, found), self.found("--account", "acme", "--fix", "--dry-run"))
        code, found = self.found("--account", "acme", "--fix")
        self.assertEqual((code, found["running"]["mended"]), (0, 1))

    def test_of_one_account_no_other_rows_are_read(self) -> None:
        statements: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
            if "found (account_id, id)" in sql:
                cursor = context["cursor"].cursor
                statements.append(cursor.mogrify(sql, params))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            service.check_integrity(self.account)

        # Which days have sums at all is asked of all accounts.
        tables = {"accounts", *tenant_tables()} - {"usage_totals"}
        self.assertGreater(len(statements), 20)
        for statement in statements:
            with platform_context(), connection.cursor() as cursor:
                cursor.execute("EXPLAIN (FORMAT JSON) " + statement.replace("%", "%%"))
                [[plan]] = cursor.fetchone()
            for node in scans(plan["Plan"]):
                if node["Relation Name"] not in tables:
                    continue
                with self.subTest(table=node["Relation Name"], statement=statement):
                    conditions = [str(value) for key, value in node.items() if "Cond" in key]
                    said = " ".join([*conditions, str(node.get("Filter"))])
                    self.assertRegex(said, "account_id =|id = ")

    def test_rows_that_a_policy_hides_are_not_taken_for_lost(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT format('DROP POLICY %I ON webhook_endpoints', policyname) "
                "FROM pg_policies WHERE tablename = 'webhook_endpoints'"
            )
            for (statement,) in cursor.fetchall():
                cursor.execute(statement)
        code, found = self.found("--fix")
        self.assertEqual(code, 1)
        self.assertEqual(found["deliveries"]["mended"], 0)
        self.assertIn("mend row-level security first", found["deliveries"]["error"])
        self.assertEqual(count_of(WebhookDelivery), 1)

    def test_it_names_the_first_ten_and_counts_all(self) -> None:
        for number in range(NAMED + 2):
            make_account(f"empty-{number:02}")
        printed = run("check_integrity")
        self.assertIn("notice  agents: 12. Active accounts", printed)
        self.assertIn("empty-09\n          and 2 more\n", printed)
        self.assertTrue(printed.endswith("22 checks, 0 of them with faults.\n"), printed)

    def test_a_check_that_fails_is_a_fault_and_the_others_go_on(self) -> None:
        broken = mock.Mock(side_effect=DatabaseError("canceling statement\nDETAIL"))
        last = service.CHECKS[-1]
        checks = (Check("slow", "", "", broken), last)
        with mock.patch.object(service, "CHECKS", checks), self.assertLogs(level="WARNING"):
            code, found = self.found()
        self.assertEqual(code, 1)
        self.assertEqual(
            [(each["name"], each["error"]) for each in found.values()],
            [("slow", "canceling statement")],
        )

    def test_it_waits_for_pending_migrations(self) -> None:
        with mock.patch(
            "sessions_app.management.commands.check_integrity.pending_migrations", return_value=True
        ):
            self.assertEqual(refusal("check_integrity")[0], 1)
