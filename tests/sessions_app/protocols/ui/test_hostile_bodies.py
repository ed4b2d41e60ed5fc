"""Bodies that no client of the interfaces' protocols sends: refused, or answered in full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from asgiref.sync import sync_to_async

from accounts.models import RateState
from tests.sessions_app.protocols.ui.fixtures import InterfaceFixtures, said, typed
from tests.support.api_client import Answer
from tests.support.database.stored import rows_of

# Half of a surrogate pair, as JSON may have it, and a NUL.
UNSTORABLE = ("\ud800", "a\x00b")
RUN = {
    "threadId": "t1",
    "runId": "r1",
    "messages": [
        {"id": "s1", "role": "system", "content": "Be brief."},
        {"id": "u1", "role": "user", "content": "Hi"},
        {
            "id": "a1",
            "role": "assistant",
            "content": "Hello",
            "toolCalls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
            ],
        },
        {"id": "t1", "role": "tool", "toolCallId": "c1", "content": "seen", "error": "no"},
        {"id": "u2", "role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ],
    "context": [{"description": "where", "value": "here"}],
    "tools": [{"name": "look", "description": "Looks.", "parameters": {"type": "object"}}],
}
CHAT = {
    "id": "t1",
    "trigger": "submit-message",
    "messageId": "m1",
    "system": "Be brief.",
    "messages": [
        {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]},
        {
            "id": "a1",
            "role": "assistant",
            "metadata": {"salient": {"message_id": "x"}},
            "parts": [
                {"type": "step-start"},
                {"type": "text", "text": "Hello"},
                {
                    "type": "tool-look",
                    "toolCallId": "c1",
                    "state": "output-available",
                    "input": {"where": "there"},
                    "output": {"seen": "it"},
                },
            ],
        },
    ],
    "tools": {"look": {"description": "Looks.", "parameters": {"type": "object"}}},
}


def with_each_text(body: Any, text: str) -> Iterator[tuple[str, Any]]:
    """Yield the body with each of its texts, and each name, replaced by this one."""
    if isinstance(body, str):
        yield "", text
    elif isinstance(body, list):
        for at, each in enumerate(body):
            for where, changed in with_each_text(each, text):
                yield f"[{at}]{where}", [*body[:at], changed, *body[at + 1 :]]
    elif isinstance(body, dict):
        for name, each in body.items():
            for where, changed in with_each_text(each, text):
                yield f".{name}{where}", body | {name: changed}
            yield f".{name} (name)", {text if n == name else n: v for n, v in body.items()}


class HostileBodyTests(InterfaceFixtures):
    config = "model: scripted:echo\ncallers: {instructions: true, tools: true}\n"

    async def send(self, what: str, body: Any) -> Answer:
        return await self.api.post(self.path(what), json.dumps(body).encode())

    async def test_the_bodies_are_taken_as_they_are(self) -> None:
        for what, body in (("ag-ui", RUN), ("ui-messages", CHAT)):
            answer = await self.send(what, body)
            self.assertEqual(answer.status, 200, answer.body)

    async def test_no_text_that_can_not_be_stored_breaks_an_answer(self) -> None:
        for what, body, end in (
            ("ag-ui", RUN, b"RUN_FINISHED"),
            ("ui-messages", CHAT, b'"type":"finish"'),
        ):
            for text in UNSTORABLE:
                for where, changed in with_each_text(body, text):
                    with self.subTest(what=what, text=text, where=where):
                        answer = await self.send(what, changed)
                        self.assertIn(answer.status, (200, 400))
                        if answer.status == 200:
                            self.assertIn(end, answer.body)

    async def test_a_turn_counts_as_a_turn_alone(self) -> None:
        await self.run_agent(said("Hi"))
        await self.chat(typed("Hi"))

        self.assertEqual([each for each in await self.subjects() if each.startswith("writes")], [])

    @sync_to_async
    def subjects(self) -> list[str]:
        return [row.subject for row in rows_of(RateState)]
