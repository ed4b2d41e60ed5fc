"""Test chats made from conversations: texts need a reason, and are deleted with the source."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.test import TestCase
from django.urls import reverse

from accounts.limits.quotas import set_limits
from accounts.models import AuditEntry
from accounts.tenancy.context import platform_context, tenant_context
from salient.api.problems import NotFound, Problem
from sessions_app.conversations.sessions import leave_tombstone
from sessions_app.evals.saved_chats import from_session
from sessions_app.models import LLMRequest, Message, Role, SavedChat, SavedChatRun, Session
from tests.support.database.stored import as_platform, count_of, row_of, rows_of
from tests.support.factories import make_hold, make_message, make_session
from tests.support.fixtures import EvalPagesFixtures, counts
from tests.support.people import opened

CANARY = "Canary 4711"


class CopyFixtures(EvalPagesFixtures):
    """A conversation of acme, and a test chat made from it."""

    def setUp(self) -> None:
        super().setUp()
        self.source = make_session(self.instance)
        for role, text in ((Role.HUMAN, CANARY), (Role.ASSISTANT, "Yes?"), (Role.HUMAN, "again")):
            make_message(self.source, role=role, content=text)
        self.copy = self.made_of(self.source)

    def made_of(self, session: Session, name: str = "From life") -> SavedChat:
        return as_platform(from_session, session, name)

    def change_page(self, chat: SavedChat) -> str:
        return reverse("admin:sessions_app_savedchat_change", args=[chat.pk])

    def open_access(self) -> None:
        opened(self.root, self.account)

    def run_session(self) -> Session:
        return row_of(Session, copied_from=self.source.pk)

    def pages(self) -> list[Any]:
        return [
            self.browser.get(self.change_page(self.copy), secure=True),
            self.get("saved-chats"),
            self.browser.get("/admin/sessions_app/savedchat/", secure=True),
        ]


class ReadingTests(CopyFixtures, TestCase):
    def test_without_an_access_only_lengths_are_shown(self) -> None:
        run = self.run_chat(self.copy)
        self.assertIn(CANARY, run.answers[0]["answer"])
        for page in self.pages():
            self.assertNotContains(page, CANARY)
        chat, runs, _ = self.pages()
        for page in (chat, runs):
            self.assertContains(page, "The texts are hidden")
        self.assertContains(chat, "2 messages of 16 characters; hidden")
        self.assertContains(runs, "11 characters")
        self.assertContains(runs, f"{len(run.answers[0]['answer'])} characters")
        self.assertContains(runs, f"{run.latency_ms} ms")

    def test_texts_that_a_person_may_not_read_are_not_changed_by_them(self) -> None:
        form = {"name": "New", "message_1": "forged"}
        answer = self.browser.post(self.change_page(self.copy), form, secure=True)
        self.assertEqual(answer.status_code, 403)
        self.assertEqual(row_of(SavedChat).messages, [CANARY, "again"])

    def test_with_an_access_they_are_shown_and_the_reading_is_noted_once(self) -> None:
        self.run_chat(self.copy)
        self.open_access()
        for _ in range(2):
            chat, runs, _ = self.pages()
            for page in (chat, runs):
                self.assertContains(page, CANARY)
        noted = row_of(AuditEntry, action="noted", object_type="saved_chats")
        self.assertEqual((noted.object_id, noted.reason), (str(self.copy.pk), "ticket 7"))

    def test_what_staff_wrote_themselves_stays_visible(self) -> None:
        by_hand = self.chat("By hand", name="by hand")
        mine = make_session(self.instance, user=self.root)
        make_message(mine, content="Said myself")
        played = self.made_of(mine, "played")
        for chat, words in ((by_hand, "By hand"), (played, "Said myself")):
            page = self.browser.get(self.change_page(chat), secure=True)
            self.assertContains(page, words)
            self.assertContains(page, "_save")
            self.assertContains(self.get("saved-chats"), words)

    def test_a_run_shows_no_texts_either(self) -> None:
        chunks = self.streamed()
        self.assertNotIn(CANARY, chunks)
        self.assertEqual(json.loads(chunks.splitlines()[-2].partition(":")[2])["passed"], True)

    def streamed(self) -> str:
        address = self.path(f"test-chats/{self.copy.pk}/run")
        answer = async_to_sync(self.player.post)(address, {})
        return str(answer.body.decode())

    async def test_the_runs_session_is_out_of_the_playgrounds_reach(self) -> None:
        await sync_to_async(self.streamed)()
        session = await sync_to_async(self.run_session)()
        history = await self.player.get(self.path("history"), session_id=str(session.pk))
        went_on = await self.play(self.player, session_id=str(session.pk))
        listed = await self.player.get(self.path("sessions"))

        self.assertEqual((history.status, went_on.status), (404, 404))
        self.assertEqual(listed.json()["sessions"], [])

    def test_of_a_run_no_test_chat_is_made_without_an_access(self) -> None:
        self.run_chat(self.copy)
        page = self.get("saved-chat-from-session", self.run_session().pk)
        self.assertTemplateUsed(page, "admin/support/reason.html")

    def test_the_name_that_is_offered_has_none_of_the_words(self) -> None:
        self.open_access()
        page = self.get("saved-chat-from-session", self.source.pk)
        self.assertNotIn(CANARY, page.context["form"].initial["name"])


class DeletionTests(CopyFixtures, TestCase):
    def delete(self, session: Session) -> None:
        with tenant_context(self.account.pk):
            leave_tombstone(Session.objects.select_for_update().get(pk=session.pk))

    def everything(self) -> str:
        tables = ("sessions", "messages", "llm_requests", "saved_chats", "saved_chat_runs")
        with connection.cursor() as cursor:
            found = []
            for table in (*tables, "audit_log"):
                cursor.execute(f"SELECT t::text FROM {table} t")  # noqa: S608
                found += [line for (line,) in cursor.fetchall()]
        return "\n".join(found)

    def test_a_deletion_also_deletes_the_runs_that_copied_the_texts(self) -> None:
        for caller in (self.published, self.drafted):
            self.run_chat(self.copy, caller)
        self.assertIn(CANARY, self.everything())
        cost = self.turns()
        self.delete(self.source)

        self.assertNotIn(CANARY, self.everything())
        with platform_context():
            self.assertEqual((SavedChat.objects.count(), SavedChatRun.objects.count()), (0, 0))
            self.assertFalse(Message.objects.exists())
            self.assertFalse(Session.objects.filter(deleted_at=None).exists())
        self.assertEqual(self.turns(), cost)

    def turns(self) -> list[Any]:
        """Return the records of costs, which are kept."""
        return [(row.pk, row.total_tokens, row.total_cost) for row in rows_of(LLMRequest, "pk")]

    def test_a_deletion_also_deletes_copies_without_chat_or_run(self) -> None:
        self.run_chat(self.copy)
        with platform_context():
            SavedChat.objects.all().delete()
        self.delete(self.source)
        self.assertNotIn(CANARY, self.everything())

    def test_a_deletion_also_deletes_copies_of_copies(self) -> None:
        self.run_chat(self.copy)
        second = self.made_of(self.run_session(), "Again")
        self.run_chat(second)
        self.delete(self.source)
        self.assertNotIn(CANARY, self.everything())

    def test_what_a_hold_covers_is_neither_changed_nor_deleted(self) -> None:
        self.open_access()
        make_hold(self.source)
        page = self.change_page(self.copy)
        self.assertContains(self.browser.get(page, secure=True), "A legal hold covers")
        delete = reverse("admin:sessions_app_savedchat_delete", args=[self.copy.pk])
        for path, form in ((page, {"name": "Other", "says_1": "x"}), (delete, {"post": "yes"})):
            self.assertEqual(self.browser.post(path, form, secure=True).status_code, 403, path)
        self.assertEqual(row_of(SavedChat, pk=self.copy.pk).name, "From life")

    def test_other_conversations_stay(self) -> None:
        other = self.chat("by hand", name="by hand")
        self.run_chat(other)
        self.delete(self.source)
        self.assertEqual(row_of(SavedChat).pk, other.pk)
        self.assertEqual(count_of(Message), 2)

    def test_a_deleted_conversation_is_not_sent_again(self) -> None:
        chat = self.copy
        self.delete(self.source)
        before = counts()
        self.assertRaises(NotFound, self.run_chat, chat)
        self.assertEqual(counts(), before)

    def test_one_that_cannot_begin_leaves_no_session(self) -> None:
        set_limits(self.account, requests_per_minute=1)
        self.run_chat(self.chat())
        before = counts()
        self.assertRaises(Problem, self.run_chat, self.copy)
        self.assertEqual(counts(), before)

    def test_each_message_is_sent_in_the_one_session(self) -> None:
        made = self.run_chat(self.copy)
        session = self.run_session()
        with platform_context():
            requests = LLMRequest.objects.filter(session_id=session.pk)
            callers = set(requests.values_list("caller", flat=True))
            self.assertEqual(requests.count(), 2)
        self.assertEqual(callers, {f"staff:{self.staff.pk}"})
        self.assertIsNone(session.user_id)
        self.assertIn("I remember one earlier message", made.answers[1]["answer"])
