"""What callers add to a turn, as Pydantic AI is told of it."""

from typing import Any

import msgspec
from django.test import SimpleTestCase
from pydantic_ai import messages as parts

from agents.runtime.events import ToolCall
from agents.runtime.providers.base import (
    Attachment,
    ChatMessage,
    ModelRequest,
    OutputFormat,
    ToolChoice,
    ToolSpec,
)
from agents.runtime.providers.native import messages, pydantic_ai

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = ToolSpec("get_weather", "", SCHEMA, strict=True, is_client=True)


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


class NativeInputTests(SimpleTestCase):
    def request(self, *messages: ChatMessage, **more: Any) -> ModelRequest:
        return ModelRequest("m", "Be brief.", messages, **more)

    def test_calls_and_results_of_the_conversation(self) -> None:
        call = ToolCall("call00001", "get_weather", '{"city": "Paris"}')
        request = self.request(
            ChatMessage("assistant", "I look.", calls=(call,)),
            ChatMessage("tool", "Rain.", call_id="call00001", is_error=True),
        )
        _, asked, told = messages.messages_of(request)

        text, part = asked.parts
        assert isinstance(text, parts.TextPart)
        assert isinstance(part, parts.ToolCallPart)
        self.assertEqual((text.content, part.tool_call_id), ("I look.", "call00001"))
        [result] = told.parts
        assert isinstance(result, parts.ToolReturnPart)
        self.assertEqual((result.tool_name, result.outcome), ("get_weather", "failed"))

    def test_an_image_goes_with_its_message(self) -> None:
        image = Attachment(media_type="image/png", data="QUJD", detail="low")
        [_, seen] = messages.messages_of(self.request(ChatMessage("user", "Look", (image,))))

        [part] = seen.parts
        assert isinstance(part, parts.UserPromptPart)
        assert not isinstance(part.content, str)
        text, binary = part.content
        assert isinstance(binary, parts.BinaryContent)
        self.assertEqual((text, binary.data, binary.media_type), ("Look", b"ABC", "image/png"))

    def test_the_format_is_a_field_where_it_can_be_and_words_where_it_cannot(self) -> None:
        request = self.request(output_format=OutputFormat(SCHEMA, "place"))
        native = pydantic_ai._parameters(request, is_native=True)
        assert native.output_object is not None
        self.assertEqual((native.output_mode, native.output_object.name), ("native", "place"))
        self.assertEqual(pydantic_ai._parameters(request, is_native=False).output_mode, "text")
        for is_native, said in ((True, False), (False, True)):
            [first] = messages.messages_of(request, is_native=is_native)
            [prompt] = first.parts
            assert isinstance(prompt, parts.SystemPromptPart)
            self.assertIs('"city"' in prompt.content, said)
        [first] = messages.messages_of(self.request(output_format=OutputFormat()), is_native=True)
        self.assertIn("JSON object", str(first.parts[0]))

    def test_what_an_answer_holds_goes_back_as_it_was(self) -> None:
        details = {"thought_signature": "c2ln", "rank": None}
        image = parts.FilePart(parts.BinaryImage(b"\x89PNG\xff", media_type="image/png"))
        answer = parts.ModelResponse(
            [
                parts.ThinkingPart("half \ud83d", signature="c2ln", provider_name="google"),
                image,
                # What is given back are the arguments that we have checked.
                parts.ToolCallPart("get_weather", {"n": nested(400)}, provider_details=details),
            ]
        )
        # As the database keeps it.
        kept = msgspec.json.decode(msgspec.json.encode(messages.kept_answer(answer)))
        call = ToolCall("call00001", "get_weather", '{"n": 1}')
        given = ChatMessage("assistant", "", calls=(call,), provider="google", provider_data=kept)
        [_, said] = messages.messages_of(self.request(given))

        thought, seen, asked = said.parts
        assert isinstance(thought, parts.ThinkingPart)
        assert isinstance(asked, parts.ToolCallPart)
        self.assertEqual((thought.content, thought.signature), ("half \ufffd", "c2ln"))
        self.assertEqual(seen, image)
        self.assertEqual((asked.args, asked.provider_details), ('{"n": 1}', details))

    def test_an_answer_that_is_no_json_is_not_kept(self) -> None:
        for details in ({"deep": nested(400)}, {"odd": object()}):
            part = parts.ToolCallPart("get_weather", "{}", provider_details=details)
            self.assertIsNone(messages.kept_answer(parts.ModelResponse([part])))

    def test_tools_and_sampling(self) -> None:
        request = self.request(
            tools=(WEATHER,),
            tool_choice=ToolChoice("required", "get_weather"),
            parallel_tool_calls=False,
            top_p=0.5,
            stop=("END",),
            seed=7,
        )
        [tool] = pydantic_ai._parameters(request, is_native=False).function_tools
        self.assertEqual((tool.name, tool.strict), ("get_weather", True))
        self.assertEqual(
            dict(pydantic_ai._settings(request)),
            {
                "top_p": 0.5,
                "stop_sequences": ["END"],
                "seed": 7,
                "tool_choice": ["get_weather"],
                "parallel_tool_calls": False,
            },
        )
        anyone = self.request(tools=(WEATHER,), tool_choice=ToolChoice("required"))
        self.assertEqual(pydantic_ai._settings(anyone)["tool_choice"], "required")

    def test_what_was_refused_follows_the_conversation(self) -> None:
        followup = (ChatMessage("assistant", "no"), ChatMessage("user", "That is not valid."))
        *_, refused, reason = messages.messages_of(self.request(followup=followup))
        assert isinstance(refused.parts[0], parts.TextPart)
        assert isinstance(reason.parts[0], parts.UserPromptPart)
        self.assertEqual(refused.parts[0].content, "no")
