"""Test chats: run as real turns with a draft, checked, stored, and required to publish it."""

from __future__ import annotations

import json

from asgiref.sync import sync_to_async
from django.test import TestCase

from accounts.limits.quotas import set_limits
from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from agents.config.versions.publishing import PublishChecksFailed
from agents.models import ConfigVersion
from salient.api.problems import NotFound, Problem
from sessions_app.conversations import sessions
from sessions_app.evals import saved_chats
from sessions_app.evals.saved_chats import ChatChanged, check_publication, from_session
from sessions_app.models import Role, SavedChat, SavedChatRun
from tests.support.database.stored import as_platform, count_of
from tests.support.factories import make_account, make_instance, make_message, make_session
from tests.support.fixtures import DRAFT, OVERRIDE, ChatFixtures, counts, stored


class RunTests(ChatFixtures, TestCase):
    def test_each_message_is_a_real_turn_of_one_session(self) -> None:
        made = self.run_chat(self.chat("hello", "and again"))

        messages, requests = stored()
        self.assertEqual(counts(), (1, 4, 2))
        self.assertEqual({request.caller for request in requests}, {f"staff:{self.staff.pk}"})
        self.assertEqual({message.session_id for message in messages}, {requests[0].session_id})
        chat = str(made.saved_chat_id)
        self.assertEqual({(each.request_body or {})["test_chat"] for each in requests}, {chat})
        self.assertTrue(made.passed)
        self.assertEqual([row["status"] for row in made.answers], ["complete", "complete"])
        self.assertEqual(
            [row["llm_request_id"] for row in made.answers], [str(each.pk) for each in requests]
        )
        texts = [message.content for message in messages if message.role == Role.ASSISTANT]
        self.assertEqual([row["answer"] for row in made.answers], texts)

    def test_cost_and_latency_are_the_turns(self) -> None:
        made = self.run_chat(self.chat("hello", "again"))

        _, requests = stored()
        self.assertEqual(made.cost, sum(request.total_cost or 0 for request in requests))
        self.assertEqual(made.latency_ms, sum(request.latency_ms or 0 for request in requests))

    def test_the_draft_is_what_answers(self) -> None:
        chat = self.chat()
        old, new = self.run_chat(chat), self.run_chat(chat, self.drafted)

        with platform_context():
            versions = ConfigVersion.objects.in_bulk([old.config_version_id, new.config_version_id])
        self.assertEqual(versions[old.config_version_id].content["system_prompt"], "Be brief.")
        self.assertEqual(versions[new.config_version_id].content["system_prompt"], "Be a pirate.")

    def test_what_is_expected_decides(self) -> None:
        for expected, failures in (
            ({"contains": ["HELLO"]}, []),
            ({"contains": ["goodbye"]}, ["lacks “goodbye”"]),
            ({"excludes": ["hello"]}, ["has “hello”"]),
            ({"excludes": ["goodbye"]}, []),
            ({}, []),
        ):
            with self.subTest(expected):
                made = self.run_chat(self.chat(expected=[expected], name=f"{expected}"))
                self.assertEqual(made.answers[0]["failures"], failures)
                self.assertEqual(made.passed, not failures)

    def test_after_a_failed_answer_no_further_message_is_sent(self) -> None:
        self.configure("model: scripted:fail\n")
        made = self.run_chat(self.chat("hello", "again"))

        first, second = made.answers
        self.assertFalse(made.passed)
        self.assertEqual(first["status"], "error")
        self.assertIn("ended as error", first["failures"][0])
        self.assertIn("broke off.", first["failures"][0])
        self.assertEqual(second["failures"], [saved_chats.NOT_SENT])
        self.assertEqual(counts()[2], 1)

    def test_one_that_cannot_begin_leaves_no_run(self) -> None:
        set_limits(self.account, requests_per_minute=1)
        chat = self.chat()
        self.run_chat(chat)

        self.assertRaises(Problem, self.run_chat, chat)
        self.assertEqual(count_of(SavedChatRun), 1)

    def test_one_that_is_cut_by_a_limit_is_kept_as_failed(self) -> None:
        set_limits(self.account, requests_per_minute=1)
        made = self.run_chat(self.chat("hello", "again"))

        self.assertEqual(made.answers[1]["error"], "rate_limited")
        self.assertFalse(made.passed)

    def test_a_run_of_a_chat_that_changed_meanwhile_is_not_stored(self) -> None:
        chat = self.chat()
        with platform_context():
            SavedChat.objects.get(pk=chat.pk).save()

        self.assertRaises(ChatChanged, self.run_chat, chat)
        self.assertEqual(count_of(SavedChatRun), 0)

    def test_another_instances_chat_is_not_found(self) -> None:
        chat = self.chat()
        other = make_instance(self.account, "other")
        beta = make_account("beta")
        for instance, caller, chat_id in (
            (other, self.published, str(chat.pk)),
            (self.instance, self.published, "none"),
            (self.instance, self.caller(account_id=beta.pk), str(chat.pk)),
        ):
            with self.assertRaises(NotFound):
                saved_chats.find(caller, instance, chat_id)


class StreamTests(ChatFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.saved = self.chat("hello", "again", expected=[{"contains": ["hello"]}, {}])
        self.address = self.path(f"test-chats/{self.saved.pk}/run")

    async def test_each_answer_is_sent_at_once_and_then_the_result(self) -> None:
        client = self.client_of(self.staff, draft_id=self.draft.pk)
        answer = await client.post(self.address, {})

        names = [name for name, _ in answer.events()]
        self.assertEqual(names, ["answer", "answer", "done"])
        self.assertTrue(json.loads(answer.events()[-1][1])["passed"])
        self.assertEqual(await sync_to_async(self.failures)(), [])

    async def test_only_staff_with_a_token_run_one(self) -> None:
        answer = await self.api.post(self.address, {})

        self.assertEqual(answer.status, 403)
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    async def test_what_is_not_there_is_not_found(self) -> None:
        other = await sync_to_async(make_instance)(self.account, "other")
        elsewhere = self.client_of(self.staff, other)
        there = await elsewhere.post(self.address.replace("/bot/", "/other/"), {})
        nowhere = await self.player.post(self.path("test-chats/x/run"), {})

        self.assertEqual((there.status, nowhere.status), (404, 404))

    async def test_a_problem_is_an_event_of_the_stream(self) -> None:
        await sync_to_async(self.configure)("modell: x\n")
        answer = await self.player.post(self.address, {})

        [(name, data)] = answer.events()
        self.assertEqual((name, json.loads(data)["code"]), ("error", "agent_misconfigured"))


class GateTests(ChatFixtures, TestCase):
    def test_without_test_chats_nothing_is_queried(self) -> None:
        self.assertEqual(self.failures(), [])

    def test_a_chat_that_has_not_run_with_this_draft_is_a_failure(self) -> None:
        chat = self.chat()
        self.run_chat(chat)

        self.assertEqual(self.failures(), [("Greets", "has not been run with this configuration")])
        self.run_chat(chat, self.drafted)
        self.assertEqual(self.failures(), [])

    def test_another_draft_needs_another_run(self) -> None:
        chat = self.chat()
        self.run_chat(chat, self.drafted)
        with platform_context():
            self.draft.text = DRAFT.replace("pirate", "parrot")
            self.draft.save()
            other = publishing.override_of(self.draft.text)
            self.assertTrue(check_publication(self.instance, other))
        self.assertEqual(self.failures(), [])

    def test_a_failed_chat_names_what_failed(self) -> None:
        self.run_chat(self.chat(expected=[{"contains": ["arr"]}]), self.drafted)

        self.assertEqual(self.failures(), [("Greets", "failed: answer 1 lacks “arr”")])

    def test_the_newest_run_counts(self) -> None:
        chat = self.chat()
        self.run_chat(chat, self.drafted)
        with platform_context():
            run = SavedChatRun.objects.get()
            run.pk, run.passed = None, False
            run._state.adding = True
            run.answers = [run.answers[0] | {"failures": ["lacks “arr”"]}]
            SavedChatRun.objects.create(
                **{
                    field.attname: getattr(run, field.attname)
                    for field in SavedChatRun._meta.concrete_fields
                    if field.attname not in {"id", "created_at"}
                }
            )

        self.assertEqual(len(self.failures()), 1)

    def test_a_chat_that_was_changed_must_run_again(self) -> None:
        chat = self.chat()
        self.run_chat(chat, self.drafted)
        as_platform(chat.save)

        self.assertEqual(self.failures(), [("Greets", "was changed after its run")])

    def test_a_chat_that_is_not_required_does_not_prevent_publishing(self) -> None:
        self.chat(is_gate=False)

        self.assertEqual(self.failures(), [])

    def test_publishing_needs_passed_chats_or_a_reason(self) -> None:
        self.chat()
        with platform_context():
            with self.assertRaisesMessage(PublishChecksFailed, "Greets: has not been run"):
                publishing.publish(self.instance, DRAFT, "why not", self.staff)
            made = publishing.publish(
                self.instance, DRAFT, "why not", self.staff, gate_reason="it burns"
            )
        self.assertEqual(made.gate_reason, "it burns")

    def test_what_passed_is_published(self) -> None:
        self.run_chat(self.chat(), self.drafted)
        made = as_platform(publishing.publish, self.instance, DRAFT, "better", self.staff)

        self.assertEqual((made.number, made.gate_reason), (1, ""))

    def test_twenty_chats_are_asked_for_with_as_many_queries_as_one(self) -> None:
        numbers = []
        for count in (1, 20):
            for number in range(count):
                self.chat(name=f"{count}-{number}")
            with platform_context(), self.assertNumQueries(2) as queries:
                check_publication(self.instance, OVERRIDE)
            numbers.append(len(queries))
        self.assertEqual(len(set(numbers)), 1)


class FromSessionTests(TestCase):
    def setUp(self) -> None:
        self.session = make_session(make_instance(make_account("acme"), "bot"))

    def made(self, name: str = "From life") -> SavedChat:
        return as_platform(from_session, self.session, name)

    def test_a_chat_has_the_messages_of_the_user(self) -> None:
        for role, text in ((Role.HUMAN, "one"), (Role.ASSISTANT, "two"), (Role.HUMAN, "three")):
            make_message(self.session, role=role, content=text)

        chat = self.made()

        self.assertEqual(chat.messages, ["one", "three"])
        self.assertEqual(chat.expected, [{"contains": [], "excludes": []}] * 2)
        self.assertEqual(chat.session_id, self.session.pk)
        self.assertEqual(chat.agent_instance_id, self.session.agent_instance_id)
        self.assertTrue(chat.is_gate)

    def test_a_long_conversation_gives_its_beginning(self) -> None:
        for number in range(saved_chats.MOST_MESSAGES + 2):
            make_message(self.session, content=f"{number}")

        self.assertEqual(self.made().messages, [f"{n}" for n in range(saved_chats.MOST_MESSAGES)])

    def test_it_is_deleted_with_its_conversation(self) -> None:
        make_message(self.session, content="one")
        self.made()
        as_platform(sessions.leave_tombstone, self.session)
        self.assertFalse(count_of(SavedChat))
