"""Feedback is decided on, and a better answer is written beside a bad one."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from accounts.members.staff_roles import StaffRole, set_flags, set_groups
from accounts.members.support_access import end_all
from accounts.models import Account, AuditEntry, User
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import AgentInstance
from salient.formatting import exact_moment
from sessions_app.conversations.feedback import decide, open_feedback, open_feedback_of_agents
from sessions_app.conversations.sessions import leave_tombstone
from sessions_app.evals.saved_chats import NothingAsked, from_session, with_better_answer
from sessions_app.models import Message, MessageFeedback, Role, SavedChat, Session
from tests.support.database.reads import reads
from tests.support.database.stored import as_platform, count_of, row_of, rows_of
from tests.support.factories import (
    make_account,
    make_feedback,
    make_instance,
    make_message,
    make_session,
    make_user,
)
from tests.support.people import make_auditor, make_root, opened

LIST = "/admin/sessions_app/messagefeedback/"


class AnswerCase(TestCase):
    boss: User
    account: Account
    agent: AgentInstance
    session: Session
    answer: Message
    bad: MessageFeedback

    @classmethod
    def setUpTestData(cls) -> None:
        cls.boss = make_root(email="boss@example.com")
        cls.account = make_account("acme")
        cls.agent = make_instance(cls.account, "bot")
        cls.session = make_session(cls.agent)
        opened(cls.boss, cls.account)
        cls.say("Hello")
        cls.say("Hi!", Role.ASSISTANT)
        cls.say("How long may I return shoes?")
        cls.answer = cls.say("Ten days.", Role.ASSISTANT)
        cls.say("Thank you")
        cls.bad = make_feedback(cls.answer, rating=-1, comment="It is 30", caller="key:1")

    @classmethod
    def say(cls, text: str, role: Role = Role.HUMAN) -> Message:
        return make_message(cls.session, content=text, role=role)

    def setUp(self) -> None:
        self.client.force_login(self.boss)
        self.page = f"/admin/sessions_app/session/{self.session.pk}/change/"

    def get(self, address: str) -> Any:
        return self.client.get(address, secure=True)

    def post(self, address: str, **sent: str) -> Any:
        return self.client.post(address, sent, secure=True)


class StatusTests(AnswerCase):
    def set(self, status: str, **more: str) -> Any:
        return self.post(f"{LIST}{self.bad.pk}/status/", status=status, **more)

    def stored(self) -> MessageFeedback:
        return row_of(MessageFeedback, pk=self.bad.pk)

    def log(self) -> list[tuple[str, list[Any]]]:
        with platform_context():
            rows = AuditEntry.objects.filter(object_type="message_feedback", action="changed")
            found = rows.order_by("created_at").values_list("actor", "account_id", "changes")
            for _, account_id, _ in found:
                self.assertEqual(account_id, self.account.pk)
            return [(actor, changes) for actor, _, changes in found]

    def test_one_click_beside_the_answer_says_what_came_of_it_and_who_said_so(self) -> None:
        self.assertContains(self.get(self.page), ">Fixed</button>")
        before = self.stored()
        done = self.set("fixed", next=f"{self.page}?at=7#m-7")
        self.assertEqual(done["Location"], f"{self.page}?at=7#m-7")
        fixed = self.stored()
        self.assertEqual((fixed.status, fixed.handled_by), ("fixed", "boss@example.com"))
        self.assertIsNotNone(fixed.handled_at)
        # The latest rating of a session is the one that was given last, not handled last.
        self.assertEqual(fixed.updated_at, before.updated_at)
        page = self.get(self.page)
        self.assertContains(page, "boss@example.com")
        self.assertContains(page, ">Open again</button>")

        self.set("no_fault", next="https://evil.example/")
        self.set("no_fault")
        self.set("")
        opened_again = self.stored()
        self.assertEqual((opened_again.status, opened_again.handled_by), ("", ""))
        self.assertIsNone(opened_again.handled_at)
        changes = [["", "fixed"], ["fixed", "no_fault"], ["no_fault", ""]]
        self.assertEqual(self.log(), [("boss@example.com", {"status": each}) for each in changes])

    def test_without_a_page_to_return_to_it_leads_to_the_answer(self) -> None:
        done = self.set("fixed", next="https://evil.example/")
        at = self.answer.pk
        self.assertEqual(done["Location"], f"{self.page}?at={at}#m-{at}")
        self.assertContains(self.get(LIST), f"{self.page}?at={at}#m-{at}")

    def test_what_is_no_status_and_no_feedback_is_not_found(self) -> None:
        self.assertEqual(self.set("open").status_code, 404)
        nobody = self.post(f"{LIST}{self.answer.pk}/status/", status="fixed")
        self.assertEqual(nobody.status_code, 404)

    def test_operators_and_support_decide_others_do_not(self) -> None:
        for role, status in (
            (StaffRole.OPERATOR, 302),
            (StaffRole.SUPPORT, 302),
            (StaffRole.OWN, 403),
        ):
            person = make_user(f"{role}@example.com", is_staff=True)
            set_flags(person, role)
            set_groups(person, role)
            self.client.force_login(person)
            with self.subTest(role):
                self.assertEqual(self.set("fixed").status_code, status)
        self.client.force_login(make_auditor(email="eye@example.com"))
        self.assertEqual(self.set("fixed").status_code, 403)

    def test_the_list_is_filtered_by_it(self) -> None:
        make_feedback(self.answer, rating=1)
        fixed = make_feedback(self.answer, rating=-1, status="fixed")
        for status, wanted in (("open", [self.bad.pk]), ("fixed", [fixed.pk]), ("no_fault", [])):
            with self.subTest(status):
                found = self.get(f"{LIST}?status={status}").context["cl"].result_list
                self.assertEqual([row.pk for row in found], wanted)

    def test_what_is_open_is_counted_where_figures_are(self) -> None:
        make_feedback(self.answer, rating=1)
        beta = make_instance(make_account("beta"))
        other = make_message(make_session(beta), role=Role.ASSISTANT)
        make_feedback(other, rating=-1)
        of_account = f"{LIST}?status=open&amp;account__id__exact={self.account.pk}"
        for address, link, number in (
            ("/admin/", f"{LIST}?status=open", "2"),
            (f"/admin/accounts/account/{self.account.pk}/change/", of_account, "1"),
        ):
            text = f'<strong><a href="{link}">{number}</a></strong>'
            self.assertContains(self.get(address), text)
        agent = self.get(f"/admin/agents/agentinstance/{self.agent.pk}/change/")
        self.assertContains(agent, "Open feedback: 1")
        self.set("no_fault")
        self.assertContains(self.get("/admin/"), f'<a href="{LIST}?status=open">1</a>')
        agent = self.get(f"/admin/agents/agentinstance/{self.agent.pk}/change/")
        self.assertNotContains(agent, "Open feedback:")

    def test_counting_reads_the_open_ones_alone(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO message_feedback (id, account_id, agent_instance_id, session_id,
                    message_id, rating, caller, status)
                SELECT gen_random_uuid(), %s, %s, %s, %s, -1, 'key:' || n + 10, 'fixed'
                FROM generate_series(1, 5000) AS n
                """,
                [self.account.pk, self.agent.pk, self.session.pk, self.answer.pk],
            )
            cursor.execute("ANALYZE message_feedback")
        with platform_context(), reads() as found:
            self.assertEqual(open_feedback(), 1)
            self.assertEqual(open_feedback(self.account.pk), 1)
            self.assertEqual(open_feedback_of_agents(self.account.pk), {self.agent.pk: 1})
        self.assertEqual(found.indexes["ix_message_feedback_open"], 3)
        # Some are of other tests, rolled back and not yet vacuumed.
        self.assertLess(found.rows_of["message_feedback"], 100)

    def test_an_account_decides_on_its_own_alone(self) -> None:
        other = make_account("beta")
        with tenant_context(other.pk):
            self.assertIsNone(decide(other.pk, self.bad.pk, "fixed", "eve@example.com"))
            self.assertEqual(open_feedback(other.pk), 0)
        with tenant_context(self.account.pk):
            decided = decide(self.account.pk, self.bad.pk, "fixed", "ann@example.com")
        self.assertEqual(getattr(decided, "handled_by", ""), "ann@example.com")
        self.assertEqual(self.stored().status, "fixed")


class BetterAnswerTests(AnswerCase):
    def setUp(self) -> None:
        super().setUp()
        self.form = f"/admin/sessions_app/savedchat/better-answer/{self.answer.pk}/"

    def made(self) -> SavedChat:
        return row_of(SavedChat)

    def test_one_step_makes_a_test_chat_of_the_question_and_the_better_answer(self) -> None:
        self.assertContains(self.get(self.page), self.form)
        page = self.get(self.form)
        self.assertContains(page, "How long may I return shoes?")
        self.assertContains(page, "Ten days.")
        self.assertNotContains(page, "Thank you")
        sent = {"better": "Thirty days.", "contains": "thirty", "excludes": "ten", "is_gate": "on"}
        done = self.post(self.form, **sent, next=f"{self.page}?at=7")
        self.assertEqual(done["Location"], f"{self.page}?at=7")
        # Sent twice, it makes one.
        self.post(self.form, **sent)
        chat = self.made()
        self.assertEqual(chat.messages, ["Hello", "How long may I return shoes?"])
        self.assertEqual(chat.better_answers, ["", "Thirty days."])
        nothing: dict[str, list[str]] = {"contains": [], "excludes": []}
        self.assertEqual(chat.expected, [nothing, {"contains": ["thirty"], "excludes": ["ten"]}])
        self.assertEqual((chat.session_id, chat.is_gate), (self.session.pk, True))
        self.assertEqual(chat.name, f"Better answer of {exact_moment(self.answer.created_at)}")
        entry = row_of(AuditEntry, object_type="saved_chats", action="created")
        self.assertEqual(entry.actor, "boss@example.com")
        self.assertNotIn("Thirty", str(entry.changes))

    def test_no_copy_is_made_beside_an_erasure_and_no_two_of_one_name(self) -> None:
        with platform_context(), CaptureQueriesContext(connection) as of_better:
            with_better_answer(self.answer, "Thirty days.")
        with platform_context(), CaptureQueriesContext(connection) as of_copy:
            from_session(self.session, "From life")
        for queries in (of_better, of_copy):
            asked = [query["sql"] for query in queries]
            held = next(n for n, sql in enumerate(asked) if "FOR NO KEY UPDATE" in sql)
            read = next(n for n, sql in enumerate(asked) if 'FROM "messages"' in sql)
            self.assertLess(held, read)
        self.assertTrue(any("advisory_xact_lock" in query["sql"] for query in of_better))
        with platform_context():
            leave_tombstone(Session.objects.select_for_update(no_key=True).get(pk=self.session.pk))
            with self.assertRaises(NothingAsked):
                from_session(self.session, "Once more")

    def test_it_is_shown_beside_the_answers_when_the_agent_is_tested(self) -> None:
        self.post(self.form, better="Thirty days.")
        tests = f"/admin/sessions_app/savedchat/of/{self.agent.pk}/"
        self.assertContains(self.get(tests), "Thirty days.")
        # And changed where the test chat is.
        form = f"/admin/sessions_app/savedchat/{self.made().pk}/change/"
        self.assertContains(self.get(form), "Thirty days.")
        sent = {"name": "Returns", "message_1": "Hello", "message_2": "How long?"}
        self.assertEqual(self.post(form, **sent, better_2="A month.").status_code, 302)
        self.assertEqual(self.made().better_answers, ["", "A month."])
        as_platform(end_all, self.boss)
        for page in (tests, form):
            self.assertNotContains(self.get(page), "A month.")

    def test_two_of_one_answer_have_names_of_their_own_and_one_leads_to_the_draft(self) -> None:
        self.post(self.form, better="Thirty days.")
        done = self.post(self.form, better="A month.", edit="1")
        editor = f"/admin/agents/agentinstance/{self.agent.pk}/configuration/"
        self.assertEqual(done["Location"], editor)
        names = [row.name for row in rows_of(SavedChat, "name")]
        self.assertEqual(names[1], f"{names[0]} (2)")

    def test_what_is_wrong_is_reported_at_its_field(self) -> None:
        for sent, words in (
            ({"better": " "}, "This field is required"),
            ({"better": "x" * 20_001}, "at most 20000 characters"),
            ({"better": "x", "contains": "y" * 501}, "at most 20 texts of 500"),
        ):
            with self.subTest(words):
                self.assertContains(self.post(self.form, **sent), words)
        first = make_message(make_session(self.agent), role=Role.ASSISTANT, content="Hi")
        page = self.post(f"/admin/sessions_app/savedchat/better-answer/{first.pk}/", better="x")
        self.assertContains(page, "was deleted")
        self.assertFalse(count_of(SavedChat))

    def test_a_long_conversation_gives_what_led_to_the_question(self) -> None:
        for number in range(12):
            self.say(f"question {number}")
        last = self.say("answer", Role.ASSISTANT)
        self.post(f"/admin/sessions_app/savedchat/better-answer/{last.pk}/", better="Better")
        chat = self.made()
        self.assertEqual(chat.messages, [f"question {number}" for number in range(2, 12)])
        self.assertEqual(len(chat.better_answers), 10)

    def test_it_needs_an_access_and_the_right_to_write_test_chats(self) -> None:
        as_platform(end_all, self.boss)
        self.assertTemplateUsed(self.get(self.form), "admin/support/reason.html")
        self.assertTemplateUsed(self.post(self.form, better="x"), "admin/support/reason.html")
        self.client.force_login(make_auditor(email="eye@example.com"))
        self.assertEqual(self.get(self.form).status_code, 403)
        question = f"/admin/sessions_app/savedchat/better-answer/{self.session.pk}/"
        self.client.force_login(self.boss)
        self.assertEqual(self.get(question).status_code, 404)
