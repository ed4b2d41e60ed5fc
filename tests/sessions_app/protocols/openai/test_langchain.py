"""LangChain's ChatOpenAI, unmodified: it looks for details of the usage, and binds tools."""

from __future__ import annotations

from typing import Any

import httpx2
from django.test import TestCase
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.sessions_app.protocols.openai.app_transport import AppTransport
from tests.sessions_app.protocols.openai.fixtures import Place
from tests.support.fixtures import AgentFixtures


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Rain in {city}."


class ChatOpenAITests(AgentFixtures, TestCase):
    def model(self, **options: Any) -> ChatOpenAI:
        return ChatOpenAI(
            model="bot",
            base_url=f"http://localhost{self.path('v1')}",
            api_key=SecretStr(self.secret),
            http_async_client=httpx2.AsyncClient(transport=AppTransport()),
            **options,
        )

    async def test_an_answer_and_a_stream_with_their_usage(self) -> None:
        answer = await self.model().ainvoke("Hello")
        self.assertTrue(answer.text.startswith("Hello!"))
        assert answer.usage_metadata is not None
        self.assertEqual(answer.usage_metadata["input_token_details"]["cache_read"], 0)

        whole = AIMessageChunk(content="")
        async for chunk in self.model(stream_usage=True).astream("Hello"):
            whole += chunk
        self.assertEqual(whole.text, answer.text)
        assert whole.usage_metadata is not None
        self.assertGreater(whole.usage_metadata["output_tokens"], 0)

    async def test_tools_go_there_and_back(self) -> None:
        bound = self.model().bind_tools([get_weather])
        said = HumanMessage('get_weather {"city": "Paris"}')
        asked = await bound.ainvoke([said])
        [call] = asked.tool_calls
        self.assertEqual((call["name"], call["args"]), ("get_weather", {"city": "Paris"}))
        told = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=str(call["id"]))
        answer = await bound.ainvoke([said, asked, told])
        self.assertEqual(answer.text, "The tool says: Rain in Paris.")

    async def test_structured_output(self) -> None:
        found = await self.model().with_structured_output(Place).ainvoke("Hello")
        assert isinstance(found, Place)
        self.assertEqual(found.people, 1)
