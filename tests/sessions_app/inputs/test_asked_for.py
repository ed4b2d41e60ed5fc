"""What a caller may ask of a turn besides its message, and what of it is kept."""

from __future__ import annotations

import base64
import time
from copy import replace
from typing import Any
from unittest import mock
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from accounts.auth.caller import Caller
from accounts.limits.quotas import RateLimited, set_limits
from accounts.tenancy.context import tenant_context
from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.providers.base import (
    Attachment,
    ChatMessage,
    OutputFormat,
    ToolChoice,
    ToolSpec,
)
from salient.api.problems import Invalid, NotFound, Problem
from salient.security import ssrf
from sessions_app.inputs import attachments, exchanges
from sessions_app.inputs.turn_input import Sampling, TurnInput
from sessions_app.models import Message, Session
from sessions_app.turns import idempotency
from sessions_app.turns import turn as turns
from sessions_app.turns.problems import (
    ClientToolsRefused,
    ContentRefused,
    InstructionsRefused,
    UnknownCall,
)
from tests.support.database.stored import row_of
from tests.support.fixtures import MockModelFixtures, counts, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 20).decode()
WEATHER = ToolSpec("get_weather", "", {"type": "object", "properties": {}}, is_client=True)
ASKED = TurnInput(message="get_weather please", client_tools=(WEATHER,))
MOCK = "model: mock:test-model\nretries: 0\n"


class TurnFixtures(MockModelFixtures):
    def setUp(self) -> None:
        super().setUp()
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")

    async def turn(self, asked: TurnInput, caller: Caller | None = None) -> turns.Turn:
        who = caller or self.caller
        begun = await turns.begin_new(who, self.instance, asked, stream=True)
        await turns.finish(begun)
        return begun

    async def refused(self, asked: TurnInput, kind: type[Problem]) -> Problem:
        with self.assertRaises(kind) as refused:
            await self.turn(asked)
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))
        return refused.exception


class OfferTests(TurnFixtures):
    async def test_instructions_are_refused_until_the_agent_takes_them(self) -> None:
        asked = TurnInput(message="Hi", instructions="Speak French.")
        await self.refused(asked, InstructionsRefused)

        self.configure(MOCK + "callers: {instructions: true}\n")
        async with MockOpenAI() as server:
            await self.turn(asked)
        prompt = server.requests[0].body["messages"][0]["content"]
        self.assertEqual(prompt, "Be brief.\n\nSpeak French.")

    async def test_what_callers_add_is_measured_and_not_stored(self) -> None:
        self.configure("model: scripted:echo\ncallers: {instructions: true}\n")
        await self.turn(replace(ASKED, instructions="Speak secret French."))

        [request] = (await sync_to_async(stored)())[1]
        body = str(request.request_body)
        self.assertIn("'source': 'caller'", body)
        self.assertIn("tool: get_weather", body)
        self.assertNotIn("secret", body)

    async def test_tools_and_images_can_be_refused(self) -> None:
        self.configure("model: scripted:echo\ncallers: {tools: false, attachments: false}\n")
        await self.refused(ASKED, ClientToolsRefused)
        await self.refused(TurnInput(message="Hi", attachments=(image(),)), ContentRefused)
        before = (ChatMessage("user", "Look", (image(),)), ChatMessage("assistant", "Hi"))
        await self.refused(TurnInput(message="Hi", conversation=before), ContentRefused)

    async def test_a_tool_of_the_agents_own_name_is_refused(self) -> None:
        self.configure("model: scripted:echo\ntools: [current_time]\n")
        own = replace(WEATHER, name="current_time")
        await self.refused(replace(ASKED, client_tools=(own,)), ClientToolsRefused)

    async def test_the_agent_bounds_how_words_are_chosen(self) -> None:
        wanted = Sampling(temperature=1.9, top_p=0.3, stop=("x",), seed=1, max_tokens=50)
        asked = TurnInput(message="Hi", sampling=wanted)
        for config, temperature, top_p, tokens in (
            ("", 1.9, 0.3, 50),
            ("max_tokens: 20\ncallers: {max_temperature: 1.0}\n", 1.0, 0.3, 20),
            ("temperature: 0.2\ncallers: {sampling: false}\n", 0.2, None, 50),
        ):
            self.configure(MOCK + config)
            async with MockOpenAI() as server:
                await self.turn(asked)
            body = server.requests[0].body
            with self.subTest(config):
                self.assertEqual(body["temperature"], temperature)
                self.assertEqual(body.get("top_p"), top_p)
                self.assertEqual(body["max_tokens"], tokens)

    async def test_texts_are_as_long_as_the_account_allows(self) -> None:
        await sync_to_async(set_limits)(self.account, message_bytes=10)
        self.configure("model: scripted:echo\ncallers: {instructions: true}\n")
        long = "x" * 11
        before = (ChatMessage("user", long), ChatMessage("assistant", "Hi"))
        await self.refused(TurnInput(message="Hi", instructions=long), Invalid)
        await self.refused(TurnInput(message="Hi", conversation=before), Invalid)

    async def test_a_broken_schema_is_refused_before_anything_is_stored(self) -> None:
        wanted = OutputFormat({"type": "strin"})
        await self.refused(TurnInput(message="Hi", output_format=wanted), Invalid)


class ConversationTests(TurnFixtures):
    config = MOCK

    async def test_the_callers_conversation_takes_the_place_of_the_stored_one(self) -> None:
        before = (ChatMessage("user", "I am Ada"), ChatMessage("assistant", "Hello Ada"))
        async with MockOpenAI() as server:
            first = await self.turn(TurnInput(message="stored"))
            await self.turn(
                TurnInput(message="Who?", conversation=before, session_id=first.session_id)
            )
        said = [message["content"] for message in server.requests[1].body["messages"][1:]]
        self.assertEqual(said, ["I am Ada", "Hello Ada", "Who?"])

    async def test_the_newest_messages_are_sent_as_of_every_history(self) -> None:
        await sync_to_async(set_limits)(self.account, history_messages=2)
        before = [ChatMessage("user", "1"), ChatMessage("assistant", "2")]
        before += [ChatMessage("user", "3"), ChatMessage("assistant", "4")]
        async with MockOpenAI() as server:
            await self.turn(TurnInput(message="5", conversation=tuple(before)))
        said = [message["content"] for message in server.requests[0].body["messages"][1:]]
        self.assertEqual(said, ["3", "4", "5"])

    async def test_what_the_caller_sends_is_reserved(self) -> None:
        costs = []
        for before in ((), (ChatMessage("user", "x" * 20_000), ChatMessage("assistant", "Hi"))):
            asked = TurnInput(message="Hi", conversation=before)
            begun = await turns.begin_new(self.caller, self.instance, asked, stream=True)
            costs.append(begun.reservation.reserved)
            await turns.leave(begun)
        self.assertGreater(costs[1], costs[0])

    async def test_of_a_turn_that_is_not_stored_only_figures_are_kept(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("a secret answer"))
            turn = await self.turn(TurnInput(message="a secret", store=False))

        self.assertEqual(turn.run.text, "a secret answer")
        self.assertIsNone(turn.outcome().message_id)
        messages, [request] = await sync_to_async(stored)()
        self.assertEqual(messages, [])
        self.assertNotIn("secret", f"{request.request_body}{request.response_body}")
        self.assertEqual((request.completion_status, request.prompt_tokens), ("complete", 10))
        with self.assertRaises(NotFound):
            await self.turn(TurnInput(message="more", session_id=turn.session_id))

    async def test_a_visitor_keeps_their_conversation_beside_a_turn_that_is_not_stored(
        self,
    ) -> None:
        visitor = replace(self.caller, session_key="k" * 64)
        async with MockOpenAI() as server:
            first = await self.turn(TurnInput(message="one"), visitor)
            other = await self.turn(TurnInput(message="two", store=False), visitor)
            third = await self.turn(TurnInput(message="three"), visitor)
        self.assertEqual(first.session_id, third.session_id)
        self.assertNotEqual(first.session_id, other.session_id)
        said = [message["content"] for message in server.requests[2].body["messages"][1:]]
        self.assertEqual(said, ["one", "Hello from the mock.", "three"])

    async def test_a_new_session_is_the_end_users_whom_the_key_names(self) -> None:
        async with MockOpenAI():
            turn = await self.turn(TurnInput(message="one", end_user="u-1"))
        self.assertEqual(await self.end_user(turn.session_id), "u-1")

    @sync_to_async
    def end_user(self, session_id: UUID) -> str | None:
        return row_of(Session, pk=session_id).end_user


class ClientToolTests(TurnFixtures):
    """A turn ends with calls, and another one brings the results."""

    config = MOCK + "tools: [current_time]\n"

    def mixed(self) -> Reply:
        return Reply("I look.", tool_calls=[("current_time", "{}"), ("get_weather", "{}")])

    async def begun(self, server: MockOpenAI, **more: Any) -> turns.Turn:
        server.replies.append(self.mixed())
        return await self.turn(replace(ASKED, **more))

    def results(self, turn: turns.Turn, text: str = "Rain.") -> tuple[ToolResult, ...]:
        return tuple(ToolResult(call.id, call.name, text) for call in turn.run.client_calls)

    def roles(self, server: MockOpenAI) -> list[str]:
        return [message["role"] for message in server.requests[-1].body["messages"]]

    async def test_it_is_complete_and_says_that_it_waits(self) -> None:
        async with MockOpenAI() as server:
            turn = await self.begun(server)

        self.assertEqual(turn.outcome().finish_reason, "tool_calls")
        [_, answer], [request] = await sync_to_async(stored)()
        self.assertEqual((request.completion_status, answer.content), ("complete", "I look."))
        [call] = idempotency.client_calls_of(request)
        self.assertEqual(call.id, f"call_{request.pk.hex}01")
        self.assertEqual(len(call.id), 39)

    async def test_a_stored_session_goes_on_with_the_results(self) -> None:
        async with MockOpenAI() as server:
            first = await self.begun(server)
            asked = replace(ASKED, message="", session_id=first.session_id)
            second = await self.turn(replace(asked, results=self.results(first)))
            self.assertEqual(self.roles(server), ["system", "user", "assistant", "tool", "tool"])
            own, theirs = server.requests[-1].body["messages"][-2:]
            await self.turn(TurnInput(message="Thanks", session_id=first.session_id))

        self.assertIn("T", own["content"])
        self.assertEqual((theirs["content"], theirs["tool_call_id"]), ("Rain.", "call00002"))
        self.assertEqual(second.run.text, "Hello from the mock.")
        self.assertEqual(
            self.roles(server), ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
        )
        messages, _ = await sync_to_async(stored)()
        self.assertEqual(
            [(m.role, m.content) for m in messages[1:4]],
            [("assistant", "I look."), ("tool", "Rain."), ("assistant", "Hello from the mock.")],
        )

    async def test_calls_may_follow_calls(self) -> None:
        async with MockOpenAI() as server:
            first = await self.begun(server)
            asked = replace(ASKED, message="", session_id=first.session_id)
            server.replies.append(self.mixed())
            second = await self.turn(replace(asked, results=self.results(first, "one")))
            await self.turn(replace(asked, results=self.results(second, "two")))

        told = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "tool"]
        self.assertEqual((told[1], told[3]), ("one", "two"))
        ids = [m.get("tool_call_id") for m in server.requests[-1].body["messages"][-2:]]
        self.assertEqual(ids, ["call00003", "call00004"])

    async def test_a_callers_conversation_gets_our_part_of_the_round(self) -> None:
        async with MockOpenAI() as server:
            first = await self.begun(server)
            known = ChatMessage("assistant", "I look.", calls=first.run.client_calls)
            asked = replace(
                ASKED,
                message="",
                conversation=(ChatMessage("user", "get_weather please"), known),
                results=self.results(first),
            )
            second = await self.turn(asked)

        asked_for = server.requests[-1].body["messages"][2]["tool_calls"]
        self.assertEqual(
            [call["function"]["name"] for call in asked_for], ["current_time", "get_weather"]
        )
        self.assertEqual(self.roles(server)[-2:], ["tool", "tool"])
        self.assertEqual(second.session_id, first.session_id)

    async def test_calls_in_several_messages_are_one_round(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("I look.", tool_calls=[("get_weather", "{}")] * 2))
            first = await self.turn(ASKED)
            one, two = first.run.client_calls
            conversation = (
                ChatMessage("user", "get_weather please"),
                ChatMessage("assistant", "I look.", calls=(one,)),
                ChatMessage("assistant", "", calls=(two,)),
            )
            asked = replace(ASKED, message="", conversation=conversation)
            await self.turn(replace(asked, results=self.results(first)))

        self.assertEqual(self.roles(server), ["system", "user", "assistant", "tool", "tool"])
        answer = server.requests[-1].body["messages"][2]
        self.assertEqual((answer["content"], len(answer["tool_calls"])), ("I look.", 2))

    async def test_calls_of_another_server_are_the_callers_own(self) -> None:
        call = ToolCall("call_abc", "get_weather", "{}")
        before = (ChatMessage("user", "?"), ChatMessage("assistant", "", calls=(call,)))
        asked = replace(ASKED, message="", conversation=before)
        async with MockOpenAI() as server:
            await self.turn(replace(asked, results=(ToolResult("call_abc", "", "Sun."),)))
        self.assertEqual(server.requests[0].body["messages"][-1]["content"], "Sun.")

    async def test_unknown_calls_and_those_of_others_are_refused(self) -> None:
        async with MockOpenAI() as server:
            first = await self.begun(server)
            other = await self.begun(server)
            [theirs] = self.results(other)
            asked = replace(ASKED, message="", session_id=first.session_id)
            foreign = replace(self.caller, end_user="somebody")
            for result in (
                theirs,
                replace(theirs, id="call_1"),
                replace(theirs, id=theirs.id + "9"),
            ):
                with self.subTest(result.id), self.assertRaises(UnknownCall):
                    await self.turn(replace(asked, results=(result,)))
            with self.assertRaises(UnknownCall):
                await self.turn(replace(asked, results=self.results(first)), foreign)
        self.assertEqual(len(server.requests), 2)

    async def test_results_that_never_come_do_not_stop_the_conversation(self) -> None:
        async with MockOpenAI() as server:
            first = await self.begun(server)
            await self.turn(TurnInput(message="Never mind", session_id=first.session_id))
        told = server.requests[-1].body["messages"][-2]
        self.assertEqual((told["role"], told["content"][:10]), ("tool", "The result"))

    async def test_a_turn_that_is_not_stored_keeps_no_arguments(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("", tool_calls=[("get_weather", '{"city": "Secret"}')]))
            turn = await self.turn(replace(ASKED, store=False))
        self.assertEqual(len(turn.run.client_calls), 1)
        messages, [request] = await sync_to_async(stored)()
        self.assertEqual(messages, [])
        self.assertNotIn("Secret", str(request.response_body))

    async def test_the_history_of_visitors_shows_no_empty_answers(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("", tool_calls=[("get_weather", "{}")]))
            turn = await self.turn(ASKED)
        found = await self.api.get(self.path("history"), session_id=str(turn.session_id))
        self.assertEqual([m["role"] for m in found.json()["messages"]], ["user"])

    async def test_what_another_program_left_in_meta_is_passed_over(self) -> None:
        async with MockOpenAI() as server:
            first = await self.turn(TurnInput(message="one"))
            await self.spoil(first.session_id)
            await self.turn(TurnInput(message="two", session_id=first.session_id))
        said = [message["content"] for message in server.requests[-1].body["messages"][1:]]
        self.assertEqual(said, ["one", "Hello from the mock.", "two"])

    @sync_to_async
    def spoil(self, session_id: UUID) -> None:
        with tenant_context(self.account.pk):
            Message.objects.filter(session_id=session_id).update(meta={"tools": ["x"], "a": 1})


class ScriptedTests(TurnFixtures):
    """Keys in test mode play client tools and formats without a model."""

    async def test_a_call_its_result_and_json(self) -> None:
        wanted = OutputFormat({"type": "object", "properties": {"n": {"type": "integer"}}})
        first = await self.turn(replace(ASKED, message='get_weather {"city": "Paris"}'))
        [call] = first.run.client_calls
        told = (ToolResult(call.id, call.name, "Rain."),)
        second = await self.turn(
            replace(ASKED, message="", results=told, session_id=first.session_id)
        )
        third = await self.turn(TurnInput(message="Hi", output_format=wanted))
        forced = await self.turn(replace(ASKED, message="Hi", tool_choice=ToolChoice("required")))

        self.assertEqual(call.arguments, '{"city": "Paris"}')
        self.assertEqual(second.run.text, "The tool says: Rain.")
        self.assertEqual(third.run.text, '{"n": 1}')
        self.assertEqual(len(forced.run.client_calls), 1)

    async def test_without_being_named_a_tool_is_not_called(self) -> None:
        turn = await self.turn(replace(ASKED, message="Hello"))
        self.assertEqual(turn.run.client_calls, ())

    async def test_results_reach_the_model_with_what_they_are_of_however_short_the_history(
        self,
    ) -> None:
        for limit in (0, 1, 2):
            self.configure(f"{MOCK}history_limit: {limit}\n")
            async with MockOpenAI() as server:
                called = Reply("", tool_calls=[("get_weather", "{}")])
                server.replies.extend([called, called, Reply("Rain.")])
                turn = await self.turn(ASKED)
                for _ in range(2):
                    result = ToolResult(turn.run.client_calls[0].id, "get_weather", "Rain.")
                    turn = await self.turn(replace(ASKED, message="", results=(result,)))
            sent = [message["role"] for message in server.requests[2].body["messages"]]
            self.assertEqual(
                sent, ["system", "user", "assistant", "tool", "assistant", "tool"], limit
            )


def image(**fields: str) -> Attachment:
    return Attachment(**({"data": f"data:image/png;base64,{PNG}"} | fields))


class AttachmentTests(TurnFixtures):
    config = MOCK

    async def test_an_image_reaches_the_model_and_is_not_stored(self) -> None:
        async with MockOpenAI() as server:
            await self.turn(TurnInput(message="Look", attachments=(image(detail="low"),)))

        [_, seen] = server.requests[0].body["messages"][1]["content"]
        self.assertEqual(seen["image_url"]["url"], f"data:image/png;base64,{PNG}")
        [message, _], _ = await sync_to_async(stored)()
        self.assertEqual(message.content, "Look\n[image/png]")

    async def test_what_is_no_image_is_refused_whatever_it_says(self) -> None:
        for data in ("data:image/png;base64,QUJD", "data:image/png,abc", "%%%", ""):
            with self.subTest(data):
                await self.refused(
                    TurnInput(message="?", attachments=(image(data=data),)), ContentRefused
                )

    async def test_a_long_beginning_is_refused_at_once(self) -> None:
        for data in ("data:" + "a" * 1_000_000, "data:" + "a;" * 500_000):
            began = time.monotonic()
            with self.assertRaises(ContentRefused):
                await attachments.loaded(TurnInput(message="?", attachments=(image(data=data),)))
            self.assertLess(time.monotonic() - began, 2)

    async def test_size_and_number_are_bounded(self) -> None:
        large = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * attachments.LARGEST).decode()
        many = tuple(image(name=str(number)) for number in range(attachments.MOST + 1))
        for each in ((image(data=large),), many):
            await self.refused(TurnInput(message="?", attachments=each), ContentRefused)

    async def test_a_url_is_fetched_here_and_only_from_public_hosts(self) -> None:
        for url in ("http://example.com/a.png", "https://127.0.0.1/a.png", "https://[::1]/a.png"):
            with self.subTest(url):
                await self.refused(
                    TurnInput(message="?", attachments=(image(data="", url=url),)), ContentRefused
                )
        fetched = ssrf.Fetched(200, {}, base64.b64decode(PNG), ssrf.check_url("https://a.example/"))
        asked = TurnInput(message="?", attachments=(image(data="", url="https://a.example/a.png"),))
        with mock.patch.object(attachments, "safe_fetch", mock.AsyncMock(return_value=fetched)):
            async with MockOpenAI() as server:
                await self.turn(asked)
        [_, seen] = server.requests[0].body["messages"][1]["content"]
        self.assertEqual(seen["image_url"]["url"], f"data:image/png;base64,{PNG}")

    async def test_hosts_that_the_operator_trusts_are_not_for_callers(self) -> None:
        asked = TurnInput(message="?", attachments=(image(data="", url="http://10.0.0.5:8000/a"),))
        with self.settings(OUTBOUND_TRUSTED_HOSTS=["10.0.0.5:8000"]):
            refusal = await self.refused(asked, ContentRefused)
        self.assertIn("must begin with https", str(refusal))

    async def test_what_cannot_be_fetched_counts_as_a_call(self) -> None:
        limits = {"requests_per_minute": 2}
        await sync_to_async(set_limits)(self.account, **limits)
        asked = TurnInput(message="?", attachments=(image(data="", url="https://a.example/a"),))
        with mock.patch.object(attachments, "safe_fetch", side_effect=OSError) as fetch:
            for kind in (ContentRefused, ContentRefused, RateLimited, RateLimited):
                await self.refused(asked, kind)
        self.assertEqual(fetch.call_count, 2)


class DigestTests(TurnFixtures):
    def key(self, asked: TurnInput) -> Any:
        request = HttpRequest()
        request.META["HTTP_IDEMPOTENCY_KEY"] = "k"
        return idempotency.key_of(request, self.instance, asked)

    def test_every_part_of_the_input_counts(self) -> None:
        plain = TurnInput(message="Hi")
        changed: dict[str, Any] = {
            "message": "Ho",
            "session_id": UUID(int=1),
            "session_key": "0" * 64,
            "conversation": (),
            "attachments": (image(),),
            "results": (ToolResult("a", "b", "c"),),
            "instructions": "x",
            "client_tools": (WEATHER,),
            "tool_choice": ToolChoice("required"),
            "parallel_tool_calls": False,
            "output_format": OutputFormat(),
            "sampling": Sampling(seed=1),
            "metadata": {"a": "b"},
            "end_user": "u",
            "keeps_conversation": True,
            "is_branch": True,
            "kept": {"a": "b"},
        }
        self.assertEqual({*changed, "store"}, set(TurnInput.__struct_fields__))
        digests = {
            self.key(replace(plain, **{name: value})).digest for name, value in changed.items()
        }
        self.assertEqual(len(digests | {self.key(plain).digest}), len(changed) + 1)

    def test_what_is_not_stored_has_no_replay(self) -> None:
        with self.assertRaises(Invalid):
            self.key(TurnInput(message="Hi", store=False))


class FailureTests(TurnFixtures):
    config = MOCK

    async def test_a_wrong_answer_is_asked_for_again_and_both_calls_are_paid(self) -> None:
        wanted = OutputFormat({"type": "object", "required": ["a"]})
        async with MockOpenAI() as server:
            server.replies += [Reply("no"), Reply("neither")]
            with self.assertRaises(Problem) as failed:
                await self.turn(TurnInput(message="Hi", output_format=wanted))
        self.assertEqual((failed.exception.code, failed.exception.status), ("output_invalid", 502))
        [request] = (await sync_to_async(stored)())[1]
        self.assertEqual((request.requests, request.prompt_tokens), (2, 20))
        self.assertEqual(request.error_code, "output_invalid")

    async def test_the_exchange_module_knows_its_own_ids_only(self) -> None:
        known = exchanges.call_prefix(UUID(int=5)) + "00"
        self.assertEqual(exchanges.request_id_of(known), UUID(int=5))
        for text in ("", "call_", "call_abc00", known[:-2], known + "x", "x" + known[1:]):
            self.assertIsNone(exchanges.request_id_of(text), text)
