"""Refused calls become daily sums: in batches, for the right account, never a row for each."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import OperationalError, connection
from django.test import SimpleTestCase, TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.audit.refusals import counting
from accounts.audit.refusals.counting import OTHER, UNKNOWN, Refusal, RefusalCounter, Times
from accounts.audit.refusals.days import KEPT, forget_old, refusals
from accounts.auth import key_text
from accounts.keys.services import revoke_api_key
from accounts.models import RefusalDay, Scope
from accounts.tenancy.context import platform_context, tenant_context
from salient.api.problems import Forbidden, InternalError, NotFound, Unavailable
from salient.ttl import clear_caches
from sessions_app.turns.problems import ProviderBusy
from sessions_app.usage.error_help import help_with_refusal
from tests.support.api_client import ApiClient
from tests.support.database.stored import as_platform, row_of
from tests.support.factories import make_account, make_instance, make_key, make_refusals

write = async_to_sync(counting.write_refusals)


def refusal(**fields: Any) -> Refusal:
    values: dict[str, Any] = {
        "day": timezone.now().date(),
        "status": 403,
        "code": "forbidden",
        "caller": "secret_key",
    }
    return Refusal(**values | {"key_id": "", "agent": ""} | fields)


class CallTests(TestCase):
    def setUp(self) -> None:
        self.acme, self.beta = make_account("acme"), make_account("beta")
        make_instance(self.acme, "bot")
        self.key, self.text = make_key(self.acme, scopes=[Scope.CHAT], name="Shop")

    def get(self, text: str, path: str) -> int:
        return async_to_sync(ApiClient(text).get)(path).status

    def kept(self) -> set[tuple[Any, ...]]:
        write()
        with platform_context():
            rows = RefusalDay.objects.values_list(
                "account__slug", "status", "code", "caller", "key_id", "agent", "times"
            )
            return set(rows)

    def test_a_refusal_is_its_accounts_codes_keys_and_agents(self) -> None:
        wrong, mine = key_text.new_key().text, self.key.key_id
        for _ in range(3):
            self.assertEqual(self.get(self.text, "/accounts/acme/agents/bot/history"), 403)
        self.assertEqual(self.get(self.text, "/accounts/acme/agents/lost/history"), 403)
        self.assertEqual(self.get(self.text, "/accounts/acme/keys"), 403)
        self.assertEqual(self.get(self.text, "/accounts/beta/agents/bot/history"), 404)
        self.assertEqual(self.get(wrong, "/accounts/beta/me"), 401)
        self.assertEqual(self.get(wrong, "/accounts/nowhere/me"), 401)
        revoke_api_key(self.key)
        clear_caches()
        self.assertEqual(self.get(self.text, "/accounts/acme/agents/bot/history"), 401)

        self.assertEqual(
            self.kept(),
            {
                ("acme", 403, "forbidden", "secret_key", mine, "bot", 3),
                # An agent that is not there is none, and a row of its own for nobody.
                ("acme", 403, "forbidden", "secret_key", mine, "", 2),
                # It is the key's account that asks why, and the other one learns nothing.
                ("acme", 404, "not_found", "secret_key", mine, "", 1),
                ("acme", 401, "unauthenticated", "secret_key", mine, "bot", 1),
                ("beta", 401, "unauthenticated", UNKNOWN, "", "", 1),
            },
        )

    def test_what_no_view_has_seen_is_counted_where_the_path_names_an_account(self) -> None:
        lost = (
            "/accounts/acme/agents/bot/chta",
            "/accounts/acme/agents/bot/chat/",
            "//Accounts//acme/agents//bot",
            "/accounts/acme/agents/lost/x",
            "/accounts/acme/",
            "/accounts/nowhere/x",
            "/accounts/ac%00me/x",
            "/accounts/acme.x/y",
        )
        for path in lost:
            with self.subTest(path):
                self.assertEqual(self.get(self.text, path), 404)
        large = b"x" * (settings.MAX_BODY_BYTES + 1)
        post = async_to_sync(ApiClient(self.text).call)
        answer = post("POST", "/accounts/acme/agents/bot/chat", raw=large)
        self.assertEqual(answer.status, 413)

        self.assertEqual(
            self.kept(),
            {
                ("acme", 404, "unknown_route", UNKNOWN, "", "bot", 3),
                ("acme", 404, "unknown_route", UNKNOWN, "", "", 2),
                ("acme", 413, answer.json()["code"], UNKNOWN, "", "bot", 1),
            },
        )

    def test_an_agent_is_named_by_its_own_account_alone(self) -> None:
        make_instance(self.beta, "secret-plan")
        _, other = make_key(self.beta, scopes=[Scope.CHAT])
        for text, account in ((self.text, "acme"), (other, "beta")):
            self.get(text, f"/accounts/{account}/agents/secret-plan/history")
        self.assertEqual(
            {(row[0], row[5]) for row in self.kept()}, {("acme", ""), ("beta", "secret-plan")}
        )

    def test_a_flood_costs_no_statement_and_its_batch_a_few(self) -> None:
        self.get(self.text, "/accounts/acme/agents/bot/history")
        with CaptureQueriesContext(connection) as of_calls:
            for n in range(counting.MOST_OF_ACCOUNT + 20):
                self.get(self.text, f"/accounts/acme/agents/a{n}/history")
        with CaptureQueriesContext(connection) as of_batch:
            write()

        self.assertEqual(len(of_calls), 0)
        inserts = [each["sql"] for each in of_batch if "INSERT" in each["sql"]]
        self.assertEqual(len(inserts), 1)
        self.assertLess(len(of_batch), 12)
        with platform_context():
            sums = RefusalDay.objects.order_by("-times").values_list("caller", "agent", "times")
            self.assertEqual(
                list(sums), [("secret_key", "", 199), (OTHER, "", 21), ("secret_key", "bot", 1)]
            )

    def test_what_is_answered_is_no_refusal(self) -> None:
        _, text = make_key(self.acme)
        self.assertEqual(self.get(text, "/accounts/acme/me"), 200)

        self.assertEqual(self.kept(), set())

    def test_a_batch_that_the_database_does_not_take_is_written_later(self) -> None:
        self.get(self.text, "/accounts/acme/agents/bot/history")
        with mock.patch.object(counting, "add", side_effect=OperationalError("gone")):
            write()
        self.get(self.text, "/accounts/acme/agents/bot/history")

        self.assertEqual({row[-1] for row in self.kept()}, {2})
        self.assertEqual({row[-1] for row in self.kept()}, {2})

    def test_the_rounds_write_and_end_when_nothing_is_left(self) -> None:
        async def refused() -> int:
            await ApiClient(self.text).get("/accounts/acme/agents/bot/history")
            [task] = counting._rounds.values()
            await asyncio.wait_for(asyncio.shield(task), 10)
            return len(counting._rounds)

        with mock.patch.object(counting, "WRITE_SECONDS", 0.01):
            self.assertEqual(async_to_sync(refused)(), 0)
        self.assertEqual(row_of(RefusalDay).times, 1)


class SumTests(TestCase):
    def test_sums_are_by_code_and_column_within_the_account(self) -> None:
        acme, beta, now = make_account("acme"), make_account("beta"), timezone.now()
        yesterday = {"day": now.date() - timedelta(days=1), "last_at": now - timedelta(days=1)}
        make_refusals(acme, agent="a", times=3)
        make_refusals(acme, agent="b", times=2, **yesterday)
        make_refusals(acme, code="rate_limited", status=429, times=9, key_id="abc")
        make_refusals(beta, times=7)
        days: dict[str, Any] = {
            "first": now.date() - timedelta(days=6),
            "last": now.date(),
            "most": 5,
        }

        with tenant_context(acme.pk):
            mine = refusals(account_id=acme.pk, **days)
            of_key = refusals("agent", account_id=acme.pk, key_id="abc", **days)
        of_all = as_platform(refusals, "account_slug", **days)

        told = [(each.code, each.times, each.today, each.yesterday) for each in mine]
        self.assertEqual(told, [("rate_limited", 9, 9, 0), ("forbidden", 5, 3, 2)])
        self.assertEqual([(each.code, each.times) for each in of_key], [("rate_limited", 9)])
        self.assertEqual(
            [(each.account_slug, each.times) for each in of_all],
            [("acme", 9), ("beta", 7), ("acme", 5)],
        )

    def test_old_days_are_forgotten(self) -> None:
        acme = make_account("acme")
        make_refusals(acme)
        make_refusals(acme, day=timezone.now().date() - KEPT - timedelta(days=1))

        self.assertEqual((forget_old(), forget_old()), (1, 0))


class CounterTests(SimpleTestCase):
    def test_names_that_nobody_vouches_for_are_bounded(self) -> None:
        counter = RefusalCounter()
        with mock.patch.object(counting, "MOST_NAMES", 3):
            for n in range(10):
                counter.add(f"name-{n}", refusal(caller=UNKNOWN), Times(1, timezone.now()))
        with self.assertLogs("accounts.audit.refusals.counting", "WARNING") as logs:
            taken = counter.take()

        self.assertEqual(sorted(map(str, taken)), ["name-0", "name-1", "name-2"])
        self.assertIn("7 refusals", logs.output[0])
        self.assertEqual(counter, RefusalCounter())

    def test_failed_turns_and_faults_of_the_server_are_no_refusals(self) -> None:
        problems = (Forbidden(""), NotFound(), Unavailable(""), InternalError())
        failed = ProviderBusy("", session_id="1", llm_request_id="2")

        told = [counting.is_refusal(each) for each in (*problems, failed)]
        self.assertEqual(told, [True, True, True, False, False])

    def test_rows_are_what_json_can_hold(self) -> None:
        [row] = counting._rows({"acme": {refusal(): Times(2, timezone.now())}})

        self.assertEqual(json.loads(json.dumps(row))["times"], 2)


class HelpTests(SimpleTestCase):
    def test_a_code_has_a_meaning_and_a_remedy(self) -> None:
        for code, status in (
            ("unauthenticated", 401),
            ("budget_exceeded", 402),
            ("exceeds_caller", 403),
            ("model_not_found", 404),
            ("last_owner", 409),
            ("too_many_attempts", 429),
            ("agent_unavailable", 503),
        ):
            with self.subTest(code=code):
                found = help_with_refusal(code, status)
                self.assertTrue(found.meaning)
                self.assertTrue(found.remedy)
