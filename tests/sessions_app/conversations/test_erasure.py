"""A person is erased with all copies; figures stay, and a receipt says what was there."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from django.core.exceptions import ValidationError
from django.db import connection
from django.test import TestCase
from django.utils import timezone

from accounts.models import Account, AuditEntry, User
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from salient.actors import Actor, acting
from sessions_app.conversations.erasure import mentions, service
from sessions_app.conversations.erasure.persons import Person, survey
from sessions_app.conversations.erasure.service import erase
from sessions_app.evals.saved_chats import from_session
from sessions_app.models import Erasure, LLMRequest, Message, Session, TurnCancellation, UsageDay
from sessions_app.usage import rollup
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import as_platform, change_row, rows_of
from tests.support.factories import (
    make_account,
    make_config_draft,
    make_delivery,
    make_event_batch,
    make_feedback,
    make_instance,
    make_llm_request,
    make_message,
    make_profile,
    make_saved_chat,
    make_saved_chat_run,
    make_session,
    make_user,
    make_webhook,
)

EMAIL, CANARY = "dora@mail.example", "Canary 4711"
TABLES = (
    *("sessions", "messages", "llm_requests", "profiles", "message_feedback", "saved_chats"),
    *("saved_chat_runs", "turn_event_batches", "webhook_deliveries", "config_drafts", "erasures"),
    "audit_log",
)
FOUND = {
    "sessions": 3,
    "messages": 4,
    "profiles": 1,
    "message_feedback": 1,
    "llm_requests": 2,
    "turn_event_batches": 1,
    "saved_chats": 1,
    "saved_chat_runs": 1,
    "webhook_deliveries": 1,
}


class PersonFixtures(TestCase):
    """Dora by her address in two sessions, one copied by a test chat; others name her, too."""

    account: Account
    instance: AgentInstance
    first: Session
    other: Session

    @classmethod
    def setUpTestData(cls) -> None:
        cls.account = make_account("acme")
        cls.instance = make_instance(cls.account, "bot")
        cls.first = cls.conversation(email="Dora@Mail.example", end_user="cust-77", title=CANARY)
        make_profile(cls.conversation(), email=EMAIL, phone=CANARY)
        [answer] = cls.rows(Message, session_id=cls.first.pk, role="assistant")
        make_feedback(answer, comment=CANARY)
        [turn] = cls.rows(LLMRequest, session_id=cls.first.pk)
        make_event_batch(turn, events=[[CANARY]])
        hook = make_webhook(cls.account)
        make_delivery(hook, data={"session_id": str(cls.first.pk), "end_user": CANARY})
        chat = as_platform(from_session, cls.first, "From life")
        make_saved_chat_run(chat, answers=[{"answer": CANARY}])
        make_session(cls.instance, copied_from=cls.first.pk, meta={"note": CANARY})
        cls.other = make_session(cls.instance, end_user="cust-7", email="xdora@mail.example")
        make_message(cls.other, content=f"Write to <{EMAIL.upper()}>, not to x{EMAIL}.nz")
        make_saved_chat(cls.instance, messages=[f"I am {EMAIL}."])
        make_config_draft(cls.instance, text=f"system_prompt: Ask {EMAIL} first.")
        rollup.rebuild(cls.account.pk)

    @classmethod
    def conversation(cls, **fields: Any) -> Session:
        session = make_session(cls.instance, meta={"note": CANARY}, **fields)
        turn = make_llm_request(
            session,
            caller="visitor:dora",
            request_body={"tools": [CANARY]},
            prompt_tokens=100,
            completion_tokens=7,
            total_cost=Decimal("0.25"),
            latency_ms=800,
            settled_at=timezone.now(),
            idempotency_key=f"key of {session.pk}",
        )
        for role in ("human", "assistant"):
            make_message(session, role=role, content=CANARY, llm_request=turn)
        return session

    @classmethod
    def rows(cls, model: Any, **wanted: Any) -> list[Any]:
        with tenant_context(cls.account.pk):
            return list(model.objects.filter(**wanted).order_by("pk"))

    def everything(self, *but: str) -> str:
        with connection.cursor() as cursor:
            found = []
            for table in [each for each in TABLES if each not in but]:
                cursor.execute(f"SELECT t::text FROM {table} t")  # noqa: S608
                found += [line for (line,) in cursor.fetchall()]
        return "\n".join(found)

    def figures(self) -> list[Any]:
        """Return all that counts and sums: ledger, roll-up, counters of sessions, budgets."""
        money = ("pk", "prompt_tokens", "completion_tokens", "total_cost", "latency_ms")
        with tenant_context(self.account.pk):
            return [
                list(LLMRequest.objects.order_by("pk").values_list(*money, "completion_status")),
                list(UsageDay.objects.order_by("pk").values()),
                list(Session.objects.order_by("pk").values_list("pk", "turn_count", "total_cost")),
            ]

    def dora(self, kind: str = "email", value: str = " DORA@mail.example") -> Person:
        return Person.read(self.account.pk, kind, value)


class ErasureTests(PersonFixtures):
    def test_a_preview_counts_by_table_and_changes_nothing(self) -> None:
        before = self.everything()
        found = survey(self.dora())
        self.assertEqual((found.counts, found.running, found.receipts), (FOUND, 0, []))
        self.assertEqual(self.everything(), before)
        self.assertTrue(survey(self.dora(value="nobody@mail.example")).is_empty)

    def test_texts_and_copies_go_and_every_figure_stays(self) -> None:
        figures, others = self.figures(), make_message(self.other, content="Thank you")
        self.assertIn(CANARY, self.everything())
        with acting(Actor("staff", "7", "ann@salient.example")):
            receipt = erase(self.dora(), reason="Ticket  12", actor="ann@salient.example")

        left = self.everything("audit_log").lower()
        self.assertNotIn(CANARY.lower(), left)
        self.assertEqual(left.count(EMAIL), 2)  # xdora@…, and x…nz: two other addresses
        self.assertEqual(self.figures(), figures)
        self.assertFalse(rollup.compare(self.account.pk))
        self.assertEqual((receipt.erased, receipt.remaining), (FOUND, {}))
        self.assertEqual(receipt.masked, {"messages": 1, "saved_chats": 1, "config_drafts": 1})
        self.assertEqual((receipt.reason, receipt.actor), ("Ticket 12", "ann@salient.example"))
        [message] = self.rows(Message, session_id=self.other.pk, llm_request=None)[:1]
        self.assertEqual(message.content, f"Write to <[erased]>, not to x{EMAIL}.nz")
        self.assertEqual(self.rows(Message, pk=others.pk)[0].content, "Thank you")
        self.check_log(receipt)

    def check_log(self, receipt: Erasure) -> None:
        """Expect who did it and what it was in the account's log, and the person nowhere in it."""
        made, ended = rows_of(AuditEntry, "created_at", object_type="erasures")
        self.assertEqual((made.actor, ended.actor), ("ann@salient.example",) * 2)
        self.assertEqual((made.action, made.object), ("created", receipt.person_hash))
        self.assertEqual(made.changes["reason"], [None, "Ticket 12"])
        self.assertEqual(set(ended.changes), {"finished_at", "signature"})
        entries = self.everything(*[each for each in TABLES if each != "audit_log"])
        self.assertNotIn(EMAIL, entries.lower())
        self.assertNotIn(CANARY, entries)

    def test_another_letter_that_looks_alike_is_another_persons(self) -> None:
        alike = [f"{letter}ira@mail.example" for letter in ("\u212a", "k")]
        theirs, own = (make_session(self.instance, email=email) for email in alike)
        make_profile(self.conversation(), email=alike[0])
        other = make_user("place@holder.example")
        User.objects.filter(pk=other.pk).update(email=alike[0])
        make_session(self.instance, user=other)
        kira = self.dora(value="Kira@mail.example")
        self.assertEqual(survey(kira).counts["sessions"], 1)
        erase(kira, reason="T-1", actor="olaf")
        left = {each.pk: each.email for each in self.rows(Session, deleted_at=None)}
        self.assertEqual((left.get(theirs.pk), left.get(own.pk)), (alike[0], None))

    def test_an_end_user_is_found_by_id_and_a_visitor_by_one_session(self) -> None:
        self.assertEqual(survey(self.dora("end_user", "cust-77")).counts["sessions"], 2)
        self.assertEqual(
            survey(self.dora("end_user", "cust-7")).counts, {"sessions": 1, "messages": 1}
        )
        visitor = self.dora("session", str(self.first.pk))
        self.assertEqual(survey(visitor).counts, FOUND)
        with patch.object(service, "BATCH", 1):
            receipt = erase(visitor, reason="Ticket 1", actor="ann")
        self.assertEqual((receipt.erased, receipt.remaining), (FOUND, {}))
        self.assertIsNotNone(receipt.finished_at)
        # Her address was not given, and so it is masked nowhere.
        self.assertEqual(receipt.masked, {})

    def test_the_sessions_are_looked_up_once_for_all_batches(self) -> None:
        """And once more, for those that have come or gone quiet meanwhile."""
        look_up = Person.quiet_sessions
        with (
            patch.object(service, "BATCH", 1),
            patch.object(Person, "quiet_sessions", autospec=True, side_effect=look_up) as looked,
        ):
            receipt = erase(self.dora(), reason="Ticket 1", actor="ann")
        self.assertEqual((receipt.erased["sessions"], receipt.remaining), (3, {}))
        self.assertEqual(looked.call_count, 2)

    def test_others_texts_that_name_an_id_are_counted_and_stay(self) -> None:
        make_message(self.other, content="cust-77 is my neighbour, cust-770 is not")
        receipt = erase(self.dora("end_user", "cust-77"), reason="Ticket 1", actor="ann")
        self.assertEqual((receipt.kept, receipt.masked), ({"messages": 1}, {}))
        self.assertIsNotNone(receipt.finished_at)

    def test_an_address_at_the_start_of_a_line_is_found_in_json_as_well(self) -> None:
        lines = [f"Hello\n{EMAIL}\nBye", f"\t{EMAIL}", f"\x1f{EMAIL}", f"not\nx{EMAIL}"]
        chat = make_saved_chat(self.instance, name="Lines", messages=lines)
        body = {"text": lines[0], "arguments": json.dumps({"to": lines[0]})}
        turn = make_llm_request(self.other, request_body=body)
        said = make_message(self.other, content=json.dumps(lines))
        receipt = erase(self.dora(), reason="Ticket 1", actor="ann")

        self.assertEqual((receipt.masked["saved_chats"], receipt.masked["llm_requests"]), (2, 1))
        [kept] = self.rows(type(chat), pk=chat.pk)
        self.assertEqual(
            kept.messages, ["Hello\n[erased]\nBye", "\t[erased]", "\x1f[erased]", f"not\nx{EMAIL}"]
        )
        [kept_turn] = self.rows(LLMRequest, pk=turn.pk)
        self.assertNotIn(EMAIL, json.dumps(kept_turn.request_body))
        self.assertEqual(json.loads(self.rows(Message, pk=said.pk)[0].content), kept.messages)

    def test_what_was_interrupted_goes_on_with_the_same_receipt(self) -> None:
        with patch.object(service, "BATCH", 1), patch.object(mentions, "PAGE", 2):
            steps = 0
            receipt = erase(self.dora(), reason="Ticket 1", actor="ann", seconds=-1)
            first = receipt.pk
            self.assertEqual((receipt.finished_at, receipt.erased["sessions"] < 3), (None, True))
            while receipt.finished_at is None and steps < 100:
                receipt, steps = (
                    erase(self.dora(), reason="Ticket 2", actor="bob", seconds=-1),
                    steps + 1,
                )
        self.assertEqual((receipt.pk, receipt.actor, receipt.erased), (first, "ann", FOUND))
        self.assertNotIn(CANARY, self.everything("audit_log"))
        self.assertEqual([each.pk for each in survey(self.dora()).receipts], [first])
        # What comes later is another erasure.
        self.conversation(email=EMAIL)
        again = erase(self.dora(), reason="Ticket 3", actor="ann")
        self.assertEqual((again.pk != first, again.erased["sessions"]), (True, 1))

    def test_running_turns_are_cancelled_first_and_waited_for(self) -> None:
        running = make_llm_request(
            self.first, completion_status="running", request_body={"a": CANARY}
        )
        self.assertEqual(survey(self.dora()).running, 1)
        with patch.object(service, "CANCEL_SECONDS", 0.0):
            receipt = erase(self.dora(), reason="Ticket 1", actor="ann")
        self.assertEqual(receipt.finished_at, None)
        self.assertEqual(receipt.remaining["sessions"], 2)
        self.assertEqual(
            [each.llm_request_id for each in self.rows(TurnCancellation)], [running.pk]
        )
        change_row(running, completion_status="cancelled")
        receipt = erase(self.dora(), reason="Ticket 1", actor="ann")
        self.assertEqual((receipt.remaining, receipt.erased["sessions"]), ({}, 3))
        self.assertNotIn(CANARY, self.everything("audit_log"))

    def test_the_receipt_refuses_to_name_the_person(self) -> None:
        for reason in ("", f"asked by {EMAIL}"):
            with self.assertRaises(ValidationError):
                erase(self.dora(), reason=reason, actor="ann")
        for kind, value in (
            ("email", "dora"),
            ("end_user", " "),
            ("end_user", "\udcff"),
            ("session", "7"),
        ):
            with self.assertRaises(ValidationError):
                self.dora(kind, value)
        self.assertEqual(self.rows(Erasure), [])


class CommandTests(PersonFixtures):
    def test_it_checks_erases_and_reports(self) -> None:
        who = ("erase_person", "acme", "--email", EMAIL)
        self.assertEqual(
            run_json(*who, "--dry-run"), {"found": FOUND, "running_turns": 0, "receipts": []}
        )
        self.assertIn("messages: 4 would be erased", run(*who, "--dry-run"))
        self.assertEqual(refusal(*who), (2, "Say why: --reason."))
        report = run_json(*who, "--reason", "Ticket 12")
        self.assertEqual((report["ok"], report["erased"], report["remaining"]), (True, FOUND, {}))
        self.assertIn("is complete", run(*who, "--reason", "Ticket 13"))
        self.assertEqual(len(self.rows(Erasure)), 2)
        self.assertEqual(run(*who, "--dry-run").splitlines()[0], "Nothing was found.")
