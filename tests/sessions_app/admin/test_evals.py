"""The staff's pages to try agents out: who sees them, what they give away, what they keep."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.auth.staff_tokens import read_token
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance, InstanceStatus
from sessions_app.evals.saved_chats import Answer
from sessions_app.models import Role, SavedChat
from tests.support.database.reads import queries_of
from tests.support.database.stored import as_platform, change_all, count_of, row_of
from tests.support.factories import (
    make_config_version,
    make_instance,
    make_llm_request,
    make_message,
    make_saved_chat,
    make_saved_chat_run,
    make_session,
    make_user,
)
from tests.support.fixtures import EvalPagesFixtures
from tests.support.people import make_staff, opened

EVIL = "<script>alert(1)</script>"


class PlaygroundPageTests(EvalPagesFixtures, TestCase):
    def test_it_says_where_to_talk_and_has_no_token(self) -> None:
        answer = self.get("playground")

        self.assertContains(answer, 'data-api="/accounts/acme/agents/bot"')
        self.assertNotContains(answer, "sal_pt_")
        self.assertIn("no-store", answer.headers["Cache-Control"])

    def test_it_begins_with_the_draft_when_it_was_asked_for(self) -> None:
        self.assertContains(self.get("playground"), 'value="published" checked')
        self.assertContains(self.get("playground", draft="1"), 'value="draft" checked')

    def test_a_broken_draft_is_reported_and_not_offered(self) -> None:
        with platform_context():
            self.draft.text = f"modell: {EVIL}\n"
            self.draft.save()

        answer = self.get("playground", draft="1")

        self.assertContains(answer, 'value="draft" disabled')
        self.assertContains(answer, "modell")
        self.assertNotContains(answer, EVIL)

    def test_an_agent_that_answers_nobody_says_so(self) -> None:
        change_all(AgentInstance, status=InstanceStatus.ARCHIVED)

        self.assertContains(self.get("playground"), "The agent is archived")

    def test_an_auditor_looks_and_gets_no_token(self) -> None:
        self.browser = self.browser_of(make_user(is_staff=True, is_auditor=True))

        self.assertContains(self.get("playground"), "only staff who may change agents")
        self.assertEqual(self.post("playground-token").status_code, 403)

    def test_who_may_not_see_agents_sees_no_page(self) -> None:
        self.browser = self.browser_of(make_user(is_staff=True))
        for name in ("playground", "saved-chats"):
            self.assertEqual(self.get(name).status_code, 403)
        self.assertEqual(self.post("playground-token").status_code, 403)

    def test_an_agent_that_is_not_there_is_not_found(self) -> None:
        for name in ("playground", "saved-chats"):
            self.assertEqual(self.get(name, self.account.pk).status_code, 404)
        self.assertEqual(self.post("playground-token", self.account.pk).status_code, 404)


class TokenPageTests(EvalPagesFixtures, TestCase):
    def test_a_token_is_given_for_this_agent_and_the_draft_that_was_asked_for(self) -> None:
        published = read_token(self.post("playground-token").json()["token"])
        drafted = read_token(self.post("playground-token", draft="1").json()["token"])

        self.assertEqual(published.instance_id, self.instance.pk)
        self.assertEqual(published.account_id, self.account.pk)
        self.assertEqual(published.user_id, self.root.pk)
        self.assertIsNone(published.draft_id)
        self.assertEqual(drafted.draft_id, self.draft.pk)

    def test_staff_who_may_change_agents_get_one(self) -> None:
        self.browser = self.browser_of(make_staff())

        self.assertEqual(self.post("playground-token").status_code, 200)

    def test_a_draft_that_is_gone_is_reported(self) -> None:
        as_platform(self.draft.delete)

        answer = self.post("playground-token", draft="1")

        self.assertEqual(answer.status_code, 409)
        self.assertIn("no draft", answer.json()["detail"])

    def test_it_is_posted_for_with_the_proof_that_the_form_is_ours(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.root)

        self.assertEqual(self.get("playground-token").status_code, 405)
        answer = strict.post(self.at("playground-token"), secure=True)
        self.assertEqual(answer.status_code, 403)

    def test_what_it_gives_works_at_the_api(self) -> None:
        self.player.key = self.post("playground-token", draft="1").json()["token"]
        answer = async_to_sync(self.play)(self.player)

        self.assertEqual(answer.status, 200)
        sections = self.get("prompt-sections", answer.json()["llm_request_id"])
        self.assertEqual(sections.status_code, 200)


class SectionsPageTests(EvalPagesFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        said = {"name": "user message", "source": "messages", "bytes": 2, "tokens": 1}
        self.request = make_llm_request(
            make_session(self.instance), request_body={"sections": [said | {"messages": 1}]}
        )

    def test_it_tells_names_sources_and_sizes(self) -> None:
        [row] = self.get("prompt-sections", self.request.pk).json()["sections"]

        self.assertEqual(
            (row["name"], row["source"], row["bytes"]), ("user message", "messages", 2)
        )
        self.assertIsNone(row["text"])

    def test_others_requests_need_the_right_to_see_requests(self) -> None:
        staff = make_staff()
        self.browser = self.browser_of(staff)
        self.assertEqual(self.get("prompt-sections", self.request.pk).status_code, 403)

        mine = make_llm_request(make_session(self.instance), caller=f"staff:{staff.pk}")
        self.assertEqual(self.get("prompt-sections", mine.pk).json(), {"sections": []})


class RunsPageTests(EvalPagesFixtures, TestCase):
    def test_old_and_new_stand_side_by_side_with_cost_and_latency(self) -> None:
        chat = self.chat(f"hello {EVIL}", expected=[{"contains": ["arr"]}])
        old, new = self.run_chat(chat), self.run_chat(chat, self.drafted)

        answer = self.get("saved-chats")

        for run in (old, new):
            self.assertContains(answer, f"{run.latency_ms} ms")
            self.assertContains(answer, run.answers[0]["llm_request_id"])
        self.assertContains(answer, "lacks “arr”", count=4)
        self.assertContains(answer, "1 not passed")
        self.assertNotContains(answer, EVIL)

    def test_what_has_not_run_says_so(self) -> None:
        self.chat()

        self.assertContains(self.get("saved-chats"), ">not run<", count=2)

    def test_without_a_draft_there_is_one_column(self) -> None:
        self.run_chat(self.chat())
        as_platform(self.draft.delete)

        answer = self.get("saved-chats")

        self.assertNotContains(answer, '<th scope="col">Draft</th>')
        self.assertNotContains(answer, "data-draft")

    def test_a_broken_draft_is_reported(self) -> None:
        self.chat()
        with platform_context():
            self.draft.text = "modell: x\n"
            self.draft.save()

        self.assertContains(self.get("saved-chats"), "cannot be run")

    def test_twenty_chats_are_as_many_queries_as_one(self) -> None:
        numbers = []
        for count in (1, 20):
            for number in range(count):
                self.run_chat(self.chat(name=f"{count}-{number}"))
            self.get("saved-chats")
            numbers.append(queries_of(self.get, "saved-chats"))
        self.assertEqual(numbers[0], numbers[1])

    def test_the_review_names_what_speaks_against_the_draft(self) -> None:
        self.chat()
        review = self.browser.get(self.at("instance-review"), secure=True)

        self.assertContains(review, "Greets")
        self.assertContains(review, self.at("saved-chats"))
        self.assertContains(review, self.at("playground"))


class FormTests(EvalPagesFixtures, TestCase):
    add = "/admin/sessions_app/savedchat/add/"

    def fill(self, **more: str) -> dict[str, str]:
        form = {"agent_instance": str(self.instance.pk), "name": "Orders", "is_gate": "on"}
        return form | {"message_1": "Where is it?"} | more

    def only(self) -> SavedChat:
        return row_of(SavedChat)

    def test_what_is_filled_in_is_a_test_chat(self) -> None:
        form = self.fill(contains_1="order\n\n Friday ", message_3="Thanks", excludes_3="sorry")
        answer = self.browser.post(self.add, form, secure=True)

        self.assertEqual(answer.status_code, 302)
        chat = self.only()
        self.assertEqual(chat.account_id, self.account.pk)
        self.assertEqual(chat.messages, ["Where is it?", "Thanks"])
        self.assertEqual(
            chat.expected,
            [
                {"contains": ["order", "Friday"], "excludes": []},
                {"contains": [], "excludes": ["sorry"]},
            ],
        )

    def test_it_is_changed_and_stays_at_its_agent(self) -> None:
        chat = self.chat("one", "two", expected=[{"contains": ["a", "b"]}, {}])
        page = reverse("admin:sessions_app_savedchat_change", args=[chat.pk])
        self.assertContains(self.browser.get(page, secure=True), "a\nb")

        other = make_instance(self.account, "other")
        form = {"agent_instance": str(other.pk), "name": "New", "message_1": "three"}
        self.assertEqual(self.browser.post(page, form, secure=True).status_code, 302)
        chat = self.only()
        self.assertEqual((chat.name, chat.messages, chat.is_gate), ("New", ["three"], False))
        self.assertEqual(chat.agent_instance_id, self.instance.pk)

    def test_what_is_wrong_is_reported_at_its_field(self) -> None:
        self.chat(name="Reservation")
        for more, error in (
            ({"message_1": ""}, "Write at least one message."),
            (
                {"message_1": "", "contains_1": "x"},
                "An answer needs a user message.",
            ),
            ({"message_2": "x" * 40_000}, "longer than 32768 bytes"),
            ({"contains_1": "x" * 600}, "Expect at most"),
            ({"name": "Reservation"}, "has a test chat of that name"),
        ):
            with self.subTest(error):
                answer = self.browser.post(self.add, self.fill(**more), secure=True)
                self.assertContains(answer, error)
        self.assertEqual(self.only().name, "Reservation")

    def test_a_name_that_another_has_is_refused_on_change_too(self) -> None:
        self.chat(name="Reservation")
        mine = self.chat(name="Mine")
        page = reverse("admin:sessions_app_savedchat_change", args=[mine.pk])

        form = {"name": "Reservation", "message_1": "x"}
        self.assertContains(self.browser.post(page, form, secure=True), "of that name")

    def test_the_list_is_as_many_queries_for_one_as_for_many(self) -> None:
        numbers = []
        for count in (1, 20):
            for number in range(count):
                self.chat(name=f"{count}-{number}")
            with CaptureQueriesContext(connection) as queries:
                answer = self.browser.get("/admin/sessions_app/savedchat/", secure=True)
            self.assertContains(answer, "acme/bot")
            numbers.append(len(queries))
        self.assertEqual(numbers[0], numbers[1])

    def test_deleting_one_takes_its_runs_along(self) -> None:
        chat = self.chat()
        self.run_chat(chat)
        page = reverse("admin:sessions_app_savedchat_delete", args=[chat.pk])

        answer = self.browser.post(page, {"post": "yes"}, secure=True)

        self.assertEqual(answer.status_code, 302)
        self.assertFalse(count_of(SavedChat))


class FromSessionPageTests(EvalPagesFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.session = make_session(self.instance)
        make_message(self.session, content=f"Where is {EVIL}?")
        make_message(self.session, role=Role.ASSISTANT, content="Here.")

    def test_the_texts_need_a_reason_first(self) -> None:
        answer = self.get("saved-chat-from-session", self.session.pk)
        posted = self.post("saved-chat-from-session", self.session.pk, name="X")

        self.assertNotContains(answer, "Where is")
        self.assertNotContains(posted, "Where is")
        self.assertFalse(count_of(SavedChat))

    def test_with_a_reason_it_becomes_a_test_chat_in_one_click(self) -> None:
        opened(self.root, self.account)

        page = self.get("saved-chat-from-session", self.session.pk)
        made = self.post("saved-chat-from-session", self.session.pk, name="Orders")

        self.assertContains(page, "Where is &lt;script&gt;")
        self.assertEqual(made.status_code, 302)
        chat = row_of(SavedChat)
        self.assertEqual((chat.name, chat.session_id), ("Orders", self.session.pk))
        self.assertFalse(chat.is_gate)

    def test_ones_own_playground_needs_none(self) -> None:
        mine = make_session(self.instance, user=self.root)
        make_message(mine, content="Ahoy")

        self.assertContains(self.get("saved-chat-from-session", mine.pk), "Ahoy")

    def test_a_name_that_exists_is_asked_for_again(self) -> None:
        opened(self.root, self.account)
        self.chat(name="Reservation")

        answer = self.post("saved-chat-from-session", self.session.pk, name="Reservation")

        self.assertContains(answer, "of that name")

    def test_who_may_not_make_one_is_refused(self) -> None:
        self.browser = self.browser_of(make_staff())

        self.assertEqual(self.get("saved-chat-from-session", self.session.pk).status_code, 403)


class ComparedVersionsTests(EvalPagesFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        contents = [{"model": "scripted:echo", "system_prompt": text} for text in ("A.", "B.\nC.")]
        self.versions = [make_config_version(self.instance, content=each) for each in contents]

    def run_of(self, chat: SavedChat, place: int, *texts: str) -> None:
        answers = [asdict(Answer("hello", text, status="complete")) for text in texts]
        make_saved_chat_run(chat, config_version=self.versions[place], answers=answers)

    def compared(self) -> Any:
        pks = [self.instance.pk, *(each.pk for each in self.versions)]
        return self.browser.get(reverse("admin:instance-compare", args=pks), secure=True)

    def test_prompts_stand_whole_side_by_side_and_answers_that_changed_are_marked(self) -> None:
        self.assertContains(self.compared(), "No test chat was run with either version.")
        two = make_saved_chat(self.instance, name="Greets", messages=["hello", "bye"])
        same = make_saved_chat(self.instance, name="Stays")
        alone = make_saved_chat(self.instance, name="Is new")
        make_saved_chat(self.instance, name="Never run")
        self.run_of(two, 0, "Good day", "So long")
        self.run_of(two, 1, "Hi there", "So long")
        for place in (0, 1):
            self.run_of(same, place, "It is noon")
        self.run_of(alone, 1, "Only now")
        page = self.compared()
        self.assertContains(page, '<div class="value">B.\nC.</div>')
        self.assertContains(page, "1 of 2 answers differ")
        self.assertContains(page, "the same answers", count=1)
        self.assertContains(page, "run with one version only", count=1)
        for text in ("Good day", "Hi there", "Only now"):
            self.assertContains(page, text)
        self.assertNotContains(page, "Never run")

    def test_words_of_a_conversation_are_measured_without_an_access(self) -> None:
        session = make_session(self.instance)
        chat = make_saved_chat(self.instance, messages=["secret words"], session_id=session.pk)
        self.run_of(chat, 0, "canary of an answer")
        page = self.compared()
        self.assertNotContains(page, "secret words")
        self.assertNotContains(page, "canary")
        self.assertContains(page, "19 characters")
        self.assertContains(page, "The texts are hidden")
