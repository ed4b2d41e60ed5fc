"""Clients that leave at the worst moments, and a database that does."""

from __future__ import annotations

import asyncio
from unittest import mock

from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import TestCase, TransactionTestCase, override_settings

from salient import database
from salient.api.lifespan import finish_background
from sessions_app.turns import store
from tests.support.api_client import Call
from tests.support.fixtures import AgentFixtures, stored

BODY = b'{"message": "hello"}'


def statuses() -> set[str]:
    return {request.completion_status for request in stored()[1]}


@override_settings(DATABASE_API_THREADS=4)
class LeaveAtOnceTests(AgentFixtures, TransactionTestCase):
    """However early the client leaves, no turn is left running."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(database.shut_down)

    async def test_a_client_may_leave_at_any_moment(self) -> None:
        for what in ("chat", "stream"):
            # Each moment is one more turn of the event loop than the one before.
            for moment in range(40):
                call = Call(self.api, "POST", self.path(what), raw=BODY).begin()
                for _ in range(moment):
                    await asyncio.sleep(0)
                await call.end()
        await finish_background()

        self.assertLessEqual(await sync_to_async(statuses)(), {"cancelled", "complete"})

    async def test_leaving_while_the_turn_is_opened_settles_it_without_a_call(self) -> None:
        opened = asyncio.Event()
        really_open = store.open

        async def open_and_tell(*args: object, **kwargs: object) -> store.Opened:
            found = await really_open(*args, **kwargs)  # type: ignore[arg-type]
            opened.set()
            # The client leaves while the answer is on its way back.
            await asyncio.sleep(0.01)
            return found

        call = Call(self.api, "POST", self.path("stream"), raw=BODY)
        with mock.patch.object(store, "open", open_and_tell):
            call.begin()
            async with asyncio.timeout(10):
                await opened.wait()
            await call.end()
        await finish_background()

        [message], [request] = await sync_to_async(stored)()
        self.assertEqual((message.role, message.content), ("human", "hello"))
        self.assertEqual(
            (request.completion_status, request.error_code, request.requests),
            ("cancelled", "client_left", 0),
        )


class NotStoredTests(AgentFixtures, TestCase):
    async def test_an_answer_that_could_not_be_stored_is_not_called_complete(self) -> None:
        settle = store.settle
        away = [OperationalError("away"), OperationalError("away"), None]

        async def settle_later(*args: object) -> object:
            error = away.pop(0)
            if error is not None:
                raise error
            return await settle(*args)  # type: ignore[arg-type]

        with (
            mock.patch.object(store, "settle", settle_later),
            mock.patch.object(store, "SETTLE_AGAIN_AFTER", (0, 0)),
        ):
            answer = await self.api.post(self.path("stream"), {"message": "hello"})
            await finish_background()

        (error_name, _), (done_name, done) = answer.events()[-2:]
        self.assertEqual((error_name, done_name), ("error", "done"))
        self.assertIn('"status":"error"', done)
        self.assertIn('"message_id":null', done)
        [_, message], [request] = await sync_to_async(stored)()
        self.assertEqual(request.completion_status, "complete")
        self.assertTrue(message.content)
