"""Limits under load, over the real ASGI application and a real model server on loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core import mail
from django.http import HttpResponse
from django.test import TestCase, TransactionTestCase, override_settings
from django.utils import timezone

from accounts.auth import visitor_tokens
from accounts.auth.bearer import VISITOR_SCOPES
from accounts.auth.caller import Caller
from accounts.limits import quotas
from accounts.models import Budget
from accounts.tenancy.context import platform_context
from agents.config import loader
from agents.costs.own_prices import forget_prices
from agents.costs.pricing import SMALLEST
from salient import database
from salient.api.lifespan import finish_background
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import CompletionStatus, LLMRequest
from sessions_app.turns import store
from sessions_app.turns import turn as turns
from sessions_app.turns.abandoned import settle_abandoned
from sessions_app.turns.sse import TurnStream, encode
from tests.support.api_client import ApiClient, Call
from tests.support.database.stored import row_of
from tests.support.factories import make_membership, make_user
from tests.support.fixtures import LimitedFixtures, counts, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply, error, usage


@override_settings(DATABASE_API_THREADS=4)
class ParallelTests(LimitedFixtures, TransactionTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(database.shut_down)

    async def test_a_hundred_calls_against_a_budget_for_ten(self) -> None:
        async with MockOpenAI() as server:
            each = await self.one_reservation()
            await sync_to_async(self.budget)(each * 10 + each / 2)
            await sync_to_async(self.budget)(each * 100, "month")
            server.requests.clear()
            # Each costs what it has reserved: nothing is released.
            server.replies.extend(Reply(usage=usage(10, 5, cost=float(each))) for _ in range(100))
            answers = await asyncio.gather(*(self.chat() for _ in range(100)))
            reached = len(server.requests)

        self.assertEqual(Counter(a.status for a in answers), {200: 10, 402: 90})
        self.assertEqual(reached, 10)
        self.assertEqual(await sync_to_async(self.assert_books_are_closed)(), each * 10)
        self.assertEqual((await sync_to_async(counts)())[1:], (2 + 20, 10))
        problem = next(a for a in answers if a.status == 402).json()
        self.assertEqual(
            (problem["code"], problem["budget"], problem["period"]),
            ("budget_exceeded", "account", "day"),
        )
        self.assertLess(Decimal(problem["remaining"]), each)

    async def test_while_they_run_no_more_than_ten_are_let_in(self) -> None:
        async with MockOpenAI() as server:
            each = await self.one_reservation()
            cost = (each / 100).quantize(SMALLEST)
            await sync_to_async(self.budget)(each * 10)
            server.requests.clear()
            server.replies.extend(
                Reply(delay=0.2, usage=usage(10, 5, cost=float(cost))) for _ in range(100)
            )
            running = [asyncio.create_task(self.chat()) for _ in range(100)]
            most = Decimal(0)
            while not all(task.done() for task in running):
                most = max(most, await sync_to_async(reserved)())
                await asyncio.sleep(0.01)

        self.assertLessEqual(most, each * 10)
        statuses = Counter(task.result().status for task in running)
        self.assertEqual(set(statuses), {200, 402})
        self.assertEqual(await sync_to_async(self.assert_books_are_closed)(), cost * statuses[200])

    async def test_the_last_cent_is_spent_once_by_fifty_calls(self) -> None:
        async with MockOpenAI() as server:
            each = await self.one_reservation()
            await sync_to_async(self.budget)(each)
            server.requests.clear()
            server.replies.extend(Reply(usage=usage(1, 1, cost=float(each))) for _ in range(50))
            answers = await asyncio.gather(*(self.chat() for _ in range(50)))

        self.assertEqual(Counter(a.status for a in answers), {200: 1, 402: 49})
        self.assertEqual(len(server.requests), 1)

    async def test_a_hundred_mixed_turns_end_without_a_deadlock(self) -> None:
        """Sessions are shared, some calls are repeated, budgets change meanwhile."""
        self.configure("model: scripted:echo\nfallback_models: [openai:gpt-4o-mini]\n")
        await sync_to_async(self.budget)(Decimal(1000))
        sessions = [(await self.chat()).json()["session_id"] for _ in range(5)]

        async def one(number: int) -> int:
            key = {"idempotency-key": f"k{number % 20}"}
            body = {"message": "hi", "session_id": sessions[number % 5]}
            return (await self.api.post(self.path("chat"), body, headers=key)).status

        async def change(number: int) -> None:
            await sync_to_async(self.budget)(Decimal(1000 + number))
            await sync_to_async(quotas.set_limits)(self.account, concurrent_turns=100 + number)

        statuses, _ = await asyncio.gather(
            asyncio.gather(*map(one, range(100))), asyncio.gather(*map(change, range(5)))
        )
        self.assertLessEqual(set(statuses), {200, 409, 422})
        await sync_to_async(self.assert_books_are_closed)()

    async def test_no_more_turns_run_at_once_than_the_account_may(self) -> None:
        await sync_to_async(quotas.set_limits)(self.account, concurrent_turns=5)
        async with MockOpenAI() as server:
            server.replies.extend(Reply(delay=0.5) for _ in range(30))
            answers = await asyncio.gather(*(self.chat() for _ in range(30)))
            reached = len(server.requests)

        statuses = Counter(a.status for a in answers)
        self.assertEqual(set(statuses), {200, 429})
        self.assertEqual(statuses[200], reached)
        self.assertEqual({a.json()["code"] for a in answers if a.status == 429}, {"too_many_turns"})
        await sync_to_async(self.assert_books_are_closed)()


def new_visitor(site: str = "http://localhost") -> ApiClient:
    """A person who opened the page for the first time."""
    response = HttpResponse()
    visitor_tokens.set_cookie(response, "acme", "bot")
    [(name, cookie)] = response.cookies.items()
    return ApiClient(headers={"cookie": f"{name}={cookie.value}", "origin": site})


def reserved() -> Decimal:
    return row_of(Budget).reserved


class SettlementTests(LimitedFixtures, TestCase):
    """However a turn ends, its reservation is gone and what it used is counted."""

    def setUp(self) -> None:
        super().setUp()
        self.configure(self.config)
        self.budget(Decimal(1))

    async def closed(self) -> LLMRequest:
        await sync_to_async(self.assert_books_are_closed)()
        _, [request] = await sync_to_async(stored)()
        return request

    async def test_complete(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(usage=usage(10, 5, cost=0.0125)))
            await self.chat()
        request = await self.closed()
        self.assertEqual((request.total_cost, request.charged_cost), (Decimal("0.0125"),) * 2)

    async def test_an_error_before_the_first_token(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(error(500))
            await self.chat()
        request = await self.closed()
        self.assertEqual((request.completion_status, request.charged_cost), ("error", 0))

    async def test_cut_in_the_middle(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three four", cut_after=3))
            await self.api.post(self.path("stream"), {"message": "count"})
        request = await self.closed()
        self.assertEqual(request.completion_status, "partial")
        self.assertGreater(request.charged_cost or 0, 0)

    async def test_the_client_left(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three four five six", chunk_delay=0.1))
            await self.leave_at(b"two")
        request = await self.closed()
        self.assertEqual(request.completion_status, "cancelled")
        self.assertGreater(request.charged_cost or 0, 0)

    async def test_an_unknown_price_counts_as_the_assumed_one(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(usage=usage(1000, 500)))
            await self.chat()
        request = await self.closed()
        self.assertEqual((request.total_cost, request.charged_cost), (None, Decimal("0.015")))

    @override_settings(UNKNOWN_PRICE_PER_MTOK=Decimal(0))
    async def test_a_server_of_ones_own_may_be_declared_free(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(usage=usage(1000, 500)))
            answer = await self.chat()
        request = await self.closed()
        self.assertEqual((answer.status, request.charged_cost), (200, 0))

    async def test_a_model_that_costs_more_than_was_reserved(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [Reply(usage=usage(10, 5, cost=1.5)), Reply()]
            first, second = await self.chat(), await self.chat()
        self.assertEqual((first.status, second.status), (200, 402))
        self.assertEqual(len(server.requests), 1)
        self.assertEqual((await self.closed()).charged_cost, Decimal("1.5"))

    async def test_a_free_model_needs_no_budget(self) -> None:
        self.configure("model: scripted:echo\n")
        await sync_to_async(self.budget)(Decimal(0))
        self.assertEqual((await self.chat()).status, 200)
        self.assertEqual((await self.closed()).reserved_cost, 0)


class Unread(Call):
    """A client that is gone before the first byte of its answer could be sent."""

    async def _receive(self, message: Any) -> None:
        self.leave()
        await asyncio.Event().wait()


class EarlyLeaveTests(LimitedFixtures, TestCase):
    """No turn stays running when the client leaves before the model is called."""

    config = "model: scripted:echo\nfallback_models: [openai:gpt-4o-mini]\n"

    def setUp(self) -> None:
        super().setUp()
        self.budget(Decimal(1))
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")

    async def assert_cancelled(self) -> None:
        await sync_to_async(self.assert_books_are_closed)()
        [message], [request] = await sync_to_async(stored)()
        self.assertEqual((message.content, request.completion_status), ("hello", "cancelled"))
        self.assertGreater(request.reserved_cost or 0, 0)
        self.assertEqual(request.charged_cost, 0)

    def open(self) -> Coroutine[Any, Any, turns.Turn]:
        return turns.begin_new(self.caller, self.instance, TurnInput(message="hello"), stream=True)

    async def test_while_the_turn_is_being_stored(self) -> None:
        opening = asyncio.create_task(self.open())
        for _ in range(3):
            await asyncio.sleep(0)
        opening.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await opening
        await self.assert_cancelled()

    async def test_before_the_answer_is_read(self) -> None:
        turn = await self.open()
        frames = TurnStream(turn, encode(turns.answer(turn), turn.outcome, "/"))
        await frames.aclose()
        await self.assert_cancelled()
        await frames.aclose()
        await self.assert_cancelled()

    async def test_before_the_headers_are_sent(self) -> None:
        call = Unread(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')
        async with asyncio.timeout(10):
            await call.run()
        await self.assert_cancelled()

    async def test_a_refused_call_of_a_client_that_left_stores_nothing(self) -> None:
        await sync_to_async(self.budget)(Decimal(0))
        opening = asyncio.create_task(self.open())
        await asyncio.sleep(0)
        opening.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await opening
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))


class RefusalTests(LimitedFixtures, TestCase):
    config = "model: scripted:echo\n"

    async def test_a_refused_message_stores_nothing(self) -> None:
        self.configure("model: openai:gpt-4o-mini\n")
        await sync_to_async(self.budget)(Decimal(0))
        answers = [await self.chat(), await self.api.post(self.path("stream"), {"message": "x"})]

        self.assertEqual([a.status for a in answers], [402, 402])
        self.assertEqual(answers[1].headers["content-type"], "application/problem+json")
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    async def test_the_headers_are_true_to_the_last_call(self) -> None:
        await sync_to_async(quotas.set_limits)(self.account, requests_per_minute_per_key=6)
        first = await self.api.post(self.path("stream"), {"message": "hello"})
        self.assertEqual(first.headers["ratelimit"], '"key";r=5;t=10')
        self.assertEqual(first.headers["ratelimit-policy"], '"account";q=600;w=60, "key";q=6;w=60')
        statuses = [(await self.chat()).status for _ in range(7)]
        self.assertEqual(statuses, [200] * 5 + [429] * 2)

        refused = await self.chat()
        self.assertEqual(refused.json()["code"], "rate_limited")
        self.assertIn("r=0", refused.headers["ratelimit"])
        self.assertLessEqual(int(refused.headers["retry-after"]), 10)
        self.assertEqual((await sync_to_async(counts)())[2], 6)

    async def test_a_failed_turn_has_the_headers_too(self) -> None:
        self.configure("model: scripted:fail\nretries: 0\n")
        answer = await self.chat()
        self.assertEqual(answer.status, 502)
        self.assertIn("ratelimit", answer.headers)

    async def test_fresh_cookies_from_one_address_do_not_help(self) -> None:
        await sync_to_async(quotas.set_limits)(self.account, requests_per_minute_per_network=10)
        statuses = Counter[int]()
        for _ in range(1000):
            answer = await new_visitor().post(self.path("chat"), {"message": "hello"})
            statuses[answer.status] += 1
        self.assertEqual(statuses[200] + statuses[429], 1000)
        # A few more than ten may be allowed, because time passes meanwhile.
        self.assertLess(statuses[200], 40)
        self.assertEqual((await sync_to_async(counts)())[0], statuses[200])

    async def test_an_accounts_caps_hold(self) -> None:
        await sync_to_async(quotas.set_limits)(
            self.account, message_bytes=20, history_messages=2, output_tokens=33
        )
        self.configure(LimitedFixtures.config)
        async with MockOpenAI() as server:
            session = (await self.chat("one")).json()["session_id"]
            await self.chat("two", session_id=session)
            await self.chat("three", session_id=session)
            refused = await self.chat("é" * 11)

        sent = server.requests[-1].body
        self.assertEqual(len(sent["messages"]), 1 + 2 + 1)
        self.assertEqual(sent["max_tokens"], 33)
        self.assertEqual((refused.status, refused.json()["code"]), (400, "invalid_request"))
        self.assertIn("20 bytes", refused.json()["detail"])

    async def test_an_answer_without_a_configured_bound_is_bounded(self) -> None:
        self.configure("model: mock:test-model\n")
        async with MockOpenAI() as server:
            await self.chat()
        self.assertEqual(server.requests[0].body["max_tokens"], 4096)

    async def test_a_second_turn_in_a_session_waits_for_the_first(self) -> None:
        self.configure("model: mock:test-model\n")
        async with MockOpenAI() as server:
            session = (await self.chat("one")).json()["session_id"]
            server.called.clear()
            server.replies.append(Reply(delay=0.5))
            first = asyncio.create_task(self.chat("two", session_id=session))
            await server.called.wait()
            second = await self.chat("three", session_id=session)
            third = await first

        self.assertEqual((second.status, second.json()["code"]), (409, "turn_in_progress"))
        self.assertEqual((second.headers["retry-after"], third.status), ("1", 200))
        await sync_to_async(self.assert_books_are_closed)()
        messages, _ = await sync_to_async(stored)()
        self.assertNotIn("three", [m.content for m in messages])


class AbandonedTests(LimitedFixtures, TestCase):
    """The periodic command releases the limits of a killed process, from the rows."""

    def setUp(self) -> None:
        super().setUp()
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")

    def abandon(self) -> turns.Turn:
        message = TurnInput(message="hello")
        turn = async_to_sync(turns.begin_new)(self.caller, self.instance, message, stream=True)
        with platform_context():
            long_ago = timezone.now() - timedelta(hours=1)
            LLMRequest.objects.filter(pk=turn.request_id).update(created_at=long_ago)
        return turn

    def test_an_unknown_cost_counts_as_the_whole_reservation(self) -> None:
        self.configure("model: openai:gpt-4o-mini\n")
        self.budget(Decimal(1))
        reserved = [self.abandon().reservation.reserved for _ in range(2)]
        self.assertEqual(len(settle_abandoned()), 2)

        self.assertEqual(self.assert_books_are_closed(), sum(reserved))
        self.assertEqual(settle_abandoned(), [])
        self.assertEqual(self.assert_books_are_closed(), sum(reserved))

    def test_what_is_free_stays_free(self) -> None:
        self.configure("model: scripted:echo\n")
        self.budget(Decimal(1))
        self.abandon()
        settle_abandoned()

        self.assertEqual(self.assert_books_are_closed(), 0)

    def test_a_later_settlement_changes_nothing(self) -> None:
        self.configure("model: scripted:echo\n")
        turn = self.abandon()
        settle_abandoned()
        turn.end(CompletionStatus.COMPLETE)
        before = stored()

        self.assertIsNone(async_to_sync(store.settle)(turn.as_settled()))
        self.assertEqual(stored(), before)
        self.assert_books_are_closed()

    def test_an_alert_of_the_last_turn_is_sent(self) -> None:
        self.configure("model: openai:gpt-4o-mini\n")
        make_membership(self.account, make_user("owner@example.com"), role="owner")
        reserved = self.abandon().reservation.reserved
        self.budget(reserved)
        settle_abandoned()

        self.assertEqual([sent.to for sent in mail.outbox], [["owner@example.com"]])


class AlertTests(LimitedFixtures, TestCase):
    async def test_passing_a_percentage_is_mailed_once_and_delays_no_turn(self) -> None:
        owner = await sync_to_async(make_user)("owner@example.com")
        await sync_to_async(make_membership)(self.account, owner, role="owner")
        await sync_to_async(self.budget)(Decimal(1))
        async with MockOpenAI() as server:
            server.replies += [Reply(usage=usage(1, 1, cost=0.85)) for _ in range(2)]
            first = await self.chat()
            await finish_background()
            self.assertEqual([sent.to for sent in mail.outbox], [["owner@example.com"]])
            await self.chat()
            await finish_background()

        self.assertEqual(first.status, 200)
        self.assertEqual([sent.subject[:10] for sent in mail.outbox], ["acme: 80 %", "acme: 100 "])


class OwnPriceTests(LimitedFixtures, TestCase):
    """A model without a listed price: its reservation, the refusal, and the own price."""

    config = "model: mock:new\ntools: [current_time]\n"

    def setUp(self) -> None:
        super().setUp()
        forget_prices()
        self.addCleanup(forget_prices)

    def own_price(self, dollars: float) -> None:
        text = f"prices:\n  - model: mock:*\n    input: {dollars}\n    output: {dollars}\n"
        (settings.AGENT_CONFIG_DIR / "acme" / "prices.yaml").write_text(text)

    async def test_a_small_budget_lets_a_small_call_of_unknown_price_through(self) -> None:
        await sync_to_async(self.budget)(Decimal("0.10"))
        async with MockOpenAI():
            answer = await self.chat()

        self.assertEqual(answer.status, 200)

    async def test_the_refusal_says_that_the_price_is_unknown_and_where_to_set_it(self) -> None:
        await sync_to_async(self.budget)(Decimal("0.01"))
        async with MockOpenAI():
            problem = (await self.chat()).json()

        self.assertEqual(problem["code"], "budget_exceeded")
        self.assertEqual(problem["unpriced_models"], ["mock:new"])
        self.assertIn("mock:new is unknown: $10 for a million tokens", problem["detail"])
        self.assertIn("acme/prices.yaml", problem["detail"])

    async def test_a_visitor_sees_no_prices(self) -> None:
        loader.forget()
        self.configure(f"{self.config}visitors: {{show_cost: true}}\n")
        await sync_to_async(self.budget)(Decimal("0.01"))
        caller = Caller(self.account.pk, "acme", VISITOR_SCOPES, "visitor:1", session_key="1" * 64)
        async with MockOpenAI():
            with self.assertRaises(quotas.BudgetExceeded) as caught:
                message = TurnInput(message="hello")
                await turns.begin_new(caller, self.instance, message, stream=True)

        self.assertNotIn("unpriced_models", caught.exception.members)
        self.assertNotIn("mock:new", caught.exception.detail)

    async def test_with_an_own_price_the_call_is_reserved_and_settled_by_it(self) -> None:
        await sync_to_async(self.budget)(Decimal("0.05"))
        self.own_price(0.1)
        async with MockOpenAI() as server:
            server.replies.append(Reply(usage=usage(1_000, 500)))
            answer = await self.chat()

        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json()["cost"]["source"], "configured")
        _, [request] = await sync_to_async(stored)()
        self.assertEqual(request.total_cost, Decimal("0.00015"))
        self.assertEqual(request.cost_source, "configured")
        [call] = (request.response_body or {})["calls"]
        self.assertEqual(call["cost_source"], "configured")
        self.assertEqual(request.charged_cost, Decimal("0.00015"))
