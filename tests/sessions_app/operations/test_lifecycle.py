"""Accounts are erased with a receipt, texts and figures end after their days, holds stop it all."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.exceptions import ValidationError
from django.db import DatabaseError, OperationalError, connection
from django.test import Client, TestCase, TransactionTestCase, override_settings
from django.utils import timezone

from accounts.members.staff_roles import StaffRole, group_of
from accounts.models import Account, AccountStatus, AuditEntry
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.lookups import find_account, find_api_key
from accounts.tenancy.renames import rename_account
from accounts.tenancy.roles import tenant_tables
from agents.instances.renames import use_own_folder
from salient.ids import uuid7
from sessions_app.conversations.erasure import service
from sessions_app.conversations.erasure.persons import Person
from sessions_app.conversations.erasure.service import erase
from sessions_app.conversations.sessions import leave_tombstone
from sessions_app.management import jobs
from sessions_app.models import (
    AccountErasure,
    CompletionStatus,
    Erasure,
    LegalHold,
    LLMRequest,
    Message,
    Retention,
    Session,
    UsageDay,
)
from sessions_app.operations.lifecycle import accounts, holds, receipts, retention
from sessions_app.operations.lifecycle.holds import Held
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import (
    as_platform,
    change_all,
    change_row,
    count_of,
    row_of,
    rows_of,
)
from tests.support.database.tenant_rows import contents, make_tenant
from tests.support.factories import (
    make_account,
    make_instance,
    make_key,
    make_llm_request,
    make_message,
    make_session,
    make_usage_day,
    make_user,
    write_config,
)
from tests.support.people import make_root


def archive(account: Account) -> Account:
    change_row(account, status=AccountStatus.DELETED)
    return row_of(Account, pk=account.pk)


class AccountErasureTests(TestCase):
    def setUp(self) -> None:
        self.base = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(AGENT_CONFIG_DIR=self.base))
        self.acme, self.beta = make_tenant("acme"), make_tenant("beta")
        self.account = archive(self.acme[Account])
        for name in ("acme", "beta"):
            write_config(self.base, name, "bot", "model: scripted:echo\n", "Secret prompt.")
        change_all(LLMRequest, completion_status=CompletionStatus.COMPLETE)

    def erase(self) -> AccountErasure:
        ordered = accounts.begin(self.account, reason="T-1", actor="olaf")
        return accounts.work(ordered)

    def test_not_a_row_is_left_and_other_accounts_do_not_change(self) -> None:
        other = contents(self.beta)
        expected = as_platform(accounts.count_rows, self.account.pk)

        receipt = self.erase()

        self.assertIsNotNone(receipt.finished_at, receipt.error)
        self.assertEqual((receipt.remaining, receipt.step), ({}, "complete"))
        self.assertEqual(set(receipt.rows), set(tenant_tables()))
        for table in set(expected) - {"audit_log", "turn_cancellations"}:
            self.assertEqual(receipt.rows[table], expected[table], table)
        self.assertEqual({t for t, rows in contents(self.acme).items() if rows}, set())
        self.assertEqual(contents(self.beta), other)
        self.assertIsNone(find_account("acme"))
        self.assertFalse((self.base / "acme").exists())
        self.assertIn("acme/bot/config.yaml", receipt.files)
        self.assertTrue((self.base / "beta" / "bot").exists())
        self.assertTrue(receipts.is_genuine(receipts.of_account(receipt), receipt.signature))
        entry = row_of(AuditEntry, object_type="accounts", action="deleted")
        self.assertEqual(entry.object, "acme")

    def test_a_new_account_on_the_slug_sees_nothing_and_old_keys_are_unknown(self) -> None:
        key, _ = make_key(self.account)
        self.erase()

        made = make_account("acme")

        with tenant_context(made.pk):
            self.assertEqual(Session.objects.count() + Message.objects.count(), 0)
        self.assertIsNone(find_api_key(key.key_id))

    def test_what_an_error_interrupts_the_worker_finishes(self) -> None:
        ordered = accounts.begin(self.account, reason="T-1", actor="olaf")
        for place in ("_remove_files", "_erase_account", "_finish"):
            with mock.patch.object(accounts, place, side_effect=DatabaseError("gone")):
                stopped = accounts.work(ordered)
            self.assertIsNone(stopped.finished_at)
            self.assertEqual(stopped.error, "DatabaseError")
        rows = stopped.rows

        self.assertEqual(jobs.continue_account_erasures.func(), 1)

        receipt = accounts.read(ordered.pk)
        self.assertIsNotNone(receipt.finished_at)
        self.assertEqual(receipt.rows["messages"], rows["messages"])
        self.assertEqual(jobs.continue_account_erasures.func(), 0)

    def test_it_stops_after_its_time_and_goes_on(self) -> None:
        ordered = accounts.begin(self.account, reason="T-1", actor="olaf")
        with mock.patch.object(accounts, "BATCH", 1):
            first = accounts.work(ordered, seconds=0)
            self.assertIsNone(first.finished_at)
            steps = 1
            while accounts.work(ordered, seconds=0).finished_at is None:
                steps += 1
        self.assertGreater(steps, 3)

    def test_files_that_cannot_be_removed_are_named_and_nothing_is_signed(self) -> None:
        with mock.patch("sessions_app.operations.lifecycle.accounts.shutil.rmtree"):
            receipt = self.erase()
        self.assertEqual((receipt.finished_at, receipt.signature), (None, ""))
        self.assertEqual(set(receipt.remaining), {"files"})

    def test_the_command_goes_on_when_only_files_were_left(self) -> None:
        kept = mock.patch("sessions_app.operations.lifecycle.accounts.shutil.rmtree")
        with kept, self.assertRaises(SystemExit):
            run("erase_account", "acme", "--reason", "T-1")
        self.assertIsNone(find_account("acme"))
        found = run_json("erase_account", "acme", "--dry-run")["found"]
        self.assertEqual(list(found), ["files"])

        shutil.rmtree(self.base / "acme")

        self.assertIn("The erasure is complete", run("erase_account", "acme"))
        self.assertIn("no account “acme”", refusal("erase_account", "acme")[1])

    def test_only_an_archived_account_without_holds_is_erased(self) -> None:
        with self.assertRaisesMessage(ValidationError, "Archive the account first"):
            accounts.begin(self.beta[Account], reason="T-1", actor="olaf")
        hold = as_platform(holds.place, self.account.pk, reason="File 9", actor="olaf")
        with self.assertRaisesMessage(ValidationError, "A legal hold forbids"):
            accounts.begin(self.account, reason="T-1", actor="olaf")
        with platform_context():
            noted = AuditEntry.objects.filter(object="stopped: erasure of the account")
            self.assertEqual(noted.count(), 1)
            self.assertTrue(holds.release(hold, actor="olaf"))
        self.assertIsNotNone(self.erase().finished_at)

    def test_a_hold_that_comes_in_between_stops_it(self) -> None:
        ordered = accounts.begin(self.account, reason="T-1", actor="olaf")
        as_platform(holds.place, self.account.pk, reason="File 9", actor="olaf")
        before = contents(self.acme)["messages"]

        stopped = accounts.work(ordered)

        self.assertEqual((stopped.finished_at, stopped.step), (None, "stopped"))
        self.assertEqual(contents(self.acme)["messages"], before)

    def test_an_account_that_is_resumed_loses_nothing_until_it_is_ordered_again(self) -> None:
        ordered = accounts.begin(self.account, reason="T-1", actor="olaf")
        change_row(self.account, status=AccountStatus.ACTIVE)
        before = contents(self.acme)["messages"]

        self.assertEqual(accounts.work(ordered).step, accounts.WITHDRAWN)

        archive(self.account)
        self.assertEqual(jobs.continue_account_erasures.func(), 0)
        self.assertIsNone(accounts.work(ordered).finished_at)
        self.assertEqual(contents(self.acme)["messages"], before)
        self.assertTrue((self.base / "acme" / "bot").exists())
        again = accounts.begin(self.account, reason="T-2", actor="olga")
        self.assertEqual((again.pk, again.reason), (ordered.pk, "T-2"))
        self.assertIsNotNone(accounts.work(again).finished_at)

    def test_an_account_that_is_resumed_between_two_steps_loses_nothing_more(self) -> None:
        ordered = accounts.begin(self.account, reason="T-1", actor="olaf")

        def resume(*_args: Any) -> int:
            change_row(self.account, status=AccountStatus.ACTIVE)
            return 0

        with mock.patch.object(accounts, "_running_turns", resume):
            self.assertEqual(accounts.work(ordered).step, "stopped")
        self.assertTrue(contents(self.acme)["messages"])
        self.assertTrue((self.base / "acme" / "bot").exists())

    def test_the_folders_of_all_its_slugs_are_removed(self) -> None:
        with platform_context():
            rename_account(self.account.pk, "zenith")
            self.account = Account.objects.get(pk=self.account.pk)
        for name in ("zenith", "acme"):
            write_config(self.base, name, "bot", "model: scripted:echo\n", "Secret prompt.")
        as_platform(use_own_folder, self.account)

        receipt = self.erase()

        self.assertIsNotNone(receipt.finished_at, receipt.error)
        self.assertEqual([each.name for each in self.base.iterdir()], ["beta"])
        self.assertIn("acme/bot/config.yaml", receipt.files)

    def test_the_receipt_names_files_that_an_interrupted_run_has_removed(self) -> None:
        ordered = accounts.begin(self.account, reason="T-1", actor="olaf")
        with mock.patch(f"{accounts.__name__}.shutil.rmtree", side_effect=DatabaseError):
            accounts.work(ordered)
        (self.base / "acme" / "bot" / "config.yaml").unlink()
        self.assertIn("acme/bot/config.yaml", accounts.work(ordered).files)

    def test_the_command_erases_and_its_receipt_is_verified(self) -> None:
        found = run_json("erase_account", "acme", "--dry-run")["found"]
        self.assertGreater(found["messages"], 0)
        report = run_json("erase_account", "acme", "--reason", "T-1")
        self.assertTrue(report["ok"])
        written = self.base / "receipt.json"
        written.write_text(json.dumps(report))

        shown = run("verify_receipt", report["receipt"]["id"])
        self.assertIn("The signature is genuine.", shown)
        self.assertTrue(run_json("verify_receipt", str(written))["ok"])
        report["receipt"]["rows"]["messages"] += 1
        written.write_text(json.dumps(report))
        with self.assertRaises(SystemExit):
            run("verify_receipt", str(written))
        other_key = override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[])
        with other_key, self.assertRaises(SystemExit):
            run("verify_receipt", report["receipt"]["id"])


class ConversationFixtures(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.instance = make_instance(self.account, "bot")
        self.second = make_instance(self.account, "second")

    def conversation(self, days: int, *, instance: Any = None, **fields: Any) -> Session:
        moment = timezone.now() - timedelta(days=days)
        session = make_session(instance or self.instance, **fields)
        turn = make_llm_request(
            session,
            completion_status=CompletionStatus.COMPLETE,
            request_body={"a": 1},
            total_cost=Decimal("0.5"),
            settled_at=moment,
        )
        make_message(session, content="Hello", llm_request=turn)
        change_row(session, last_activity_at=moment)
        change_row(turn, created_at=moment)
        return session

    def days(self, texts: int | None = 30, figures: int | None = None) -> Retention:
        return as_platform(retention.set_days, self.account.pk, texts=texts, figures=figures)

    def hold(self, **what: Any) -> LegalHold:
        return as_platform(holds.place, self.account.pk, reason="File 9", actor="olaf", **what)

    def spoken(self) -> set[Any]:
        return {row.session_id for row in rows_of(Message, account_id=self.account.pk)}

    def requests(self) -> list[Any]:
        return [
            (row.total_cost, row.request_body)
            for row in rows_of(LLMRequest, account_id=self.account.pk)
        ]


class RetentionTests(ConversationFixtures):
    def test_texts_end_after_their_days_and_figures_stay(self) -> None:
        self.conversation(31)
        young = self.conversation(29)
        self.days(30)
        with mock.patch.object(retention, "BATCH", 1):
            self.conversation(60)
            self.assertEqual(jobs.apply_retention.func(), 2)

        self.assertEqual(self.spoken(), {young.pk})
        costs = sorted(map(str, self.requests()))
        self.assertEqual(len(costs), 3)
        self.assertEqual(sum("None" in each for each in costs), 2)
        rule = as_platform(retention.retention_of, self.account.pk)
        assert rule is not None
        self.assertEqual((rule.erased_sessions, rule.held_sessions), (2, 0))
        self.assertIsNotNone(rule.finished_at)

    def test_figures_end_after_theirs(self) -> None:
        self.conversation(100)
        kept = self.conversation(40)
        make_usage_day(self.instance, day=(timezone.now() - timedelta(days=100)).date())
        make_usage_day(self.instance, day=(timezone.now() - timedelta(days=40)).date())
        self.days(30, 90)

        jobs.apply_retention.func()

        left = {row.session_id for row in rows_of(LLMRequest, account_id=self.account.pk)}
        self.assertEqual(count_of(UsageDay, account_id=self.account.pk), 1)
        self.assertEqual(left, {kept.pk})

    def test_who_writes_while_the_batch_is_found_keeps_the_conversation(self) -> None:
        old = self.conversation(60)
        self.days(30)

        def written_meanwhile(due: Any) -> Any:
            found = list(holds.without_hold(due).values_list("pk", flat=True))
            Session.objects.filter(pk__in=found).update(last_activity_at=timezone.now())
            return Session.objects.filter(pk__in=found)

        with mock.patch.object(retention, "without_hold", written_meanwhile):
            self.assertEqual(jobs.apply_retention.func(), 0)
        self.assertEqual(self.spoken(), {old.pk})

    def test_days_that_are_changed_while_the_job_runs_count_at_once(self) -> None:
        kept = {self.conversation(60).pk, self.conversation(61).pk}
        rule = self.days(30)
        self.days(None)
        self.assertEqual(retention.apply(rule), 0)
        self.assertEqual(self.spoken(), kept)

    def test_what_cannot_be_erased_now_keeps_nobody_waiting(self) -> None:
        answering, held = self.conversation(90), self.conversation(80)
        make_llm_request(
            make_session(self.instance, copied_from=answering.pk),
            completion_status=CompletionStatus.RUNNING,
        )
        self.hold(session_id=make_session(self.instance, copied_from=held.pk).pk)
        self.conversation(70)
        self.conversation(60)
        self.days(30)
        with mock.patch.object(retention, "BATCH", 1):
            self.assertEqual(jobs.apply_retention.func(), 2)
        self.assertEqual(self.spoken(), {answering.pk, held.pk})

    def test_without_days_nothing_ends(self) -> None:
        old = self.conversation(3000)
        self.days(None)
        self.assertEqual(jobs.apply_retention.func(), 0)
        self.assertEqual(self.spoken(), {old.pk})

    def test_days_that_contradict_each_other_are_refused(self) -> None:
        for texts, figures in ((0, None), (None, 90), (90, 62), (10, 61)):
            with self.subTest(texts=texts, figures=figures), self.assertRaises(ValidationError):
                self.days(texts, figures)

    def test_the_command_sets_days_and_says_what_is_due(self) -> None:
        self.conversation(31)
        tried = run_json("set_retention", "acme", "--texts", "30", "--dry-run")
        self.assertEqual((tried["sessions_due"], tried["changed"]), (1, False))
        self.assertTrue(run_json("set_retention", "acme", "--texts", "30")["changed"])
        self.assertIn("Texts are kept 30 days.", run("set_retention", "acme"))
        for days, said in (
            ("5", "--figures: Keep figures for 62 days or more."),
            ("62", "--figures: Figures cannot be erased before their texts"),
        ):
            run("set_retention", "acme", "--texts", "90")
            self.assertIn(said, refusal("set_retention", "acme", "--figures", days)[1])
        run("set_retention", "acme", "--texts", "never")
        self.assertIn("Texts are kept for ever.", run("set_retention", "acme"))


class HoldTests(ConversationFixtures):
    def test_retention_passes_over_what_is_held(self) -> None:
        held = self.conversation(60)
        of_agent = self.conversation(60, instance=self.second)
        self.conversation(60)
        self.hold(session_id=held.pk)
        hold = self.hold(agent=self.second)
        self.days(30, 62)

        self.assertEqual(jobs.apply_retention.func(), 1)

        self.assertEqual(self.spoken(), {held.pk, of_agent.pk})
        with platform_context():
            rule = Retention.objects.get()
            self.assertEqual(rule.held_sessions, 2)
            holds.release(hold, actor="olaf")
        self.assertEqual(jobs.apply_retention.func(), 1)
        self.assertEqual(self.spoken(), {held.pk})

    def test_no_way_deletes_a_held_conversation(self) -> None:
        session = self.conversation(1)
        self.hold()
        with tenant_context(self.account.pk), self.assertRaises(Held):
            leave_tombstone(Session.objects.select_for_update().get(pk=session.pk))

    def test_a_person_is_not_erased_while_a_conversation_or_a_text_is_held(self) -> None:
        mine = self.conversation(1, email="dora@mail.example", end_user="c-771234")
        other = self.conversation(1)
        for person, what, message in (
            (("email", "dora@mail.example"), {"session_id": mine.pk}, "covers 1 of"),
            (("email", "dora@mail.example"), {"session_id": other.pk}, "would be replaced"),
            (("end_user", "c-771234"), {"agent": self.instance}, "covers 1 of"),
            (("end_user", "c-771234"), {}, "whole account"),
        ):
            with self.subTest(what=what):
                hold = self.hold(**what)
                named = Person.read(self.account.pk, *person)
                with self.assertRaisesMessage(ValidationError, message):
                    erase(named, reason="T-1", actor="olaf")
                as_platform(holds.release, hold, actor="olaf")
        receipt = erase(named, reason="T-1", actor="olaf")
        self.assertIsNotNone(receipt.finished_at)
        self.assertTrue(receipts.is_genuine(receipts.of_person(receipt), receipt.signature))
        self.assertTrue(run_json("verify_receipt", str(receipt.pk))["ok"])
        change_all(Erasure, erased={"messages": 99})
        self.assertEqual(count_of(AuditEntry, object="stopped: erasure of a person"), 4)
        with self.assertRaises(SystemExit):
            run("verify_receipt", str(receipt.pk))

    def test_a_hold_that_comes_while_a_person_is_erased_stops_it(self) -> None:
        self.conversation(1, email="dora@mail.example")
        other = self.conversation(1)
        with platform_context():
            Message.objects.filter(session_id=other.pk).update(content="Ask dora@mail.example.")
        person = Person.read(self.account.pk, "email", "dora@mail.example")
        for step, what in (("_erase_some", {}), ("_look_on", {"session_id": other.pk})):
            real = getattr(service, step)
            placed: list[LegalHold] = []

            def late(*args: Any, real: Any = real, what: Any = what, placed: Any = placed) -> bool:
                if not placed:
                    placed.append(self.hold(**what))
                return bool(real(*args))

            with (
                self.subTest(step=step),
                mock.patch.object(service, step, late),
                self.assertRaisesMessage(ValidationError, "A legal hold"),
            ):
                erase(person, reason="T-1", actor="olaf")
            as_platform(holds.release, placed[0], actor="olaf")
        left = [row.content for row in rows_of(Message, account_id=self.account.pk)]
        self.assertEqual(left, ["Ask dora@mail.example."])

    def test_the_command_places_lists_and_releases(self) -> None:
        session = self.conversation(1, email="dora@mail.example")
        placed = run_json("legal_hold", "acme", "--email", "dora@mail.example", "--reason", "F 9")
        [hold] = placed["holds"]
        self.assertEqual(hold["what"], f"session {session.pk}")
        self.assertIn("F 9", run("legal_hold", "acme"))
        run("legal_hold", "acme", "--agent", "bot", "--reason", "F 10")
        run("legal_hold", "acme", "--release", hold["id"])
        [left] = run_json("legal_hold", "acme")["holds"]
        self.assertEqual(left["what"], "agent bot")
        self.assertIn("no hold", refusal("legal_hold", "acme", "--release", hold["id"])[1])
        self.assertIn("--reason", refusal("legal_hold", "acme", "--agent", "bot")[1])
        wrong = ("legal_hold", "acme", "--session", "4711", "--reason", "F 9")
        self.assertIn("--session: “4711” is no session's id", refusal(*wrong)[1])


class PlacingTests(TransactionTestCase):
    def test_a_hold_is_not_in_force_before_what_is_being_erased_is_gone(self) -> None:
        """Else conversations could go after whoever placed the hold was told that it holds."""
        session = make_session()
        waited: list[str] = []

        def place() -> None:
            try:
                with platform_context():
                    with connection.cursor() as cursor:
                        cursor.execute("SET LOCAL lock_timeout = '10ms'")
                    holds.place(session.account_id, reason="File 9", actor="olaf")
            except OperationalError as error:
                waited.append(str(error.__cause__ and error.__cause__.sqlstate))  # type: ignore[attr-defined]
            finally:
                connection.close()

        account_id = session.account_id
        ways: list[tuple[Any, Callable[[], object]]] = [
            (
                tenant_context(account_id),
                lambda: leave_tombstone(Session.objects.get(pk=session.pk)),
            ),
            (platform_context(), lambda: accounts._locked(account_id)),
        ]
        for context, begin_to_erase in ways:
            placing = threading.Thread(target=place)
            with context:
                begin_to_erase()
                placing.start()
                placing.join(10)
        self.assertEqual(waited, ["55P03", "55P03"])
        self.assertFalse(count_of(LegalHold))


class PageTests(ConversationFixtures):
    def setUp(self) -> None:
        super().setUp()
        self.owner = Client()
        self.owner.force_login(make_root())
        self.page = f"/admin/lifecycle/{self.account.pk}/"

    def send(self, **fields: Any) -> str:
        answer = self.owner.post(self.page, fields, secure=True, follow=True)
        return str(answer.content.decode())

    def test_days_are_set_and_their_run_is_shown(self) -> None:
        self.conversation(31)
        self.assertIn("Figures are kept as long", self.send(do="days", texts="90", figures="62"))
        self.assertIn("every hour", self.send(do="days", texts="30", figures=""))
        jobs.apply_retention.func()
        self.assertIn("1 conversation erased so far", self.send(do="release"))

    def test_a_form_that_there_is_not_changes_nothing(self) -> None:
        self.send(do="days", texts="30", figures="")
        for fields in ({}, {"do": "dayz"}, {"do": ""}):
            self.assertIn("Nothing was changed", self.send(**fields))
        self.assertEqual(row_of(Retention).texts_days, 30)
        self.assertIn("no such hold any more", self.send(do="release", hold=uuid7()))

    def test_holds_are_placed_and_released(self) -> None:
        session = self.conversation(1)
        self.assertIn("no such session", self.send(do="hold", session=uuid7(), reason="F 9"))
        self.assertIn(str(session.pk), self.send(do="hold", session=session.pk, reason="F 9"))
        with platform_context():
            [hold] = LegalHold.objects.in_force()
            [entry] = AuditEntry.objects.filter(object_type="legal_holds")
        self.assertEqual(entry.actor_kind, "staff")
        self.send(do="release", hold=hold.pk)
        with platform_context():
            self.assertFalse(LegalHold.objects.in_force().exists())

    def test_an_archived_account_is_erased_by_its_slug_and_the_worker(self) -> None:
        self.conversation(1)
        self.assertIn("Archive the account first", self.send(do="release"))
        archive(self.account)
        self.assertIn("not the account", self.send(do="erase", slug="other", reason="T-1"))
        self.assertIn("waits for the worker", self.send(do="erase", slug="acme", reason="T-1"))
        person = make_user(is_staff=True)
        with platform_context():
            person.groups.add(group_of(StaffRole.OPERATOR))
        operator = Client()
        operator.force_login(person)
        denied = operator.post(self.page, {"do": "erase", "slug": "acme"}, secure=True)
        self.assertEqual(denied.status_code, 403)

        self.assertEqual(jobs.continue_account_erasures.func(), 1)

        receipt = AccountErasure.objects.get()
        shown = self.owner.get(
            f"/admin/sessions_app/accounterasure/{receipt.pk}/change/", secure=True
        )
        self.assertContains(shown, "genuine")
        self.assertEqual(self.owner.get(self.page, secure=True).status_code, 404)
