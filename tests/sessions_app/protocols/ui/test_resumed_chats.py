"""Chats whose page is left and opened again: `useChat({resume: true})`."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async

from accounts.models import Scope
from salient.api.lifespan import finish_background
from sessions_app.background import stored_turns
from sessions_app.background.running import running_here
from sessions_app.models import LLMRequest
from tests.sessions_app.protocols.ui.fixtures import (
    InterfaceFixtures,
    frames_of,
    kinds_of,
    text_of,
    typed,
)
from tests.support.api_client import Answer, ApiClient
from tests.support.factories import make_key
from tests.support.fixtures import stored
from tests.support.servers.held_model import LONG, SHORT, WHOLE, HeldModel


class ResumedChatTests(InterfaceFixtures):
    config = "model: mock:test-model\ncallers: {instructions: true}\n"

    async def leave(
        self, text: str, *, thread: str = "t1", client: ApiClient | None = None, **more: Any
    ) -> None:
        """Send a message, and leave when its first chunk has come."""
        body = {"id": thread, "messages": [typed(text)], "background": True, **more}
        await self.leave_early("ui-messages", body, client)

    def stream_of(self, thread: str = "t1") -> str:
        return self.path(f"ui-messages/{thread}/stream")

    async def resume(self, thread: str = "t1", client: ApiClient | None = None) -> Answer:
        return await (client or self.api).get(self.stream_of(thread))

    async def ended(self) -> LLMRequest:
        await finish_background()
        return (await sync_to_async(stored)())[1][-1]

    async def test_the_whole_answer_is_read_again_here_and_from_another_process(self) -> None:
        for elsewhere in (False, True):
            async with HeldModel() as model, asyncio.timeout(60):
                await self.leave(SHORT, thread=f"t{elsewhere}")
                found_here = (lambda *_: None) if elsewhere else running_here
                with mock.patch.object(stored_turns, "running_here", found_here):
                    reading = asyncio.create_task(self.resume(f"t{elsewhere}"))
                    await asyncio.sleep(0.3)
                    model.released.set()
                    answer = await reading
                    await finish_background()
            with self.subTest(elsewhere=elsewhere):
                self.assertEqual(answer.headers["x-vercel-ai-ui-message-stream"], "v1")
                *frames, done = frames_of(answer)
                chunks = [json.loads(frame) for frame in frames]
                self.assertEqual((text_of(chunks), done), (WHOLE, "[DONE]"))
                # The page knows whether this is a new message or one that goes on.
                self.assertEqual(chunks[0], {"type": "start"})
                self.assertEqual(chunks[-1]["messageMetadata"]["salient"]["status"], "complete")
                self.assertEqual((await self.resume(f"t{elsewhere}")).status, 204)

    async def test_without_background_a_turn_ends_when_its_client_leaves(self) -> None:
        async with HeldModel(), asyncio.timeout(60):
            await self.leave(LONG, background=False)
            self.assertEqual((await self.resume()).status, 204)
            self.assertEqual((await self.ended()).error_code, "client_left")

    async def test_the_id_of_its_session_names_the_chat_too(self) -> None:
        async with HeldModel() as model, asyncio.timeout(60):
            await self.leave(SHORT)
            [turn] = (await sync_to_async(stored)())[1]
            model.released.set()
            answer = await self.resume(str(turn.session_id))
            self.assertIn(WHOLE.split()[0], answer.body.decode())
            await finish_background()

    async def test_a_chat_is_stopped_at_the_same_address(self) -> None:
        async with HeldModel(), asyncio.timeout(60):
            await self.leave(LONG)
            stopped = await self.api.call("DELETE", self.stream_of())
            turn = await self.ended()
            again = await self.api.call("DELETE", self.stream_of())

        self.assertEqual((stopped.status, again.status), (204, 204))
        self.assertEqual((turn.completion_status, turn.error_code), ("cancelled", "turn_cancelled"))

    async def test_nobody_follows_or_stops_the_chats_of_others(self) -> None:
        visitor, other = await self.start(), await self.start()
        _, talker = await sync_to_async(make_key)(self.account, scopes=[Scope.CHAT])
        async with HeldModel() as model, asyncio.timeout(60):
            await self.leave(SHORT, client=visitor)
            await self.leave(SHORT, thread="t2")
            for thread, client in (("t1", other), ("t1", self.api), ("t2", ApiClient(talker))):
                with self.subTest(thread):
                    self.assertEqual((await self.resume(thread, client)).status, 204)
                    await client.call("DELETE", self.stream_of(thread))
            model.released.set()
            await finish_background()
        turns = (await sync_to_async(stored)())[1]
        self.assertEqual([turn.completion_status for turn in turns], ["complete"] * 2)

    async def test_a_turn_that_fails_says_so_in_its_stream(self) -> None:
        self.configure("model: scripted:fail\nretries: 0\n")
        found = await self.chunks(typed("Hello"), background=True)
        self.assertEqual(kinds_of(found)[-2:], ["message-metadata", "error"])
        self.assertEqual(json.loads(found[-1]["errorText"])["code"], "provider_unavailable")
