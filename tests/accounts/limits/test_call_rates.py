"""Calls that are no turns have rates: what each kind counts, whose rate it takes, what is told."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync
from django.test import TestCase, TransactionTestCase

from accounts.auth import visitor_tokens
from accounts.auth.caller import Caller
from accounts.limits import call_rates, quotas
from accounts.limits.quotas import RateLimited
from accounts.limits.registry import CALL_RATES, Rates
from accounts.models import KeyKind, MemberRole, RateState, Scope
from salient.api.openapi.routes import api_operations
from salient.ttl import clear_caches
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import rows_of
from tests.support.factories import make_account, make_instance, make_key
from tests.support.fixtures import key_client

count_call = async_to_sync(call_rates.count_call)
SITE = "https://shop.example"


class RouteTests(TestCase):
    def test_every_route_of_an_account_counts_under_a_rate(self) -> None:
        for each in api_operations():
            with self.subTest(route=f"{each.method} {each.path}"):
                known = set(Rates) if each.operation.scope else {""}
                self.assertIn(each.operation.rate, known)

    def test_exactly_the_routes_that_run_turns_count_as_turns(self) -> None:
        for each in api_operations():
            codes = {problem.code for problem in each.operation.problems}
            with self.subTest(route=f"{each.method} {each.path}"):
                self.assertEqual(each.operation.rate == Rates.TURN, "too_many_turns" in codes)


class CallCase(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")
        self.bot = make_instance(self.acme, "bot")
        self.key = key_client(self.acme)

    def post(self, client: ApiClient, path: str, body: Any = None) -> Answer:
        raw = json.dumps(body or {}).encode()
        return async_to_sync(client.call)("POST", f"/accounts/acme/{path}", raw=raw)

    def get(self, client: ApiClient, path: str, **query: str) -> Answer:
        return async_to_sync(client.call)("GET", f"/accounts/acme/{path}", query=query)

    def visitor(self) -> ApiClient:
        key, _ = make_key(self.acme)
        token = visitor_tokens.new_token(key.key_id, self.bot.pk, seconds=3600)
        return ApiClient(visitor_tokens.write_token(token))

    def states(self) -> list[str]:
        return [row.subject for row in rows_of(RateState)]


class KindTests(CallCase):
    def test_reads_have_a_rate_and_say_what_is_left(self) -> None:
        now = time.monotonic_ns()
        self.enterContext(mock.patch.object(time, "monotonic_ns", return_value=now))
        quotas.set_limits(self.acme, reads_per_minute=6)
        # A slow machine would give calls back between two of them.
        clock = self.enterContext(mock.patch.object(call_rates, "time"))
        clock.monotonic_ns.return_value = 10**15
        first = self.get(self.key, "agents")
        self.assertEqual(first.headers["ratelimit"], '"reads-caller";r=2;t=20')
        self.assertEqual(
            first.headers["ratelimit-policy"], '"reads-account";q=6;w=60, "reads-caller";q=3;w=60'
        )
        for _ in range(2):
            self.get(self.key, "agents")
        refused = self.get(self.key, "agents")

        self.assertEqual(refused.status, HTTPStatus.TOO_MANY_REQUESTS)
        self.assertEqual(refused.json()["code"], "rate_limited")
        self.assertEqual(refused.json()["policy"], "reads-caller")
        self.assertEqual(refused.headers["retry-after"], "20")
        self.assertEqual(refused.headers["ratelimit"], '"reads-caller";r=0;t=20')

    def test_a_read_takes_no_statement_of_its_own(self) -> None:
        self.get(self.key, "agents")
        before = self.states()
        self.get(self.key, "agents")

        self.assertEqual(before, [])
        self.assertEqual(self.states(), [])

    def test_a_refused_read_counts_nothing(self) -> None:
        now = time.monotonic_ns()
        self.enterContext(mock.patch.object(time, "monotonic_ns", return_value=now))
        quotas.set_limits(self.acme, reads_per_minute=4)
        _, text = make_key(self.acme)
        for _ in range(6):
            self.get(self.key, "agents")
        answer = self.get(ApiClient(text), "agents")

        self.assertEqual(answer.headers["ratelimit"], '"reads-account";r=1;t=45')

    def test_changes_exports_checks_secrets_and_sends_have_each_their_own(self) -> None:
        session = (self.post(self.key, "agents/bot/sessions")).json()["id"]
        hook = self.post(
            self.key,
            "webhooks",
            {"url": "https://hooks.example.com/in", "events": ["turn.finished"]},
        )
        calls = [
            self.post(self.key, "agents/bot/sessions"),
            self.get(self.key, f"agents/bot/sessions/{session}/export"),
            self.get(self.key, "usage", format="csv"),
            self.post(self.key, "agents/bot/config/validate", {"text": "temperature: 1\n"}),
            self.post(self.key, "agents/bot/visitors"),
            self.post(self.key, "keys", {"name": "new", "scopes": ["chat"]}),
            self.post(self.key, "members", {"email": "new@example.com", "role": "viewer"}),
            self.post(self.key, f"webhooks/{hook.json()['id']}/test"),
        ]

        self.assertEqual([each.status // 100 for each in calls], [2] * len(calls))
        kinds = [each.headers["ratelimit-policy"].split("-")[0].strip('"') for each in calls]
        self.assertEqual(
            kinds,
            [
                *(Rates.WRITE, Rates.HEAVY, Rates.HEAVY, Rates.HEAVY),
                *(Rates.VISITOR_TOKEN, Rates.MINT, Rates.SEND, Rates.SEND),
            ],
        )

    def test_each_kind_is_refused_beyond_its_rate_and_no_other_is(self) -> None:
        for calls, limit in CALL_RATES.items():
            with self.subTest(calls=calls):
                account = make_account()
                quotas.set_limits(account, **{limit.name: 1})
                caller = Caller(account.pk, account.slug, frozenset(), "key:1")
                count_call(caller, calls)
                with self.assertRaises(RateLimited) as refused:
                    count_call(caller, calls)
                self.assertIn(calls.replace("_", " "), refused.exception.detail)
                for other in CALL_RATES.keys() - {calls}:
                    count_call(caller, other)

    def test_a_long_configuration_counts_as_several_checks(self) -> None:
        quotas.set_limits(self.acme, heavy_calls_per_minute=20)
        path, text = "agents/bot/config/validate", "#" * (8 * 1024 * 7)
        first = [self.post(self.key, path, {"text": text}).status for _ in range(2)]
        refused = self.post(self.key, path, {"text": text})

        # One beside the seven is the call itself.
        self.assertEqual(first, [HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS])
        self.assertEqual(refused.headers["retry-after"], "42")
        self.assertEqual(
            self.post(self.key, path, {"text": ""}).status, HTTPStatus.TOO_MANY_REQUESTS
        )

    def test_a_turn_is_counted_when_it_is_opened_and_not_before(self) -> None:
        caller = Caller(self.acme.pk, "acme", frozenset(), "key:1")

        self.assertEqual(count_call(caller, Rates.TURN), {})
        self.assertEqual(self.states(), [])


class WhoseTests(CallCase):
    def test_visitors_do_not_use_up_what_the_accounts_own_callers_have(self) -> None:
        quotas.set_limits(self.acme, reads_per_minute=20)
        statuses = [(self.get(self.visitor(), "agents/bot/sessions")).status for _ in range(25)]

        self.assertIn(HTTPStatus.TOO_MANY_REQUESTS, statuses)
        own = self.get(self.key, "agents")
        self.assertEqual(own.headers["ratelimit"], '"reads-caller";r=9;t=6')

    def test_one_visitor_has_a_twentieth_and_a_network_a_fifth(self) -> None:
        answer = self.get(self.visitor(), "agents/bot/sessions")

        self.assertEqual(
            answer.headers["ratelimit-policy"],
            '"reads-visitors";q=3000;w=60, "reads-network";q=600;w=60, "reads-visitor";q=150;w=60',
        )

    def test_a_publishable_key_is_not_one_visitor(self) -> None:
        quotas.set_limits(self.acme, visitor_tokens_per_minute=20)
        _, text = make_key(
            self.acme, kind=KeyKind.PUBLISHABLE, origins=[SITE], instance_ids=[self.bot.pk]
        )
        page = ApiClient(text, headers={"origin": SITE})
        statuses = [(self.post(page, "agents/bot/visitors")).status for _ in range(5)]

        self.assertEqual(statuses, [201, 201, 201, 201, 429])

    def test_a_member_has_half_of_the_accounts(self) -> None:
        owner = browser_of(make_member(self.acme, MemberRole.OWNER, "o@example.com").user)
        answer = self.get(owner, "agents")

        self.assertIn('"reads-caller";q=1500;w=60', answer.headers["ratelimit-policy"])

    def test_another_account_has_its_own(self) -> None:
        beta = make_account("beta")
        _, text = make_key(beta)
        quotas.set_limits(self.acme, reads_per_minute=1)
        for _ in range(3):
            self.get(self.key, "agents")
        answer = async_to_sync(ApiClient(text).get)("/accounts/beta/agents")

        self.assertEqual(answer.status, HTTPStatus.OK)

    def test_a_call_that_is_refused_for_its_scope_counts_nothing(self) -> None:
        _, text = make_key(self.acme, scopes=[Scope.CHAT])
        refused = self.post(ApiClient(text), "keys", {"name": "n", "scopes": ["chat"]})

        self.assertEqual(refused.status, HTTPStatus.FORBIDDEN)
        self.assertEqual(self.states(), [])
        self.assertNotIn("ratelimit", refused.headers)


class ManyProcessesTests(TransactionTestCase):
    """What protects something is counted exactly, also where another process counts."""

    def test_another_process_goes_on_where_this_one_stopped(self) -> None:
        account = make_account("acme")
        quotas.set_limits(account, new_secrets_per_minute=3)
        allowed = 0
        for number in range(5):
            # What a process knows by itself is gone, as in another process.
            clear_caches()
            caller = Caller(account.pk, "acme", frozenset(), f"key:{number}")
            try:
                count_call(caller, Rates.MINT)
            except RateLimited as refused:
                self.assertEqual(refused.members["policy"], "new_secrets-account")
            else:
                allowed += 1

        self.assertEqual(allowed, 3)
