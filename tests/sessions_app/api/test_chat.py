from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import TestCase
from django.utils import timezone

import agents.config
from accounts.models import Account, ApiKey
from agents.models import ConfigVersion
from salient.ttl import clear_caches
from sessions_app.models import LLMRequest, Message, Session
from tests.support.api_client import ApiClient, Call
from tests.support.database.stored import change_row, row_of
from tests.support.factories import make_account, make_instance, make_key, write_config
from tests.support.fixtures import AgentFixtures, counts, key_client, stored


class ChatTests(AgentFixtures, TestCase):
    async def test_answers_with_usage_and_cost(self) -> None:
        answer = await self.api.post(self.path("chat"), {"message": "hello"})

        self.assertEqual(answer.status, 200)
        body = answer.json()
        self.assertIn("“hello”", body["response"])
        self.assertEqual((body["status"], body["model"]), ("complete", "scripted:echo"))
        self.assertEqual(body["usage"]["requests"], 1)
        self.assertGreater(body["usage"]["input_tokens"], 0)
        self.assertEqual(
            body["usage"]["total_tokens"],
            body["usage"]["input_tokens"] + body["usage"]["output_tokens"],
        )
        self.assertEqual((body["cost"]["total"], body["cost"]["source"]), ("0.00000000", "free"))

    async def test_stores_the_whole_turn_under_its_account_and_instance(self) -> None:
        body = await self.say("hello")

        messages, [request] = await sync_to_async(stored)()
        self.assertEqual(
            [(m.role, m.content) for m in messages],
            [("human", "hello"), ("assistant", body["response"])],
        )
        rows: list[Message | LLMRequest] = [*messages, request]
        for row in rows:
            self.assertEqual(row.account_id, self.account.pk)
            self.assertEqual(row.agent_instance_id, self.instance.pk)
            self.assertEqual(str(row.session_id), body["session_id"])
        self.assertEqual((request.account_slug, request.agent_instance_slug), ("acme", "bot"))
        self.assertEqual({m.llm_request_id for m in messages}, {request.pk})
        self.assertEqual({m.config_version_id for m in messages}, {request.config_version_id})
        self.assertEqual(str(messages[1].pk), body["message_id"])
        self.assertEqual(str(request.pk), body["llm_request_id"])
        self.assertEqual(request.completion_status, "complete")
        self.assertEqual(request.total_tokens, body["usage"]["total_tokens"])
        self.assertEqual((request.total_cost, request.cost_source), (Decimal(0), "free"))
        self.assertIsNotNone(request.settled_at)

    async def test_the_second_turn_remembers_the_first(self) -> None:
        first = await self.say("my name is Ada")
        second = await self.say("and now?", session_id=first["session_id"])

        self.assertEqual(second["session_id"], first["session_id"])
        self.assertIn("my name is Ada", second["response"])

    async def test_without_a_session_id_a_new_conversation_starts(self) -> None:
        first = await self.say("my name is Ada")
        second = await self.say("and now?")

        self.assertNotEqual(second["session_id"], first["session_id"])
        self.assertNotIn("Ada", second["response"])

    async def test_only_the_newest_messages_of_the_session_are_sent(self) -> None:
        self.configure("model: scripted:echo\nhistory_limit: 2\n")
        session = (await self.say("one"))["session_id"]
        await self.say("two", session_id=session)
        third = await self.say("three", session_id=session)

        self.assertIn("one earlier message of yours, the last one was: “two”", third["response"])

    async def test_a_use_of_the_instance_is_noted(self) -> None:
        await self.say("hello")

        listed = await self.api.get("/accounts/acme/agents")
        self.assertIsNotNone(listed.json()["instances"][0]["last_used_at"])


class StreamTests(AgentFixtures, TestCase):
    async def test_streams_the_answer_and_ends_in_done(self) -> None:
        answer = await self.api.post(self.path("stream"), {"message": "hello"})

        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "text/event-stream; charset=utf-8")
        events = answer.events()
        self.assertEqual({name for name, _ in events[:-1]}, {"message"})
        name, data = events[-1]
        done = json.loads(data)
        self.assertEqual((name, done["status"]), ("done", "complete"))
        text = "".join(data for _, data in events[:-1])
        messages, [request] = await sync_to_async(stored)()
        self.assertEqual(messages[1].content, text)
        self.assertEqual(done["usage"]["output_tokens"], request.completion_tokens)
        self.assertEqual(done["cost"]["source"], "free")
        version = await sync_to_async(row_of)(ConfigVersion, pk=request.config_version_id)
        self.assertEqual(done["config_version"], version.digest[:12])

    async def test_done_and_the_end_of_the_answer_go_out_together(self) -> None:
        call = Call(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')
        sent: list[Mapping[str, Any]] = []

        async def receive(message: Mapping[str, Any]) -> None:
            sent.append(message)

        with mock.patch.object(call, "_receive", receive):
            await call.run()

        self.assertIn(b"event: done\n", sent[-1]["body"])
        ends = [message for message in sent[1:] if not message.get("more_body", False)]
        self.assertEqual(ends, [sent[-1]])

    async def test_the_id_of_each_event_says_how_far_the_answer_has_come(self) -> None:
        answer = await self.api.post(self.path("stream"), {"message": "hello"})

        ids = [line[4:] for line in answer.body.decode().splitlines() if line.startswith("id: ")]
        texts = [data for name, data in answer.events() if name == "message"]
        ends = itertools.accumulate(len(text) for text in texts)
        self.assertEqual(ids, [*(f"{end}-0" for end in ends), "done"])

    async def test_lines_and_spaces_survive_the_stream(self) -> None:
        self.configure("model: scripted:say\n")
        text = "one\n\n  two\n"
        answer = await self.api.post(self.path("stream"), {"message": text})

        self.assertEqual("".join(d for n, d in answer.events() if n == "message"), text)

    async def test_get_is_for_eventsource_clients(self) -> None:
        answer = await self.api.get(self.path("stream"), message="hello")

        self.assertEqual(answer.events()[-1][0], "done")

    async def test_an_eventsource_that_connects_again_posts_nothing_and_is_stopped(self) -> None:
        """As an EventSource does after `error` and `done`, unless the page closes it."""
        self.configure("model: scripted:cut\nretries: 0\n")
        first = await self.api.get(self.path("stream"), message="hello")
        self.assertEqual([name for name, _ in first.events()][-2:], ["error", "done"])
        ids = [line[4:] for line in first.body.decode().splitlines() if line.startswith("id: ")]
        # An id is sent before any event, as the connection may be lost at once.
        self.assertEqual((ids[0], len(set(ids))), ("0-0", len(ids)))
        before = await sync_to_async(counts)()

        for last in (ids[0], ids[-1]):
            again = await self.api.call(
                "GET",
                self.path("stream"),
                query={"message": "hello"},
                headers={"Last-Event-ID": last},
            )
            self.assertEqual((again.status, again.body), (204, b""))
        self.assertEqual(await sync_to_async(counts)(), before)

    async def test_a_tool_is_announced_and_its_calls_are_summed(self) -> None:
        self.configure("model: scripted:tool\ntools: [current_time]\n")
        answer = await self.api.post(self.path("stream"), {"message": "what time is it?"})

        tools = [json.loads(data) for name, data in answer.events() if name == "tool"]
        self.assertEqual([t["status"] for t in tools], ["running", "done"])
        done = json.loads(answer.events()[-1][1])
        self.assertEqual(done["usage"]["requests"], 2)
        _, [request] = await sync_to_async(stored)()
        calls = (request.response_body or {})["calls"]
        self.assertEqual(sum(c["input_tokens"] for c in calls), request.prompt_tokens)

    async def test_a_failure_inside_the_stream_is_an_error_event_before_done(self) -> None:
        self.configure("model: scripted:cut\nretries: 0\n")
        answer = await self.api.post(self.path("stream"), {"message": "hello"})

        (error_name, error), (done_name, done) = answer.events()[-2:]
        self.assertEqual((error_name, done_name), ("error", "done"))
        self.assertEqual(json.loads(error)["code"], "provider_unavailable")
        self.assertEqual(json.loads(done)["status"], "partial")


class FailureTests(AgentFixtures, TestCase):
    async def test_a_model_that_fails_costs_the_caller_no_message(self) -> None:
        self.configure("model: scripted:fail\nretries: 0\n")
        answer = await self.api.post(self.path("chat"), {"message": "hello"})

        self.assertEqual((answer.status, answer.json()["code"]), (502, "provider_unavailable"))
        [message], [request] = await sync_to_async(stored)(answer.json()["session_id"])
        self.assertEqual((message.role, message.content), ("human", "hello"))
        self.assertEqual(
            (request.completion_status, request.error_code), ("error", "provider_unavailable")
        )

    async def test_what_came_before_the_cut_is_kept(self) -> None:
        self.configure("model: scripted:cut\nretries: 0\n")
        answer = await self.api.post(self.path("chat"), {"message": "hello"})

        self.assertEqual(answer.status, 502)
        [_, partial], [request] = await sync_to_async(stored)()
        self.assertTrue(partial.content.startswith("Hello!"))
        self.assertEqual(request.completion_status, "partial")
        self.assertGreater(request.completion_tokens or 0, 0)
        self.assertTrue(request.tokens_estimated)


BAD_BODIES: list[tuple[str, bytes, int, str]] = [
    ("blank", b'{"message": "  \\n "}', 400, "message"),
    ("empty", b'{"message": ""}', 400, "message"),
    ("no message", b"{}", 400, "message"),
    ("not text", b'{"message": 1}', 400, "message"),
    ("NUL", b'{"message": "a\\u0000b"}', 400, "message"),
    ("half a pair", b'{"message": "a\\ud800b"}', 400, ""),
    ("too long", b'{"message": "' + b"x" * 33_000 + b'"}', 400, "message"),
    ("unknown field", b'{"message": "x", "model": "openai:gpt-5"}', 400, "model"),
    ("no uuid", b'{"message": "x", "session_id": "abc"}', 400, "session_id"),
    ("no JSON", b"{message: x}", 400, ""),
    ("no object", b"[]", 400, ""),
    ("nothing", b"", 400, ""),
    ("deep", b'{"message": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, ""),
    ("not UTF-8", b'{"message": "\xff"}', 400, ""),
    ("3 MB", b'{"message": "' + b"x" * 3_000_000 + b'"}', 413, ""),
]


class BadInputTests(AgentFixtures, TestCase):
    async def test_a_wrong_body_is_refused_clearly_and_stores_nothing(self) -> None:
        for what in ("chat", "stream"):
            for name, raw, status, names in BAD_BODIES:
                with self.subTest(what=what, name=name):
                    answer = await self.api.post(self.path(what), raw)
                    problem = answer.json()
                    self.assertEqual(answer.status, status)
                    self.assertEqual(answer.headers["content-type"], "application/problem+json")
                    self.assertIn(names, problem["detail"])
                    self.assertLess(len(answer.body), 2_000)
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    async def test_a_wrong_method_says_which_is_right(self) -> None:
        answer = await self.api.get(self.path("chat"))

        self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST, OPTIONS"))
        self.assertEqual(answer.json()["code"], "method_not_allowed")

    async def test_a_form_post_is_refused(self) -> None:
        answer = await self.api.post(
            self.path("chat"),
            b"message=hello",
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        self.assertEqual(answer.status, 415)

    async def test_a_query_with_an_unknown_name_is_refused(self) -> None:
        answer = await self.api.get(self.path("stream"), message="x", model="y")

        self.assertEqual(answer.status, 400)
        self.assertIn("model", answer.json()["detail"])

    async def test_a_bad_slug_is_the_same_404(self) -> None:
        unknown = await self.api.post(self.path("chat", instance="nobody"), {"message": "x"})
        for slug in ("..", "%2e%2e", "Bot", "bot\n", "b" * 64, "bot ", str(self.instance.pk)):
            with self.subTest(slug=slug):
                answer = await self.api.post(self.path("chat", instance=slug), {"message": "x"})
                self.assertEqual((answer.status, answer.body), (404, unknown.body))
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))


class BrokenConfigTests(AgentFixtures, TestCase):
    async def test_the_last_good_version_serves_while_the_file_is_broken(self) -> None:
        before = await self.say("hello")
        self.configure("model: [broken\n")
        after = await self.say("hello")

        self.assertEqual(after["config_version"], before["config_version"])

    async def test_a_new_process_with_broken_files_serves_what_served_last(self) -> None:
        first = await self.say("hello")
        self.configure("model: scripted:say\n")
        agents.config.forget()
        await self.say("hello")
        self.configure("model: scripted:echo\n")
        agents.config.forget()
        again = await self.say("hello")
        self.configure("model: [broken\n")
        agents.config.forget()
        clear_caches()
        after = await self.say("hello")

        self.assertEqual(again["config_version"], first["config_version"])
        self.assertEqual(after["config_version"], first["config_version"])

    async def test_without_any_good_version_it_is_refused_clearly(self) -> None:
        for name, text, prompt in (
            ("broken YAML", "model: [broken\n", "Hi."),
            ("no prompt", SCRIPTED_WITHOUT_PROMPT, ""),
        ):
            with self.subTest(name):
                path = self.configure(text, prompt)
                if not prompt:
                    (path.parent / "system_prompt.md").unlink()
                answer = await self.api.post(self.path("chat"), {"message": "hello"})
                self.assertEqual(
                    (answer.status, answer.json()["code"]), (503, "agent_misconfigured")
                )
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))


SCRIPTED_WITHOUT_PROMPT = "model: scripted:echo\n"


class CallerTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = make_account("beta")
        make_instance(self.other, "bot")
        _, self.other_secret = make_key(self.other)

    async def ask(self, secret: str | None, account: str = "acme", instance: str = "bot") -> int:
        answer = await ApiClient(secret).post(
            self.path("chat", account, instance), {"message": "x"}
        )
        return answer.status

    async def test_only_the_accounts_own_key_may_call(self) -> None:
        wrong_end = self.secret[:-1] + ("a" if self.secret[-1] != "a" else "b")
        for name, secret, account, status in (
            ("own", self.secret, "acme", 200),
            ("none", None, "acme", 401),
            ("none, account unknown", None, "nobody", 401),
            ("another account's", self.other_secret, "acme", 404),
            ("account unknown", self.secret, "nobody", 404),
            ("mistyped", wrong_end, "acme", 401),
            ("nonsense", "sal_sk_x", "acme", 401),
            ("not ascii", "sal_sk_é", "acme", 401),
        ):
            with self.subTest(name):
                self.assertEqual(await self.ask(secret, account), status)

    async def test_unknown_foreign_and_inactive_are_one_answer(self) -> None:
        retired = await sync_to_async(make_instance)(self.account, "retired")
        await sync_to_async(change_row)(retired, status="inactive")
        for alike in (
            (("acme", "retired"), ("acme", "nobody")),
            (("beta", "bot"), ("no", "bot"), ("no", "retired")),
        ):
            bodies = {
                (await self.api.post(self.path("chat", *where), {"message": "x"})).body
                for where in alike
            }
            self.assertEqual(len(bodies), 1)

    async def test_a_suspended_account_is_refused_and_a_deleted_one_is_not_there(self) -> None:
        for status, answered in (("suspended", 403), ("deleted", 404)):
            await Account.objects.filter(pk=self.account.pk).aupdate(status=status)
            clear_caches()

            self.assertEqual(await self.ask(self.secret), answered)

    async def test_a_revoked_or_expired_key_is_refused(self) -> None:
        for fields in ({"revoked_at": timezone.now()}, {"expires_at": timezone.now()}):
            with self.subTest(fields=list(fields)):
                key, secret = await sync_to_async(make_key)(self.account)
                await sync_to_async(change_row)(key, **fields)
                self.assertEqual(await self.ask(secret), 401)

    async def test_a_key_does_what_its_scopes_say(self) -> None:
        reader = await sync_to_async(key_client)(self.account, scopes=["agents:read"])

        self.assertEqual((await reader.get("/accounts/acme/agents")).status, 200)
        refused = await reader.post(self.path("chat"), {"message": "x"})
        self.assertEqual((refused.status, refused.json()["code"]), (403, "forbidden"))

    async def test_a_key_elsewhere_than_in_the_header_is_no_key(self) -> None:
        for headers in ({"x-api-key": self.secret}, {"authorization": f"Basic {self.secret}"}):
            with self.subTest(headers=list(headers)):
                answer = await ApiClient(headers=headers).post(self.path("chat"), {"message": "x"})
                self.assertEqual(answer.status, 401)
                self.assertEqual(answer.headers["www-authenticate"], "Bearer")

    async def test_the_use_of_a_key_is_noted_once_a_minute(self) -> None:
        used = set()
        for _ in range(2):
            await self.ask(self.secret)
            used.add((await sync_to_async(row_of)(ApiKey, account=self.account)).last_used_at)
        [once] = used
        assert once is not None
        self.assertLess(timezone.now() - once, timedelta(minutes=1))

    async def test_answers_stay_out_of_caches(self) -> None:
        answer = await self.api.get("/accounts/acme/agents")

        self.assertEqual(answer.headers["cache-control"], "no-store, private")
        self.assertEqual(answer.headers["vary"], "Authorization, Cookie, Origin")

    async def test_a_session_of_another_account_or_instance_is_not_found(self) -> None:
        await sync_to_async(make_instance)(self.account, "second")
        own = (await self.say("hello"))["session_id"]
        self.configure_other("acme", "second")
        self.configure_other("beta", "bot")
        theirs = await ApiClient(self.other_secret).post(
            self.path("chat", "beta"), {"message": "x"}
        )
        before = await sync_to_async(counts)()
        for instance, session in (("bot", theirs.json()["session_id"]), ("second", own)):
            body = {"message": "x", "session_id": session}
            answer = await self.api.post(self.path("chat", instance=instance), body)
            self.assertEqual(answer.status, 404)
        self.assertEqual(await sync_to_async(counts)(), before)

    def configure_other(self, account: str, instance: str) -> None:
        write_config(settings.AGENT_CONFIG_DIR, account, instance, "model: scripted:echo\n")


class AgentTests(AgentFixtures, TestCase):
    async def test_lists_what_the_account_offers(self) -> None:
        answer = await self.api.get("/accounts/acme/agents")

        listed = answer.json()
        [row] = listed["instances"]
        moments = {row.pop("created_at"), row.pop("updated_at")}
        self.assertTrue(all(moment.endswith("Z") for moment in moments))
        agent = {
            "id": str(self.instance.pk),
            "instance_slug": "bot",
            "agent_type": "simple_chat",
            "display_name": "Bot",
            "status": "active",
            "last_used_at": None,
        }
        self.assertEqual(row, agent)
        [again] = listed["data"]
        self.assertEqual(row, {name: again[name] for name in agent})
        self.assertEqual(
            (listed["account"], listed["has_more"], listed["next_cursor"]), ("acme", False, None)
        )

    async def test_describes_one_without_its_prompt(self) -> None:
        self.configure("model: scripted:echo\nopening_message: Hi!\n", prompt="Secret words.")
        for what in ("/accounts/acme/agents/bot", "/accounts/acme/agents/bot/metadata"):
            answer = await self.api.get(what)
            self.assertEqual(answer.json()["opening_message"], "Hi!")
            self.assertEqual(answer.json()["model"], "scripted:echo")
            self.assertNotIn(b"Secret words", answer.body)


class SessionIsolationTests(AgentFixtures, TestCase):
    async def test_a_session_belongs_to_account_and_instance_by_the_database(self) -> None:
        body = await self.say("hello")

        session = await sync_to_async(row_of)(Session, pk=body["session_id"])
        self.assertEqual(
            (session.account_slug, session.agent_instance_slug, session.is_anonymous),
            ("acme", "bot", True),
        )
