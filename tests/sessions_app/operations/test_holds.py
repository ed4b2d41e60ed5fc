"""Legal holds: the order of their lock and others, waiting for it, and copies of what is held."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any, Literal
from unittest import mock
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from accounts.auth.caller import Caller
from accounts.models import Scope
from accounts.tenancy import renames as account_renames
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.locks import HOLDS, lock_rows
from accounts.tenancy.renames import rename_account
from agents.instances import renames as agent_renames
from sessions_app.api.schemas import FeedbackIn
from sessions_app.api.session_schemas import SessionChangeIn
from sessions_app.background.stored_turns import delete_turn
from sessions_app.conversations import feedback
from sessions_app.conversations.erasure import service
from sessions_app.conversations.erasure.persons import Person
from sessions_app.conversations.sessions import change_session, delete_session, leave_tombstone
from sessions_app.evals import saved_chats
from sessions_app.models import LegalHold, LLMRequest, Message, Role, Session
from sessions_app.operations.lifecycle import holds, retention
from sessions_app.operations.lifecycle.holds import Held
from sessions_app.protocols.openai.responses.ids import response_id
from sessions_app.protocols.openai.responses.stored import delete
from sessions_app.turns.abandoned import settle_unstarted
from tests.support.database.catalog import rows
from tests.support.database.turn_functions import TurnFunctions
from tests.support.factories import (
    make_account,
    make_instance,
    make_llm_request,
    make_message,
    make_session,
)
from tests.support.fixtures import AgentFixtures

# Whether a connection of this database waits for an advisory lock.
WAITING = """
    SELECT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
"""

# What waits for a lock in this database.
BLOCKED = """
    SELECT FROM pg_locks AS waiting WHERE NOT granted AND EXISTS (
        SELECT FROM pg_locks AS other WHERE other.pid = waiting.pid
            AND other.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
"""


def in_thread(work: Callable[[], object], errors: list[BaseException]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class LockOrderTests(TransactionTestCase):
    """A rename holds the account and waits for sessions; a hold holds its lock and waits for the
    account. Who locked a session first and then asked for the hold's lock closed the circle.
    """

    def setUp(self) -> None:
        self.account = make_account("acme")
        self.instance = make_instance(self.account, "bot")
        self.caller = Caller(self.account.pk, "acme", frozenset(Scope.values), "key:test")

    def conversation(self) -> tuple[Session, LLMRequest, Message]:
        session = make_session(self.instance, title="Old", email="dora@mail.example")
        turn = make_llm_request(session, request_body={"response": {}})
        make_message(session, llm_request=turn)
        answer = make_message(session, role=Role.ASSISTANT, llm_request=turn)
        with tenant_context(self.account.pk):
            moment = timezone.now() - timedelta(days=31)
            Session.objects.filter(pk=session.pk).update(last_activity_at=moment)
        return session, turn, answer

    def rate(self, answer: Message, rating: Literal["good", "bad"]) -> None:
        feedback.give(self.caller, self.instance, answer.pk, FeedbackIn(rating=rating))

    def erase_person(self) -> None:
        person = Person.read(self.account.pk, "email", "dora@mail.example")
        service.erase(person, reason="T-1", actor="olaf")

    def apply_retention(self) -> None:
        with platform_context():
            rule = retention.set_days(self.account.pk, texts=30, figures=None)
        retention.apply(rule)

    def test_no_row_is_locked_by_whoever_waits_until_a_hold_is_placed(self) -> None:
        whose = (self.caller, self.instance)
        title = SessionChangeIn(title="New")
        ways: dict[str, Callable[[Session, LLMRequest, Message], object]] = {
            "title": lambda session, *_: change_session(*whose, session.pk, title),
            "session": lambda session, *_: delete_session(*whose, session.pk),
            "turn": lambda _, turn, __: delete_turn(*whose, turn.pk),
            "response": lambda _, turn, __: delete(*whose, response_id(turn.pk)),
            "rating": lambda _, __, answer: self.rate(answer, "bad"),
            "person": lambda *_: self.erase_person(),
            "retention": lambda *_: self.apply_retention(),
        }
        for name, way in ways.items():
            with self.subTest(name):
                made = self.conversation()
                if name == "rating":
                    self.rate(made[2], "good")
                self.require_no_lock(lambda way=way, made=made: way(*made))  # type: ignore[misc]

    def test_nor_by_whoever_waits_until_the_account_is_renamed(self) -> None:
        whose, title = (self.caller, self.instance), SessionChangeIn(title="New")
        session, _, _ = self.conversation()
        self.require_no_lock(
            lambda: change_session(*whose, session.pk, title),
            of=lambda: rename_account(self.account.pk, "other"),
        )

    def require_no_lock(
        self, work: Callable[[], object], *, of: Callable[[], object] | None = None
    ) -> None:
        errors: list[BaseException] = []
        with platform_context():
            if of is None:
                lock_rows(HOLDS, self.account.pk)
            else:
                of()
            thread = in_thread(work, errors)
            with connection.cursor() as cursor:
                is_waiting = False
                while not is_waiting and thread.is_alive():
                    cursor.execute(WAITING)
                    [is_waiting] = cursor.fetchone()
            rows = Session.objects.filter(account_id=self.account.pk)
            free = set(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
            everything = set(rows.values_list("pk", flat=True))
        thread.join(30)
        self.assertEqual(errors, [])
        self.assertTrue(is_waiting)
        self.assertEqual(free, everything)


class Undone(Exception):
    """Rolls a rename back."""


class RenameTests(AgentFixtures, TurnFunctions, TransactionTestCase):
    """A rename locks the account or the agent, then their conversations. A turn or a first rating
    locks a conversation, then refers to its account and agent. Each rename is stopped in between.
    """

    def setUp(self) -> None:
        super().setUp()
        self.caller = Caller(self.account.pk, "acme", frozenset(Scope.values), "key:tests")

    def test_none_waits_in_a_circle_with_a_rename(self) -> None:
        account, agent = self.account.pk, self.instance
        renames: dict[Any, Callable[[], object]] = {
            account_renames: lambda: account_renames.rename_account(account, "other"),
            agent_renames: lambda: agent_renames.rename_agent(agent, "other"),
        }
        for module, rename in renames.items():
            for way, work in self.ways():
                with self.subTest(module=module.__name__, way=way):
                    self.meet(module, rename, work)

    def test_the_turns_of_another_agent_go_on_while_one_is_renamed(self) -> None:
        other, errors = make_instance(self.account, "other"), list[BaseException]()
        with platform_context():
            agent_renames.rename_agent(other, "another")
            in_thread(lambda: self.opened(self.wanted("Hello")), errors).join(30)
        self.assertEqual(errors, [])

    def ways(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what may go on in a conversation at the moment of a rename."""
        wanted = self.wanted("Hello")
        [opened] = self.opened(wanted)
        session_id = UUID(opened["session_id"])
        outcome = self.outcome(wanted, opened) | {"note_use": True}
        yield "a turn ends", lambda: self.ask("app_settle_turns", [outcome])
        given, answer_id = FeedbackIn(rating="good"), UUID(str(outcome["answer_id"]))
        yield "a rating", lambda: feedback.give(self.caller, self.instance, answer_id, given)
        copying = (self.caller, self.instance, session_id)
        yield "a test chat", lambda: saved_chats._start_copy(*copying)
        second = self.wanted("And?", session_id)
        yield "a turn begins", lambda: self.opened(second)
        turn = second["request_id"]
        yield "an abandoned turn", lambda: settle_unstarted(self.account.pk, turn)

    def meet(self, module: Any, rename: Callable[[], object], work: Callable[[], object]) -> None:
        errors: list[BaseException] = []
        threads: list[threading.Thread] = []

        def after_the_first_lock(*_given: object) -> None:
            thread = in_thread(work, errors)
            threads.append(thread)
            while thread.is_alive() and not rows(BLOCKED):
                pass

        with (
            mock.patch.object(module, "require_rest", after_the_first_lock),
            suppress(Undone),
            platform_context(),
        ):
            rename()
            raise Undone
        threads[0].join(30)
        self.assertEqual(errors, [])


class WaitingTests(TransactionTestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")

    def test_placing_is_tried_again_until_what_is_erased_is_gone_and_says_so(self) -> None:
        said, errors = StringIO(), list[BaseException]()
        has_waited = threading.Event()

        def write(text: str) -> None:
            said.write(text)
            has_waited.set()

        stderr = mock.Mock(write=write, isatty=lambda: False)

        def place() -> None:
            call_command("legal_hold", "acme", reason="File 9", stdout=StringIO(), stderr=stderr)

        with platform_context():
            holds.await_placing(self.account.pk)
            thread = in_thread(place, errors)
            self.assertTrue(has_waited.wait(30))
        thread.join(30)
        self.assertEqual(errors, [])
        self.assertIn("being changed or erased: waiting", said.getvalue())
        with platform_context():
            self.assertEqual(LegalHold.objects.in_force().count(), 1)

    def test_in_the_end_it_says_that_nothing_is_held(self) -> None:
        tries: list[int] = []

        def place() -> None:
            tries.append(1)
            with platform_context():
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '10ms'")
                holds.place(self.account.pk, reason="File 9", actor="olaf")

        errors: list[BaseException] = []
        with (
            mock.patch.object(holds, "TRIES", 3),
            mock.patch.object(holds, "PAUSE_SECONDS", 0),
            platform_context(),
        ):
            holds.await_placing(self.account.pk)
            in_thread(lambda: holds.when_free(place), errors).join(30)
        [error] = errors
        assert isinstance(error, ValidationError)
        self.assertEqual((error.messages, len(tries)), ([holds.NEVER_FREE], 3))


class PlacingTests(TestCase):
    def test_the_same_hold_is_placed_once_and_anew_when_it_was_released(self) -> None:
        account_id = make_account("acme").pk
        with platform_context():
            first = holds.place(account_id, reason="File 9", actor="olaf")
            self.assertEqual(holds.place(account_id, reason="File 9", actor="olaf"), first)
            holds.place(account_id, reason="File 10", actor="olaf")
            self.assertEqual(LegalHold.objects.in_force().count(), 2)
            holds.release(first, actor="olaf")
            self.assertNotEqual(holds.place(account_id, reason="File 9", actor="olaf"), first)


class CopyTests(TestCase):
    def test_what_a_test_chat_has_copied_is_held_with_its_conversation(self) -> None:
        session = make_session(make_instance(make_account("acme"), "bot"))
        copy = make_session(session.agent_instance, copied_from=session.pk)
        # The run of a test chat that was made from the first one's run.
        copy_of_copy = make_session(session.agent_instance, copied_from=copy.pk)
        other = make_session(session.agent_instance)
        with platform_context():
            holds.place(session.account_id, reason="File 9", actor="olaf", session_id=session.pk)
            account = Session.objects.filter(account_id=session.account_id)
            self.assertEqual(
                set(holds.with_hold(account).values_list("pk", flat=True)),
                {session.pk, copy.pk, copy_of_copy.pk},
            )
            self.assertEqual(
                set(holds.without_hold(account).values_list("pk", flat=True)), {other.pk}
            )
            for each in (copy, copy_of_copy):
                with self.assertRaises(Held):
                    leave_tombstone(each)
            self.assertFalse(holds.is_held(session.account_id, other.pk))
