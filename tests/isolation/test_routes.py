"""Every route, every method, every caller: what is answered, and that nothing leaks."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from itertools import cycle, islice, product
from unittest import mock
from uuid import uuid4

from django.db import models
from django.test import SimpleTestCase
from django.utils import timezone

from accounts.tenancy.context import TenantManager, platform_context
from tests.support.api_client import Answer
from tests.support.database import sql_guard
from tests.support.isolation.accounts import CANARY, SECRET, rolled_back, rows_of, writes
from tests.support.isolation.cases import MatrixTestCase, Principal
from tests.support.isolation.route_table import API, CALLERS, METHODS, rows
from tests.support.isolation.routes import ACCOUNTS_OWN, Route, routes

TABLE = rows(API, CALLERS)
REFUSED = HTTPStatus.METHOD_NOT_ALLOWED
EVERY = 8


@dataclass(frozen=True)
class Cell:
    """One cell of the table."""

    route: Route
    method: str
    who: str
    status: int

    def __str__(self) -> str:
        return f"{self.method} {self.route.name} by {self.who} is {self.status} in the table"


@dataclass(frozen=True)
class Heard:
    """The answer to a cell."""

    cell: Cell
    answer: Answer

    def text(self) -> str:
        return f"{self.answer.headers} {self.answer.body.decode()}"


def cells() -> Iterator[Cell]:
    """Yield all that is called: a method that a route has by every caller.

    A method that a route lacks, and a preflight, is answered before anybody looks who calls, and a
    HEAD reaches the view as a GET (salient/api/handler.py): three callers try each, others at the
    next route, so that each caller tries each such method somewhere.
    """
    turn = cycle(CALLERS)
    for method, route in product(METHODS, filter(Route.is_api, routes())):
        wanted = [method, "GET", "*"] if method == "HEAD" else [method, "*"]
        found = next(m for m in wanted if (route.name, m) in TABLE)
        statuses = TABLE[route.name, found]
        if method == "OPTIONS" and route.pattern.startswith(ACCOUNTS_OWN):
            statuses = dict.fromkeys(islice(turn, 3), int(HTTPStatus.NO_CONTENT))
        elif found == "*" or (method == "HEAD" and found == "GET"):
            statuses = {who: statuses[who] for who in islice(turn, 3)}
        for who, status in statuses.items():
            yield Cell(route, method, who, status)


def reading(cells: Iterable[Cell]) -> Iterator[Cell]:
    """Yield the cells whose answers could show rows of an account.

    What has no body shows none; its headers are those of the GET. A 401 and a 403 say a text that
    names no row, most of them before any view is reached (accounts/auth/decorators.py): each caller
    is refused in each way at every eighth such route.
    """
    without_rows = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    met = Counter[tuple[str, int]]()
    for cell in cells:
        if cell.status == REFUSED or cell.method in {"HEAD", "OPTIONS"}:
            continue
        met[cell.who, cell.status] += 1
        if cell.status not in without_rows or met[cell.who, cell.status] % EVERY == 1:
            yield cell


class RouteMatrixTests(MatrixTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.all_lacking: dict[str, Principal] = {}

    def who(self, cell: Cell) -> Principal:
        if cell.who != "lacking":
            return self.principals[cell.who]
        scope = cell.route.scope(cell.method)
        if scope not in self.all_lacking:
            self.all_lacking[scope] = self.lacking(scope)
        return self.all_lacking[scope]

    def run_matrix(self, cells: Iterable[Cell]) -> list[Heard]:
        """Call every cell; the changes of each call are rolled back before the next."""
        heard, wrong = [], []
        calls = [(cell, self.who(cell)) for cell in cells]
        # What is noted once a minute is not noted meanwhile.
        with platform_context():
            self.acme.account.api_keys.update(last_used_at=timezone.now() + timedelta(hours=1))
        before, acme_before = writes(), rows_of(self.acme.account)
        for cell, who in calls:
            with rolled_back(expected=cell.status):
                answer = self.call(who, cell.route, cell.method)
                if answer.status != cell.status:
                    wrong.append(f"{cell}: {answer.status} {answer.body!r}")
                # What a refused call had changed would still be there after the next one.
                if cell.status < HTTPStatus.BAD_REQUEST:
                    after = writes()
                    if after != before and rows_of(self.beta.account) != self.beta_before:
                        wrong.append(f"{cell}: beta has other rows now")
                    before = after
            heard.append(Heard(cell, answer))
        self.assertEqual(wrong, [])
        self.assertEqual(rows_of(self.beta.account), self.beta_before)
        # Changes of refused calls are not rolled back: there are none but their number.
        now = rows_of(self.acme.account)
        changed = {table for table in now if now[table] != acme_before[table]}
        self.assertLessEqual(changed, {"rate_states"})
        return heard

    def test_beta_has_rows_in_every_table_of_accounts(self) -> None:
        self.assertEqual([t for t, rows in self.beta_before.items() if rows.startswith("0")], [])

    def assert_no_canary(self, heard: list[Heard]) -> None:
        for each in heard:
            text = each.text()
            found = [secret for secret in self.hidden if secret in text]
            self.assertEqual(found, [], each.cell)

    def test_everybody_gets_what_the_table_says(self) -> None:
        with self.assertLogs(level=logging.DEBUG) as logs:
            logging.getLogger().debug("there is at least this line")
            heard = self.run_matrix(cells())
        self.assert_no_canary(heard)
        self.assertEqual([line for line in logs.output if CANARY in line or SECRET in line], [])
        of_accounts = [h for h in heard if h.cell.route.pattern.startswith(ACCOUNTS_OWN)]
        self.assert_hidden_alike(
            [h for h in of_accounts if h.answer.status == HTTPStatus.NOT_FOUND]
        )
        self.assert_private(of_accounts)

    def assert_hidden_alike(self, heard: list[Heard]) -> None:
        """Hidden rows are answered, byte for byte, as an account or agent that does not exist.

        Whoever may call the account hears that it is the agent.
        """
        key, nothing = self.principals["key"], f"no-{uuid4().hex}"
        agent = next(route for route in routes() if route.short == "agents/<str:instance>")
        for whose in ("account", "agent"):
            place = {"account": nothing} if whose == "account" else {"instance": nothing}
            unknown = {m: self.call(key, agent, m, values=place) for m in ("GET", "HEAD")}
            self.assertEqual(unknown["GET"].status, HTTPStatus.NOT_FOUND)
            self.assertEqual(unknown["HEAD"], replace(unknown["GET"], body=b""))
            for each in heard:
                if each.cell.route.is_openai():
                    self.assert_openai_hides(each)
                elif (each.cell.who == "elsewhere") == (whose == "agent"):
                    expected = unknown["HEAD" if each.cell.method == "HEAD" else "GET"]
                    self.assertEqual(each.answer, expected, each.cell)

    def assert_openai_hides(self, heard: Heard) -> None:
        """An error in OpenAI's form says as little; the id of the request is its own."""
        self.assertEqual(heard.answer.headers["content-type"], "application/json", heard.cell)
        if heard.cell.method != "HEAD":
            error = heard.answer.json()["error"]
            known = {"message", "type", "param", "code", "what"}
            self.assertLessEqual(set(error), known, heard.cell)
            self.assertIn(error["code"], {"not_found", "model_not_found"}, heard.cell)

    def assert_private(self, heard: list[Heard]) -> None:
        for each in heard:
            headers = each.answer.headers
            caching = (headers["cache-control"], headers["vary"])
            self.assertEqual(
                caching, ("no-store, private", "Authorization, Cookie, Origin"), each.cell
            )

    def test_without_any_filter_the_database_itself_isolates_accounts(self) -> None:
        # The SQL guard notes the missing filters; they are no fault of this test.
        self.addCleanup(sql_guard.pop_faults)
        shown = [*reading(cells())]
        with mock.patch.object(TenantManager, "get_queryset", models.Manager.get_queryset):
            self.assert_no_canary(self.run_matrix(shown))
        self.assertNotEqual(sql_guard.pop_faults(), [])


class TableTests(SimpleTestCase):
    def test_every_route_has_rows_and_every_row_a_route(self) -> None:
        there = {route.name for route in routes() if route.is_api()}
        self.assertEqual({name for name, _ in TABLE} ^ there, set(), "correct API (route_table.py)")

    def test_every_method_of_a_view_has_a_row_and_all_others_are_refused(self) -> None:
        for route in routes():
            if route.is_api() and route.pattern.startswith(ACCOUNTS_OWN):
                with self.subTest(route.name):
                    mine = {method for name, method in TABLE if name == route.name}
                    self.assertEqual(mine - {"HEAD"}, {*route.methods, "*"})
                    self.assertEqual(set(TABLE[route.name, "*"].values()), {REFUSED})
