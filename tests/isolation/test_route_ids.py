"""Ids and names in paths, queries and bodies: the owner of the row decides the answer."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from http import HTTPStatus
from itertools import cycle, islice
from typing import Any
from uuid import UUID, uuid4

from django.test import SimpleTestCase

from accounts.models import Invitation
from accounts.tenancy.context import platform_context, tenant_context
from agents.connections.connections import create_connection
from salient.cursor import Cursor
from sessions_app.models import Role, SavedChat, Session
from tests.support.factories import make_budget, make_delivery, make_message, make_webhook
from tests.support.isolation.accounts import rolled_back, rows_of, writes
from tests.support.isolation.cases import MatrixTestCase, Principal
from tests.support.isolation.route_table import (
    API,
    BODIES,
    CALLERS,
    NEVER_FROM_A_BODY,
    rows,
)
from tests.support.isolation.routes import Route, id_places, id_rows, routes

ROWS = id_rows()
# What a 404 says was not found, where that is not the name of the place.
WHAT = {
    ("connections/<str:name>", "name"): "connection",
    ("agents/<str:instance>/config/versions/<str:number>", "number"): "version",
    ("webhooks/<str:webhook_id>/deliveries/<str:delivery_id>", "webhook_id"): "delivery",
    ("webhooks/<str:webhook_id>/deliveries/<str:delivery_id>/resend", "webhook_id"): "delivery",
    ("agents/<str:instance>/history", "before"): "message",
}
NO_SLUGS = (
    *("Bot", "bot\n", "bot ", "b..t", "..", "-bot", "b" * 64, "bót", "me", "%62ot"),
    "00000000-0000-7000-8000-000000000000'--",
)


@cache
def by_short_name() -> dict[str, Route]:
    return {route.short: route for route in routes() if route.is_api()}


class IdTests(MatrixTestCase):
    def setUp(self) -> None:
        super().setUp()
        account = self.acme.account
        create_connection(account.pk, name="others-gpu", base_url="https://o.example.com/v1")
        with tenant_context(account.pk):
            self.guest = Invitation.objects.create(
                account=account,
                email="guest@example.com",
                role="viewer",
                token_hash="t",
                expires_at=self.acme.invitation.expires_at,
            )
        make_message(self.acme.session, role=Role.ASSISTANT, content="another")
        self.another_budget = make_budget(account, period="day").pk
        # With an id of its own: a delivery of another webhook is not found below the first.
        self.webhook = make_webhook(account)
        self.delivery = make_delivery(self.webhook)
        self.acme_before = rows_of(account)

    def value(self, who: Principal, place: str, whose: str, *, of_list: bool) -> str:
        """Return the id of that owner's row, as that place has it."""
        if whose == "malformed":
            return "No such thing!"
        if place == "cursor" or (place == "before" and of_list):
            return self.cursor(who, whose)
        if place == "before":
            return self.message(who, whose)
        if place == "number":
            # The agent has one version.
            return "1" if whose == "own" else "2"
        return {
            "session_id": lambda: str(self.session(who, whose)),
            "thread_id": lambda: str(self.session(who, whose)),
            "message_id": lambda: self.message(who, whose),
            "response_id": lambda: self.response(who, whose),
            "turn_id": lambda: self.response(who, whose).removeprefix("resp_"),
            "previous_response_id": lambda: self.response(who, whose),
            "member_id": lambda: self.pick(whose, self.target, self.member_of("viewer"), "member"),
            "invitation_id": lambda: self.pick(
                whose, self.acme.invitation, self.guest, "invitation"
            ),
            "chat_id": lambda: self.chat(whose),
            "key_id": lambda: self.key_of(whose),
            "key": lambda: self.key_of(whose),
            "budget_id": lambda: self.budget(whose),
            "webhook_id": lambda: self.pick(whose, self.acme.webhook, self.webhook, "webhook"),
            "delivery_id": lambda: self.pick(whose, self.acme.delivery, self.delivery, "delivery"),
            "name": lambda: {
                "own": self.acme.connection,
                "others": "others-gpu",
                "foreign": self.beta.connection,
                "random": f"no-{uuid4().hex[:30]}",
            }[whose],
            "model": lambda: {
                "own": "bot",
                "others": "second",
                "foreign": "theirs",
                "random": f"no-{uuid4().hex[:30]}",
            }[whose],
        }[place]()

    def chat(self, whose: str) -> str:
        bots = {"own": self.acme.bot, "others": self.second, "foreign": self.beta.bot}
        with platform_context():
            chat = SavedChat.objects.filter(agent_instance=bots.get(whose)).first()
        return str(chat.pk if chat else uuid4())

    def key_of(self, whose: str) -> str:
        with platform_context():
            found = {
                "own": self.acme_key,
                "others": self.acme.account.api_keys.get(name="visitors").pk,
                "foreign": self.beta.account.api_keys.get().pk,
            }
        return str(found.get(whose, uuid4()))

    def budget(self, whose: str) -> str:
        with platform_context():
            foreign = self.beta.account.budgets.get().pk
        found = {"own": self.acme_budget, "others": self.another_budget, "foreign": foreign}
        return str(found.get(whose, uuid4()))

    def pick(self, whose: str, own: Any, others: Any, name: str) -> str:
        rows = {"own": own, "others": others, "foreign": getattr(self.beta, name)}
        return str(rows[whose].pk if whose in rows else uuid4())

    def member_of(self, role: str) -> Any:
        with platform_context():
            return self.acme.account.memberships.get(user__email=f"{role}@example.com")

    def sessions_of(self, who: Principal) -> dict[str, Session]:
        others = self.principals["cookie"].session
        return {"own": who.session, "others": others, "foreign": self.beta.session}

    def session(self, who: Principal, whose: str) -> UUID:
        found = self.sessions_of(who)
        return found[whose].pk if whose in found else uuid4()

    def message(self, who: Principal, whose: str) -> str:
        if whose == "random":
            return str(uuid4())
        message, _ = self.ids_within(self.sessions_of(who)[whose])
        return message

    def response(self, who: Principal, whose: str) -> str:
        if whose == "random":
            return f"resp_{uuid4().hex}"
        _, turn = self.ids_within(self.sessions_of(who)[whose])
        return f"resp_{turn}"

    def cursor(self, who: Principal, whose: str) -> str:
        return str(Cursor(datetime.fromisoformat("2100-01-01T00:00:00Z"), self.session(who, whose)))

    def test_whose_id_it_is_decides(self) -> None:
        wrong: list[str] = []
        hidden: dict[str, list[Any]] = {}
        for (name, method, place), statuses in ROWS.items():
            route = by_short_name()[name]
            for (caller, whose), status in statuses.items():
                who = self.principals[caller]
                value = self.value(who, place, whose, of_list=name.endswith(("audit", "sessions")))
                with rolled_back(expected=status):
                    before = writes()
                    answer = self.call(who, route, method, **self.put(route, method, place, value))
                    case = f"{method} {name} {place} {whose} of {caller}"
                    if answer.status != status:
                        wrong.append(f"{case}: {answer.status}, not {status} {answer.body!r}")
                    if writes() != before and rows_of(self.beta.account) != self.beta_before:
                        wrong.append(f"{case}: changed beta")
                    wrong += [f"{case}: {h}" for h in self.hidden if h in answer.body.decode()]
                if answer.status == 404 and not route.is_openai():
                    kind = WHAT.get((name, place), place).removesuffix("_id").replace("_", " ")
                    hidden.setdefault(kind, []).append((answer.headers, answer.body))
        self.assertEqual(wrong, [])
        # Changes of refused calls are not rolled back: there are none but their number, and the
        # configuration that a refused turn has read.
        after = rows_of(self.acme.account)
        changed = {table for table in after if after[table] != self.acme_before[table]}
        self.assertLessEqual(changed, {"rate_states", "config_versions", "prompt_sections"})
        for kind, answers in hidden.items():
            with self.subTest(kind):
                self.assertEqual(json.loads(answers[0][1])["what"], kind)
                self.assertEqual([each for each in answers if each != answers[0]], [])

    def put(self, route: Route, method: str, place: str, value: str) -> dict[str, Any]:
        """Say where the id goes: into the path, the query or the body."""
        if place in route.parameters:
            return {"values": {place: value}}
        return {"body" if method == "POST" else "query": {place: value}}

    def test_a_name_that_is_not_the_slug_is_the_same_404(self) -> None:
        answers: dict[str, list[Any]] = {"account": [], "instance": []}
        ids = (str(self.acme.account.pk), str(self.acme.bot.pk), "theirs", "beta", uuid4().hex)
        # Every name at some routes, some names at every route.
        names = cycle((*NO_SLUGS, *ids))
        for route in by_short_name().values():
            for method in route.methods:
                for place in {"account", "instance"} & set(route.parameters):
                    for name in islice(names, 3):
                        values = {place: name}
                        answer = self.call(self.principals["key"], route, method, values=values)
                        if route.is_openai():
                            self.assertEqual(answer.json()["error"]["code"], "not_found")
                            continue
                        answers[place].append((route.name, method, name, answer))
        for place, what in (("account", None), ("instance", "agent")):
            first = answers[place][0][-1]
            self.assertEqual([a for a in answers[place] if a[-1] != first], [])
            self.assertEqual((first.status, first.json()["code"]), (404, "not_found"))
            self.assertEqual(first.json().get("what"), what)

    def test_what_a_body_may_not_say_is_named_and_refused(self) -> None:
        key = self.principals["key"]
        body = dict.fromkeys(NEVER_FROM_A_BODY, "x")
        for name, method in BODIES:
            if by_short_name()[name].takes_unknown_fields():
                # `model` is the agent there.
                continue
            with self.subTest(name=name), rolled_back(expected=HTTPStatus.BAD_REQUEST):
                answer = self.call(key, by_short_name()[name], method, body=body)
                self.assertEqual((answer.status, answer.json()["code"]), (400, "invalid_request"))
                named = {error["field"] for error in answer.json()["errors"]}
                self.assertLessEqual(set(NEVER_FROM_A_BODY), named)

    def test_what_a_body_of_others_clients_may_not_say_is_passed_over(self) -> None:
        key = self.principals["key"]
        body = {field: "x" for field in NEVER_FROM_A_BODY if field != "model"}
        for name, method in BODIES:
            if by_short_name()[name].takes_unknown_fields():
                with self.subTest(name=name), rolled_back():
                    answer = self.call(key, by_short_name()[name], method, body=body)
                    self.assertEqual(answer.status, 200, answer.body)
                    if by_short_name()[name].is_openai():
                        self.assertEqual(answer.json()["model"], "bot")
                    self.assertEqual(rows_of(self.beta.account), self.beta_before)

    def test_a_key_is_taken_from_the_authorization_header_alone(self) -> None:
        nobody, key = self.principals["nobody"], self.acme.key
        for (name, method), statuses in rows(API, CALLERS).items():
            if method == "*" or statuses["nobody"] != 401:
                continue
            route = next(r for r in routes() if r.name == name)
            for misplaced, status in (
                ({"headers": {"x-api-key": key}}, 401),
                ({"headers": {"authorization": f"Basic {key}"}}, 401),
                ({"query": {"api_key": key}}, 400),
                ({"query": {"key": key}}, 400),
            ):
                with self.subTest(name=name, method=method, misplaced=misplaced):
                    answer = self.call(nobody, route, method, **misplaced)
                    self.assertEqual(answer.status, status)
                    self.assertNotIn(key, answer.body.decode())

    def test_a_cookie_works_from_our_own_pages_alone(self) -> None:
        """Also for GET: any page can have an image with an address that starts a turn."""
        # It is asked for by all routes together: each of these sites calls every third.
        sites = cycle(("cross-site", "same-site", "none"))
        for name in ("cookie", "owner"):
            who = self.principals[name]
            for route in by_short_name().values():
                for method in route.methods if "instance" in route.parameters else ():
                    headers = {"sec-fetch-site": next(sites)}
                    answer = self.call(who, route, method, headers=headers)
                    self.assertEqual(answer.status, 403, f"{name} {method} {route.name} {headers}")
        self.assertEqual(rows_of(self.acme.account), self.acme_before)


class PlaceTests(SimpleTestCase):
    def test_every_id_in_a_body_or_query_has_rows(self) -> None:
        wanted = {
            place
            for route in routes()
            for place, _ in id_places(route)
            if place[2] not in route.parameters
        }

        self.assertEqual(wanted - set(ROWS), set(), "say in IDS (route_table.py) what they answer")
        self.assertLessEqual({("agents/<str:instance>/chat", "POST", "session_id")}, wanted)
