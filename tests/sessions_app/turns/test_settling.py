"""Every turn can be settled, whatever a model sends, and counts all that it cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from unittest import mock

import msgspec
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from django.test import SimpleTestCase, TestCase
from psycopg import errors

from accounts.limits import budgets
from accounts.models import Budget
from accounts.tenancy.context import platform_context
from agents.runtime.events import ModelCall, ToolCall, ToolResult
from agents.runtime.providers.base import ToolRound
from agents.runtime.run import Run
from salient.api.lifespan import finish_background
from salient.database import is_unavailable, storable, storable_json
from salient.database.storable import MOST_DECIMAL, MOST_INTEGER
from sessions_app.conversations.search import MessageSearch, messages_with
from sessions_app.models import SEARCHED_CHARACTERS, Message, Role, Session, UsageDay
from sessions_app.turns import store
from sessions_app.usage import rollup
from tests.support.database.stored import row_of
from tests.support.factories import make_instance, make_message, make_session
from tests.support.fixtures import AgentFixtures, stored

HOSTILE = "a\x00b\ud800c"
CLEAN = "ab\ufffdc"


def distinct_words(length: int) -> str:
    """Return a text of so many characters in which no word comes twice."""
    words = (f"w{number:x}" for number in range(length // 3))
    return " ".join(words)[:length]


class Row(msgspec.Struct):
    """What is written to the database, with columns of each kind."""

    text: str
    number: int
    amount: Decimal | None
    details: dict[str, Any] = {}


class StorableTests(SimpleTestCase):
    def test_texts_lose_nuls_and_halves_of_pairs_at_any_depth(self) -> None:
        self.assertEqual(
            storable({HOSTILE: [HOSTILE, (HOSTILE,), {"x": HOSTILE}]}),
            {CLEAN: [CLEAN, [CLEAN], {"x": CLEAN}]},
        )

    def test_two_halves_that_meet_are_their_character(self) -> None:
        self.assertEqual(storable("\ud83d\ude00 \ude00\ud83d"), "\N{GRINNING FACE} \ufffd\ufffd")

    def test_numbers_stay_within_their_columns(self) -> None:
        self.assertEqual(storable([2**40, -(2**40), 7]), [MOST_INTEGER, -MOST_INTEGER, 7])
        self.assertEqual(storable([True, None]), [True, None])
        self.assertEqual(storable(Decimal("1e30")), MOST_DECIMAL)
        self.assertIsNone(storable(Decimal("NaN")))
        self.assertIsNone(storable(Decimal("Infinity")))

    def test_what_is_written_at_once_reads_as_what_was_replaced(self) -> None:
        values: list[Row] = [
            Row("plain ü 😀", 7, Decimal("1.50"), {"deep": ["x", {"y": None}]}),
            Row(r"a text with \u0000 in it", 7, None),
            Row(HOSTILE, 7, Decimal(1)),
            Row("x", 7, Decimal(1), {"deep": [HOSTILE]}),
            Row("x", 2**40, Decimal(1)),
            Row("x", -(2**40), Decimal(1)),
            *(Row("x", 7, Decimal(each)) for each in ("1e30", "-1e30", "NaN", "sNaN", "Infinity")),
        ]
        for value in values:
            with self.subTest(value):
                self.assertEqual(
                    json.loads(storable_json(value)),
                    json.loads(msgspec.json.encode(storable(value))),
                )

    def test_a_value_beyond_a_limit_is_no_absent_database(self) -> None:
        refused, gone = OperationalError("too long"), OperationalError("gone")
        refused.__cause__ = errors.ProgramLimitExceeded("string is too long for tsvector")
        gone.__cause__ = errors.AdminShutdown("terminating")

        self.assertEqual((is_unavailable(refused), is_unavailable(gone)), (False, True))
        self.assertTrue(is_unavailable(OperationalError("no connection")))
        self.assertFalse(is_unavailable(ValueError("no database at all")))


class SettlingFixtures(AgentFixtures):
    @contextmanager
    def ended_with(
        self, calls: list[ModelCall], rounds: tuple[ToolRound, ...] = ()
    ) -> Iterator[None]:
        """Let each run end with these calls, as if models had made them."""
        events = Run.events

        async def ended(run: Run) -> Any:
            async for event in events(run):
                yield event
            run.calls[:] = calls
            run._rounds = rounds

        with mock.patch.object(Run, "events", ended):
            yield

    @contextmanager
    def refusing(self, *kept_back: str) -> Iterator[list[store.SettleTurn]]:
        """Make the database refuse rows with one of these; yields the rows that were sent."""
        attempts: list[store.SettleTurn] = []
        settle = store._settle

        async def picky(turn: store.SettleTurn) -> Any:
            attempts.append(turn)
            if any(getattr(turn, name) is not None for name in kept_back):
                refused = OperationalError("string is too long")
                refused.__cause__ = errors.ProgramLimitExceeded("string is too long")
                raise refused
            return await settle(turn)

        with mock.patch.object(store, "_settle", picky):
            yield attempts

    async def state(self) -> tuple[list[Message], Any, Session]:
        messages, [request] = await sync_to_async(stored)()
        return messages, request, await sync_to_async(self.session)()

    def session(self) -> Session:
        return row_of(Session)


class HostileContentTests(SettlingFixtures, TestCase):
    async def test_unstorable_characters_are_settled_in_every_field(self) -> None:
        call = ModelCall(f"p{HOSTILE}", f"m{HOSTILE}", 3, 4, finish_reason=HOSTILE, error=HOSTILE)
        used = ToolRound(
            HOSTILE,
            (ToolCall(HOSTILE, HOSTILE, HOSTILE),),
            (ToolResult(HOSTILE, HOSTILE, HOSTILE),),
        )
        with self.ended_with([call], (used,)):
            body = await self.say("hello")

        self.assertEqual(body["status"], "complete")
        _, request, _ = await self.state()
        self.assertEqual((request.provider, request.model), (f"p{CLEAN}", f"m{CLEAN}"))
        [tool] = request.response_body["tools"]
        self.assertEqual((tool["name"], tool["arguments"], tool["content"]), (CLEAN,) * 3)
        self.assertEqual(request.response_body["calls"][0]["finish_reason"], CLEAN)
        self.assertEqual(body["finish_reason"], CLEAN)

    async def test_numbers_beyond_their_columns_are_settled(self) -> None:
        call = ModelCall("p", "m" * 300, 2**40, 2**40, cached_tokens=2**40, latency_ms=2**40)
        with self.ended_with([call]):
            body = await self.say("hello")

        self.assertEqual(body["status"], "complete")
        _, request, _ = await self.state()
        self.assertEqual(request.prompt_tokens, MOST_INTEGER)
        self.assertEqual(len(request.model), 255)


class LargeAmountTests(SettlingFixtures, TestCase):
    async def test_sixteen_thousand_dollars_count_as_sixteen_thousand_dollars(self) -> None:
        await sync_to_async(budgets.set_budget)(
            self.account, period="month", limit=Decimal(900_000)
        )
        call = ModelCall("mock", "dear", 10, 10, reported_cost=Decimal(400))
        with self.ended_with([call] * 42):
            await self.say("hello")

        _, request, session = await self.state()
        self.assertEqual((request.total_cost, request.charged_cost), (16_800, 16_800))
        self.assertEqual(session.total_cost, 16_800)
        self.assertEqual(await sync_to_async(self.counted)(), (16_800, 16_800, 0))
        self.assertFalse(await sync_to_async(rollup.compare)(self.account.pk))

    async def test_amounts_of_any_size_are_settled(self) -> None:
        await sync_to_async(budgets.set_budget)(
            self.account, period="month", limit=Decimal(900_000)
        )
        for amount in ("12345678.9", "1e20", "1e-30"):
            call = ModelCall("mock", "dear", 10, 10, reported_cost=Decimal(amount))
            with self.ended_with([call]):
                body = await self.say("hello")
            self.assertEqual(body["status"], "complete", amount)
        spent, used, reserved = await sync_to_async(self.counted)()
        self.assertEqual(
            (spent, used, reserved), (MOST_DECIMAL + Decimal("12345678.9"),) * 2 + (0,)
        )

    def counted(self) -> tuple[Decimal, Decimal, Decimal]:
        with platform_context():
            budget = Budget.objects.get()
            costs = sum(UsageDay.objects.values_list("cost", flat=True), Decimal(0))
        return budget.spent, costs, budget.reserved


class RefusedByTheDatabaseTests(SettlingFixtures, TestCase):
    call = ModelCall("mock", "m", 10, 20, reported_cost=Decimal("1.5"))

    async def test_the_details_are_left_out_before_the_answer(self) -> None:
        with self.ended_with([self.call]), self.refusing("response_body"), self.assertLogs():
            body = await self.say("hello")

        self.assertEqual(body["status"], "complete")
        messages, request, _ = await self.state()
        self.assertEqual([each.role for each in messages], ["human", "assistant"])
        self.assertEqual((request.completion_status, request.response_body), ("complete", None))
        self.assertEqual((request.total_cost, request.total_tokens), (Decimal("1.5"), 30))

    async def test_an_answer_that_is_refused_costs_what_it_costs_and_frees_its_session(
        self,
    ) -> None:
        with self.ended_with([self.call]), self.refusing("response_body", "answer") as attempts:
            answer = await self.api.post(self.path("chat"), {"message": "hello"})

        problem = answer.json()
        self.assertEqual((answer.status, problem["code"]), (500, "answer_not_stored"))
        messages, request, session = await self.state()
        self.assertEqual(len(attempts), 3)
        self.assertEqual(
            (problem["session_id"], problem["llm_request_id"]), (str(session.pk), str(request.pk))
        )
        self.assertEqual([each.role for each in messages], ["human"])
        self.assertEqual(
            (request.completion_status, request.error_code), ("error", "answer_not_stored")
        )
        self.assertEqual((request.total_cost, request.charged_cost), (Decimal("1.5"),) * 2)
        again = await self.say("and now?", session_id=str(session.pk))
        self.assertEqual(again["status"], "complete")

    async def test_a_value_too_large_for_an_index_is_no_unavailable_database(self) -> None:
        await sync_to_async(self.index_whole_texts)()
        with (
            self.ended_with([self.call]),
            mock.patch.object(Run, "text", distinct_words(1_500_000)),
        ):
            answer = await self.api.post(self.path("stream"), {"message": "hello"})

        [error] = [json.loads(data) for name, data in answer.events() if name == "error"]
        self.assertEqual(error["code"], "answer_not_stored")
        messages, request, _ = await self.state()
        self.assertEqual([each.role for each in messages], ["human"])
        self.assertEqual((request.completion_status, request.total_cost), ("error", Decimal("1.5")))

    def index_whole_texts(self) -> None:
        """Make an index that refuses long texts, as there was one."""
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX ON messages USING gin (to_tsvector('simple', content))")

    async def test_the_same_key_hears_the_same_problem_again(self) -> None:
        self.api.headers["Idempotency-Key"] = "once"
        with self.ended_with([self.call]), self.refusing("response_body", "answer"):
            first = await self.api.post(self.path("chat"), {"message": "hello"})
        second = await self.api.post(self.path("chat"), {"message": "hello"})

        self.assertEqual((second.status, second.json()), (first.status, first.json()))


class UnavailableWhenSettledTests(SettlingFixtures, TestCase):
    """A database that becomes unavailable while the model answers."""

    @contextmanager
    def away(self) -> Iterator[None]:
        gone = mock.AsyncMock(side_effect=OperationalError("away"))
        with (
            mock.patch.object(store, "_settle", gone),
            mock.patch.object(store, "SETTLE_AGAIN_AFTER", ()),
        ):
            yield

    def check(self, problem: dict[str, Any], request: Any) -> None:
        self.assertEqual(problem["code"], "settlement_delayed")
        self.assertEqual(problem["llm_request_id"], str(request.pk))
        self.assertEqual(problem["session_id"], str(request.session_id))
        self.assertIn("may already count", problem["detail"])
        self.assertIn("Idempotency-Key", problem["detail"])

    async def test_a_503_after_the_model_names_the_turn_and_invites_no_retry(self) -> None:
        with self.away():
            answer = await self.api.post(self.path("chat"), {"message": "hello"})
            await finish_background()

        _, [request] = await sync_to_async(stored)()
        self.assertEqual(answer.status, 503)
        self.assertNotIn("Retry-After", answer.headers)
        self.check(answer.json(), request)

    async def test_a_stream_says_the_same_in_its_error_event(self) -> None:
        with self.away():
            answer = await self.api.post(self.path("stream"), {"message": "hello"})
            await finish_background()

        _, [request] = await sync_to_async(stored)()
        [error] = [json.loads(data) for name, data in answer.events() if name == "error"]
        self.check(error, request)


class AnyLengthTests(SettlingFixtures, TestCase):
    async def test_long_answers_of_distinct_words_are_stored(self) -> None:
        for length in (700_000, 1_500_000):
            text = distinct_words(length)
            with self.subTest(length), mock.patch.object(Run, "text", text):
                body = await self.say("hello")
                self.assertEqual((body["status"], len(body["response"])), ("complete", length))
                messages, _ = await sync_to_async(stored)(body["session_id"])
                self.assertEqual(messages[-1].content, text)

    async def test_a_session_with_a_long_history_continues(self) -> None:
        self.configure("model: scripted:say\n")
        session = await sync_to_async(make_session)(self.instance)
        for role in (Role.HUMAN, Role.ASSISTANT) * 3:
            long = distinct_words(1_000_000)
            await sync_to_async(make_message)(session, role=role, content=long)
        body = await self.say("hello", session_id=str(session.pk))
        self.assertEqual((body["status"], body["response"]), ("complete", "hello"))


class SearchedTextTests(TestCase):
    """The index has the beginning of a text, and the beginning always fits."""

    def test_no_beginning_is_too_long_for_the_index(self) -> None:
        session = make_session(make_instance())
        # What takes most room: short words, long characters, and words that count several times.
        wide = [chr(0x20000 + number) for number in range(SEARCHED_CHARACTERS)]
        for text in (
            " ".join(wide),
            "-".join(wide),
            "".join(wide),
            distinct_words(SEARCHED_CHARACTERS),
            " ".join(chr(0x23A) * 2 + each for each in wide),
            " ".join(f"a{number:x}.b/c-{number:x}" for number in range(SEARCHED_CHARACTERS)),
            "-".join(f"{number:x}" for number in range(SEARCHED_CHARACTERS)),
            "/".join(f"{number:x}" for number in range(SEARCHED_CHARACTERS)),
        ):
            with self.subTest(text[:20]):
                make_message(session, content=text)
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT pg_column_size(to_tsvector('simple', left(%s, %s)))",
                        [text, SEARCHED_CHARACTERS],
                    )
                    self.assertLess(cursor.fetchone()[0], 2**20)

    def test_the_beginning_is_found_and_shown(self) -> None:
        session = make_session(make_instance())
        filler = "x" * SEARCHED_CHARACTERS
        message = make_message(session, content=f"needle {filler} haystack")
        with platform_context():
            found = messages_with(session.account_id, "needle")
            late = messages_with(session.account_id, "haystack")
            self.assertEqual([each.pk for each in found], [message.pk])
            self.assertEqual(list(late), [])
            shown = MessageSearch(session.account_id, "needle").snippets([session.pk])
        self.assertIn("<mark>needle</mark>", shown[session.pk].text)
