"""The functions of a cluster write the rows that the plain ones write; no Citus is needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test import SimpleTestCase, TestCase

from accounts.auth.caller import Caller
from accounts.limits import budgets
from accounts.models import WebhookEvent
from accounts.tenancy.distribution.statements import cluster_functions
from accounts.tenancy.roles import Database
from tests.support.database import catalog
from tests.support.database.scratch_database import OWN_APPS
from tests.support.database.turn_functions import TurnFunctions
from tests.support.factories import make_webhook
from tests.support.fixtures import AgentFixtures

TABLES = (
    "sessions",
    "llm_requests",
    "messages",
    "turn_event_batches",
    "account_limits",
    "budgets",
    "rate_states",
    "usage_days",
    "webhook_deliveries",
    "audit_log",
)
# Made by the database itself: what two runs never have alike.
MADE_THERE = {"turn_event_batches": {"id"}, "webhook_deliveries": {"id"}, "audit_log": {"id"}}
FILES = [
    path
    for app in OWN_APPS
    for path in sorted(Path(settings.BASE_DIR, app, "sql", "cluster").glob("*.sql"))
]


@contextmanager
def undone() -> Iterator[None]:
    """Take back what is written inside; a context may be opened there."""
    place = transaction.savepoint_create()
    try:
        yield
    finally:
        transaction.savepoint_rollback(place)


def written() -> dict[str, list[dict[str, Any]]]:
    """Return all rows of the tables, without times and ids that the database makes."""
    found = {}
    for table in TABLES:
        texts = catalog.rows(f"SELECT to_jsonb({table}) FROM {table}")  # noqa: S608
        rows = [json.loads(text) for (text,) in texts]
        for row in rows:
            for name in [*row]:
                is_time = name.endswith("_at") or name in {"arrival", "period_start"}
                if is_time or name in MADE_THERE.get(table, ()):
                    del row[name]
        found[table] = sorted(rows, key=repr)
    return found


class ClusterFunctionTests(TurnFunctions, AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")
        budgets.set_budget(self.account, period="day", limit=Decimal(1))
        make_webhook(self.account, events=[*WebhookEvent])

    def turns(self) -> list[dict[str, Any]]:
        """Say what is to be opened: two conversations, one of a visitor, one that is not kept."""
        keyed = self.wanted("I am a visitor", session_key="f" * 64)
        return [self.wanted("hello"), keyed, self.wanted("forget me") | {"is_stored": False}]

    def play(self, first: list[dict[str, Any]], later: list[dict[str, Any]]) -> dict[str, Any]:
        """Open and settle turns, alone and together; refuse one."""
        opened = self.opened(*first)
        ends = [self.outcome(*pair) for pair in zip(first, opened, strict=True)]
        for place, end in enumerate(ends):
            end |= {"answer_id": first[place]["new_session_id"], "charged_cost": "0.3"}
            end["total_cost"], end["latency_ms"] = "0.3", 40
        batch = {"request_id": first[0]["request_id"], "first_number": 0, "events": [1]}
        told = [self.ask("app_store_turn_events", [batch]) for _ in range(2)]
        settled = [self.ask("app_settle_turns", ends[:2]), self.ask("app_settle_turns", ends[2:])]
        again, by_key, late = later
        again |= {"session_id": opened[0]["session_id"]}
        by_key |= {"session_key": "f" * 64}
        reopened = self.opened(again, by_key)
        refusals = [
            self.refusal("app_settle_turns", ends[:1]),
            self.refusal("app_open_turns", [late | {"session_id": str(uuid4())}]),
            self.refusal("app_open_turns", [late | {"cost": "5"}]),
            self.refusal("app_open_turns", [late | {"agent_instance_slug": "old"}]),
            self.refusal("app_open_turns", [late | {"account_slug": "old"}]),
        ]
        for each in settled:
            del each["all"]["moment"]
        return {
            "opened": opened,
            "told": told,
            "settled": settled,
            "reopened": reopened,
            "refusals": refusals,
            "rows": written(),
        }

    def refusal(self, function: str, turns: list[dict[str, Any]]) -> str:
        with self.assertRaises(DatabaseError) as caught, undone():
            self.ask(function, turns)
        return str(getattr(caught.exception.__cause__, "sqlstate", ""))

    def test_turns_leave_the_same_rows_and_answers(self) -> None:
        first, later = self.turns(), [self.wanted(text) for text in ("again", "me again", "late")]
        with undone():
            plain = self.play(first, later)
        with connection.cursor() as cursor:
            for text in cluster_functions(Database(connection)):
                cursor.execute(text)
        cluster = self.play(first, later)

        self.maxDiff = None
        self.assertEqual(plain, cluster)
        self.assertEqual(plain["refusals"], ["SL409", "SL404", "SL429", "23503", "23503"])
        self.assertEqual({table for table, rows in plain["rows"].items() if not rows}, set())


class WordingTests(SimpleTestCase):
    def test_no_statement_is_one_that_citus_refuses_in_a_function(self) -> None:
        self.assertGreater(len(FILES), 5)
        for path in FILES:
            code = re.sub(r"--.*", "", path.read_text())
            with self.subTest(path.name):
                self.assertNotRegex(code, r"INSERT INTO [^;]*?\)\s+SELECT\b")
                self.assertNotRegex(code, r"\bWITH \w+ AS (MATERIALIZED )?\(")
                # In a statement for a worker it is sent with NULL for the value.
                self.assertNotRegex(code, r"\bCASE [a-z_]+ WHEN\b")

    def test_each_one_stands_for_a_plain_function_or_is_of_clusters_alone(self) -> None:
        alone = {"app_enter", "app_later", "app_record", "app_take_rates"}
        plain = {path.stem for path in FILES if (path.parents[1] / path.name).exists()}
        self.assertEqual({path.stem for path in FILES} - plain, alone)
