"""Tools that the caller runs: their calls end the run, the agent's own tools run here."""

from typing import Any

from django.test import SimpleTestCase

from agents.runtime.conversation import NO_RESULT, normalised
from agents.runtime.errors import ToolRoundsExceeded, UnsupportedContent, UnsupportedTools
from agents.runtime.events import TextDelta, ToolCall
from agents.runtime.providers.base import Attachment, ChatMessage, Finished, ToolChoice, ToolSpec
from agents.runtime.run import Run, RunRequest
from tests.agents.runtime.fakes import FakeProvider, providers
from tests.agents.runtime.runs import events_of, run
from tests.support.servers.mock_openai import MockOpenAI, Reply

WEATHER = ToolSpec(
    "get_weather",
    "Tells the weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    is_client=True,
)
LONG_ID = "call_" + "f" * 35
PARIS = '{"city": "Paris"}'
THEIRS = [ToolCall("x1", "get_weather", PARIS), Finished("tool_calls")]
OURS = [ToolCall("y1", "current_time", "{}"), Finished("tool_calls")]


class ClientToolTests(SimpleTestCase):
    async def finished(self, *calls: Any, **more: Any) -> tuple[Run, FakeProvider]:
        fake = FakeProvider(*calls)
        with providers({"a": fake}):
            subject = run("a:m", client_tools=(WEATHER,), call_prefix="call_7_", **more)
            self.events = await events_of(subject)
        return subject, fake

    async def test_a_call_of_a_client_tool_ends_the_run(self) -> None:
        subject, fake = await self.finished([TextDelta("I look."), *THEIRS])

        self.assertEqual(len(fake.requests), 1)
        self.assertEqual(subject.text, "I look.")
        [call] = subject.client_calls
        self.assertEqual((call.id, call.name, call.arguments), ("call_7_00", "get_weather", PARIS))
        self.assertIn(call, self.events)
        self.assertTrue(call.is_client)

    async def test_in_a_mixed_round_ours_run_and_theirs_end_the_run(self) -> None:
        subject, fake = await self.finished(
            [*OURS[:1], *THEIRS], tools=("current_time",), max_tool_rounds=0
        )

        self.assertEqual(len(fake.requests), 1)
        [each] = subject.rounds
        self.assertEqual([call.name for call in each.calls], ["current_time", "get_weather"])
        self.assertEqual([result.name for result in each.results], ["current_time"])
        self.assertEqual([call.name for call in subject.client_calls], ["get_weather"])

    async def test_own_tools_go_on_and_are_bounded_as_ever(self) -> None:
        subject, fake = await self.finished(OURS, THEIRS, tools=("current_time",))
        self.assertEqual((len(fake.requests), len(subject.rounds)), (2, 2))

        with self.assertRaises(ToolRoundsExceeded):
            await self.finished(OURS, tools=("current_time",), max_tool_rounds=0)

    async def test_a_call_with_unreadable_arguments_is_the_models_to_mend(self) -> None:
        broken = [ToolCall("x1", "get_weather", '{"city":'), Finished("tool_calls")]
        subject, fake = await self.finished(broken, THEIRS)

        [first, _] = subject.rounds
        self.assertTrue(first.results[0].is_error)
        self.assertEqual([call.arguments for call in subject.client_calls], [PARIS])
        self.assertEqual(len(fake.requests), 2)

    async def test_a_model_without_tools_refuses_them(self) -> None:
        fake = FakeProvider()
        fake.supports_tools = False
        with providers({"a": fake}), self.assertRaises(UnsupportedTools):
            await events_of(run("a:m", client_tools=(WEATHER,)))
        self.assertEqual(fake.requests, [])

    async def test_a_model_that_reads_text_only_refuses_images(self) -> None:
        fake = FakeProvider()
        fake.supports_attachments = False
        image = Attachment(media_type="image/png", data="AA==")
        seen = ChatMessage("user", "What is it?", (image,))
        with providers({"a": fake}), self.assertRaises(UnsupportedContent):
            await events_of(Run(RunRequest(("a:m",), "", (seen,))))
        self.assertEqual(fake.requests, [])


class WireTests(SimpleTestCase):
    async def body(self, *replies: Reply, messages: Any = None, **more: Any) -> dict[str, Any]:
        async with MockOpenAI() as server:
            server.replies.extend(replies)
            said = messages or (ChatMessage("user", "Hi"),)
            subject = Run(RunRequest((server.model,), "Be brief.", said, retries=0, **more))
            await events_of(subject)
        return server.requests[-1].body

    async def test_what_the_caller_asks_for_is_sent(self) -> None:
        body = await self.body(
            Reply(text="", tool_calls=[("get_weather", PARIS)]),
            client_tools=(WEATHER,),
            tool_choice=ToolChoice("required", "get_weather"),
            parallel_tool_calls=False,
            instructions="Speak French.",
            top_p=0.5,
            stop=("END",),
            seed=7,
        )

        self.assertEqual(body["tools"][0]["function"]["name"], "get_weather")
        choice = {"type": "function", "function": {"name": "get_weather"}}
        self.assertEqual(body["tool_choice"], choice)
        self.assertIs(body["parallel_tool_calls"], False)
        self.assertEqual((body["top_p"], body["stop"], body["seed"]), (0.5, ["END"], 7))
        self.assertEqual(body["messages"][0]["content"], "Be brief.\n\nSpeak French.")

    async def test_an_ordinary_request_has_none_of_it(self) -> None:
        self.assertEqual(set(await self.body()), {"model", "messages", "stream", "stream_options"})

    async def test_calls_and_results_of_the_conversation_get_short_ids(self) -> None:
        messages = (
            ChatMessage("user", "Weather?"),
            ChatMessage("assistant", "", calls=(ToolCall(LONG_ID, "get_weather", PARIS),)),
            ChatMessage("tool", "Rain.", call_id=LONG_ID),
        )
        body = await self.body(messages=messages)

        _, _, asked, told = body["messages"]
        self.assertEqual((asked["content"], asked["tool_calls"][0]["id"]), (None, "call00001"))
        self.assertEqual(told, {"role": "tool", "tool_call_id": "call00001", "content": "Rain."})

    async def test_an_image_is_a_part_of_its_message(self) -> None:
        image = Attachment(media_type="image/png", data="AAAA", detail="low")
        file = Attachment(media_type="application/pdf", data="BBBB", name="a.pdf")
        body = await self.body(messages=(ChatMessage("user", "Look", (image, file)),))

        text, seen, read = body["messages"][1]["content"]
        self.assertEqual(text, {"type": "text", "text": "Look"})
        self.assertEqual(seen["image_url"], {"url": "data:image/png;base64,AAAA", "detail": "low"})
        self.assertEqual(
            read["file"], {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}
        )

    async def test_a_server_that_reads_no_images_says_so_in_its_own_words(self) -> None:
        image = Attachment(media_type="image/png", data="AAAA")
        for status, said in (
            (400, "unknown variant `image_url`, expected `text`"),
            (404, "No endpoints found that support image input"),
            (500, "image input is not supported - hint: you may need to provide the mmproj"),
        ):
            refused = Reply(status=status, body=f'{{"error": {{"message": "{said}"}}}}'.encode())
            with self.subTest(said), self.assertRaises(UnsupportedContent):
                await self.body(refused, messages=(ChatMessage("user", "Look", (image,)),))


class ConversationTests(SimpleTestCase):
    def test_each_call_has_its_one_result(self) -> None:
        calls = (ToolCall("a", "get_weather", "{}"), ToolCall("b", "get_weather", "{}"))
        sent = normalised(
            [
                ChatMessage("tool", "nobody asked", call_id="z"),
                ChatMessage("user", "Hi"),
                ChatMessage("assistant", "I look."),
                ChatMessage("assistant", "", calls=calls),
                ChatMessage("tool", "B", call_id="b"),
                ChatMessage("tool", "again", call_id="b"),
                ChatMessage("user", "And?"),
            ]
        )

        self.assertEqual([m.role for m in sent], ["user", "assistant", "tool", "tool", "user"])
        self.assertEqual(sent[1].content, "I look.")
        self.assertEqual([m.content for m in sent[2:4]], [NO_RESULT, "B"])
        self.assertEqual([m.call_id for m in sent[2:4]], ["call00001", "call00002"])

    def test_a_conversation_may_end_with_results_and_not_with_an_answer(self) -> None:
        call = ToolCall("a", "get_weather", "{}")
        ended = normalised(
            [
                ChatMessage("user", "Hi"),
                ChatMessage("assistant", "", calls=(call,)),
                ChatMessage("tool", "Rain.", call_id="a"),
            ]
        )
        self.assertEqual(ended[-1].role, "tool")
        said = [ChatMessage("user", "Hi"), ChatMessage("assistant", "Hello")]
        self.assertEqual(normalised(said), tuple(said[:1]))

    def test_a_message_that_is_nothing_but_an_image_is_sent(self) -> None:
        image = Attachment(media_type="image/png", data="AAAA")
        sent = normalised([ChatMessage("user", "One"), ChatMessage("user", "", (image,))])

        self.assertEqual((sent[0].content, sent[0].attachments), ("One", (image,)))
