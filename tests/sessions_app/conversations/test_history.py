from __future__ import annotations

from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpResponse
from django.test import TestCase, override_settings

from accounts.auth import visitor_tokens
from accounts.models import MemberRole, User
from salient.ttl import clear_caches
from sessions_app.models import Role, Session
from tests.accounts.member_fixtures import log_in, make_member
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import row_of, rows_of
from tests.support.factories import make_instance, make_key, make_message, make_session, make_user
from tests.support.fixtures import AgentFixtures, counts


class HistoryTests(AgentFixtures, TestCase):
    async def test_gives_both_sides_oldest_first(self) -> None:
        first = await self.say("hello")
        answer = await self.api.get(self.path("history"), session_id=first["session_id"])

        body = answer.json()
        self.assertEqual(body["session_id"], first["session_id"])
        self.assertEqual(
            [(m["role"], m["content"]) for m in body["messages"]],
            [("user", "hello"), ("bot", first["response"])],
        )
        self.assertEqual(
            set(body["messages"][0]),
            {
                *("id", "message_id", "role", "content", "created_at", "timestamp"),
                *("llm_request_id", "feedback"),
            },
        )
        self.assertIsNone(body["before"])

    async def test_pages_lead_back_to_the_first_message(self) -> None:
        session = (await self.say("1"))["session_id"]
        for number in "234":
            await self.say(number, session_id=session)
        questions: list[str] = []
        query: dict[str, object] = {"session_id": session, "limit": 3}
        while True:
            page = (await self.api.get(self.path("history"), **query)).json()
            questions = [m["content"] for m in page["messages"] if m["role"] == "user"] + questions
            if page["before"] is None:
                break
            query["before"] = page["before"]
        self.assertEqual(questions, ["1", "2", "3", "4"])

    async def test_other_roles_stay_inside(self) -> None:
        session = (await self.say("hello"))["session_id"]
        row = await sync_to_async(row_of)(Session, pk=session)
        await sync_to_async(make_message)(row, role=Role.SYSTEM, content="internal")
        page = (await self.api.get(self.path("history"), session_id=session)).json()

        self.assertEqual([m["role"] for m in page["messages"]], ["user", "bot"])

    async def test_invalid_queries_are_refused(self) -> None:
        theirs = str((await sync_to_async(make_session)()).pk)
        session = (await self.say("hello"))["session_id"]
        for name, query, status in (
            ("no session", {}, 400),
            ("malformed", {"session_id": "x"}, 400),
            ("random", {"session_id": "00000000-0000-7000-8000-000000000000"}, 404),
            ("another account's", {"session_id": theirs}, 404),
            ("too many", {"session_id": session, "limit": 201}, 400),
            ("unknown page", {"session_id": session, "before": theirs}, 404),
            ("unknown name", {"session_id": session, "account": "beta"}, 400),
            ("twice", {"session_id": [session, session]}, 400),
        ):
            with self.subTest(name):
                answer = await self.api.get(self.path("history"), **query)
                self.assertEqual(answer.status, status)


class VisitorTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ada, self.bob = self.visitor(), self.visitor()

    def visitor(
        self, instance: str = "bot", let_in: UUID | None = None, **headers: str
    ) -> ApiClient:
        response = HttpResponse()
        visitor_tokens.set_cookie(response, "acme", instance, let_in=let_in)
        cookie = response.cookies.output(header="", attrs=[]).strip()
        return ApiClient(headers={"cookie": cookie, "sec-fetch-site": "same-origin", **headers})

    async def ask(self, who: ApiClient, message: str = "hello", **body: object) -> Answer:
        return await who.post(self.path("chat"), {"message": message, **body})

    async def test_the_cookie_finds_the_conversation_again(self) -> None:
        first = await self.ask(self.ada, "my name is Ada")
        second = await self.ask(self.ada, "and now?")

        self.assertEqual(first.status, 200)
        self.assertEqual(second.json()["session_id"], first.json()["session_id"])
        self.assertIn("my name is Ada", second.json()["response"])
        page = (await self.ada.get(self.path("history"))).json()
        self.assertEqual(len(page["messages"]), 4)

    async def test_visitors_do_not_meet(self) -> None:
        adas = (await self.ask(self.ada, "my name is Ada")).json()["session_id"]

        self.assertNotIn("Ada", (await self.ask(self.bob, "and now?")).json()["response"])
        self.assertEqual((await self.ask(self.bob, session_id=adas)).status, 404)
        answer = await self.bob.get(self.path("history"), session_id=adas)
        self.assertEqual(answer.status, 404)

    async def test_before_the_first_message_the_history_is_empty(self) -> None:
        page = await self.ada.get(self.path("history"))

        self.assertEqual(page.json(), {"session_id": None, "messages": [], "before": None})
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    async def test_only_a_cookie_that_the_server_minted_counts(self) -> None:
        mine = self.ada.headers["cookie"]
        name, _, value = mine.partition("=")
        for forged in (f"{name}=abc", f"{name}=abc:def", f"{name}={value[:-2]}xx"):
            answer = await self.ask(ApiClient(headers=self.ada.headers | {"cookie": forged}))
            self.assertEqual(answer.status, 401)

    async def test_a_cookie_for_one_agent_opens_no_other(self) -> None:
        await sync_to_async(make_instance)(self.account, "second")
        name = visitor_tokens.cookie_name("acme", "second")
        value = self.ada.headers["cookie"].partition("=")[2]
        thief = ApiClient(headers=self.ada.headers | {"cookie": f"{name}={value}"})

        answer = await thief.post(self.path("chat", instance="second"), {"message": "x"})
        self.assertEqual(answer.status, 401)

    async def test_another_sites_page_gets_nothing(self) -> None:
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
        ):
            answer = await self.ask(ApiClient(headers=self.ada.headers | headers))
            self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"))
        plain = {"cookie": self.ada.headers["cookie"]}
        for origin, status in (
            ({"origin": "http://localhost"}, 200),
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({}, 403),
        ):
            answer = await self.ask(ApiClient(headers=plain | origin))
            self.assertEqual(answer.status, status)

    async def test_a_key_wins_over_a_cookie(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account)
        both = ApiClient(secret, headers={"cookie": self.ada.headers["cookie"]})
        first, second = await self.ask(both), await self.ask(both)

        self.assertNotEqual(first.json()["session_id"], second.json()["session_id"])

    async def test_a_page_talks_as_its_visitor_also_when_a_member_reads_it(self) -> None:
        member = await sync_to_async(make_member)(self.account, MemberRole.OWNER)
        session = await sync_to_async(log_in)(member.user)
        cookies = f"{self.ada.headers['cookie']}; {settings.SESSION_COOKIE_NAME}={session}"
        page = ApiClient(headers=self.ada.headers | {"cookie": cookies})
        as_member = await self.ask(page)
        page.headers["salient-caller"] = "visitor"
        first, second = await self.ask(page), await self.ask(page)

        self.assertEqual(second.json()["session_id"], first.json()["session_id"])
        self.assertNotEqual(as_member.json()["session_id"], first.json()["session_id"])

    async def test_a_cookie_ends_with_the_right_to_see_its_page(self) -> None:
        staff = await sync_to_async(make_user)(is_staff=True)
        let_in = self.visitor(let_in=staff.pk)
        self.assertEqual((await self.ask(let_in)).status, 200)
        with override_settings(DEMO=False):
            self.assertEqual((await self.ask(self.ada)).status, 401)
            self.assertEqual((await self.ask(let_in)).status, 200)
        await User.objects.filter(pk=staff.pk).aupdate(is_staff=False)
        clear_caches()
        self.assertEqual((await self.ask(let_in)).status, 401)

    async def test_a_visitor_does_not_list_agents(self) -> None:
        answer = await self.ada.get("/accounts/acme/agents/bot")

        self.assertEqual(answer.status, 403)

    async def test_the_key_of_a_session_is_stored_as_a_hash(self) -> None:
        await self.ask(self.ada)

        def keys() -> list[str]:

            return [row.session_key for row in rows_of(Session)]

        [stored] = await sync_to_async(keys)()
        token = self.ada.headers["cookie"].partition("=")[2].split(":")[0]
        self.assertEqual(len(stored), 64)
        self.assertNotIn(stored, self.ada.headers["cookie"])
        self.assertNotIn(token, stored)
