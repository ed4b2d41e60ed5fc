"""Responses in the background, with OpenAI's client: polled, streamed again, cancelled."""

from __future__ import annotations

import asyncio

import openai
from asgiref.sync import sync_to_async
from django.test import override_settings
from django.utils import timezone

from accounts.models import Scope
from accounts.tenancy.context import platform_context
from salient.api.lifespan import finish_background
from sessions_app.models import TurnEventBatch
from tests.sessions_app.protocols.openai.fixtures import SDKFixtures
from tests.support.database.stored import change_row
from tests.support.factories import make_key
from tests.support.servers.held_model import LONG, SHORT, SPOKEN, WHOLE, HeldModel


def forget_batches() -> None:
    with platform_context():
        TurnEventBatch.objects.all().delete()


class BackgroundResponsesTests(SDKFixtures):
    config = "model: mock:test-model\n"

    async def test_a_response_is_polled_until_it_has_ended(self) -> None:
        async with HeldModel() as model, asyncio.timeout(30):
            begun = await self.sdk.responses.create(model="bot", input=SHORT, background=True)
            polled = await self.sdk.responses.retrieve(begun.id)
            model.released.set()
            await finish_background()
        found = await self.sdk.responses.retrieve(begun.id)

        self.assertEqual((begun.status, begun.background, begun.output), ("in_progress", True, []))
        self.assertEqual((polled.status, polled.id), ("in_progress", begun.id))
        self.assertEqual((found.status, found.output_text), ("completed", WHOLE))
        self.assertTrue(found.background)

    async def test_a_stream_goes_on_after_any_of_its_events(self) -> None:
        async with HeldModel() as model, asyncio.timeout(30):
            stream = await self.sdk.responses.create(
                model="bot", input=SHORT, background=True, stream=True
            )
            events = []
            async for event in stream:
                events.append(event)
                model.released.set()
            await finish_background()
        response_id = events[0].response.id  # type: ignore[union-attr]
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        self.assertGreater(len(events), 8)

        for after in (None, *range(len(events))):
            again = await self.sdk.responses.retrieve(
                response_id, stream=True, **({} if after is None else {"starting_after": after})
            )
            rest = [event async for event in again]
            self.assertEqual(rest, events[0 if after is None else after + 1 :], after)

        await sync_to_async(forget_batches)()
        with self.assertRaises(openai.BadRequestError) as gone:
            await self.sdk.responses.retrieve(response_id, stream=True)
        self.assertEqual(gone.exception.param, "stream")

    @override_settings(REVOCATION_CHECK_SECONDS=0.1)
    async def test_who_may_only_read_follows_to_the_end_and_no_longer_than_it_may(self) -> None:
        key, secret = await sync_to_async(make_key)(self.account, scopes=[Scope.HISTORY_READ])
        reader = self.sdk.with_options(api_key=secret)
        for is_revoked in (False, True):
            async with HeldModel() as model, asyncio.timeout(30):
                begun = await self.sdk.responses.create(model="bot", input=SHORT, background=True)
                following = asyncio.create_task(self.follow(reader, begun.id))
                await asyncio.sleep(0.2)
                if is_revoked:
                    await sync_to_async(change_row)(key, revoked_at=timezone.now())
                await asyncio.sleep(0.5)
                self.assertEqual(following.done(), is_revoked)
                model.released.set()
                await finish_background()
                kinds = await following
            self.assertEqual("response.completed" in kinds, not is_revoked, kinds)

    async def follow(self, reader: openai.AsyncOpenAI, response_id: str) -> list[str]:
        stream = await reader.responses.retrieve(response_id, stream=True)
        return [event.type async for event in stream]

    async def test_a_response_is_cancelled(self) -> None:
        async with HeldModel(), asyncio.timeout(30):
            begun = await self.sdk.responses.create(model="bot", input=LONG, background=True)
            _, secret = await sync_to_async(make_key)(self.account, scopes=[Scope.CHAT])
            with self.assertRaises(openai.NotFoundError):
                await self.sdk.with_options(api_key=secret).responses.cancel(begun.id)
            cancelled = await self.sdk.responses.cancel(begun.id)
            await finish_background()

        self.assertEqual(cancelled.status, "cancelled")
        self.assertIn(cancelled.output_text, ("", SPOKEN))
        self.assertEqual(await self.sdk.responses.cancel(begun.id), cancelled)
        self.assertEqual(await self.sdk.responses.retrieve(begun.id), cancelled)
        assert cancelled.error is not None
        self.assertEqual(cancelled.error.code, "turn_cancelled")
        stream = await self.sdk.responses.retrieve(begun.id, stream=True)
        with self.assertRaises(openai.APIError):
            async for event in stream:
                last = event
        assert last.type == "response.failed"
        self.assertEqual(last.response.model_dump(), cancelled.model_dump())

    async def test_the_same_idempotency_key_gets_the_same_response_while_it_is_made(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account, scopes=[Scope.CHAT])
        create = self.sdk.with_options(api_key=secret).responses.create
        once = {"Idempotency-Key": "once"}
        async with HeldModel() as model, asyncio.timeout(30):
            begun, again = [
                await create(model="bot", input=SHORT, background=True, extra_headers=once)
                for _ in range(2)
            ]
            stream = await create(
                model="bot", input=SHORT, background=True, stream=True, extra_headers=once
            )
            model.released.set()
            events = [event async for event in stream]
            await finish_background()

        self.assertEqual((again.id, again.status), (begun.id, "in_progress"))
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        assert events[-1].type == "response.completed"
        self.assertEqual(events[-1].response.id, begun.id)
        self.assertEqual(events[-1].response.output_text, WHOLE)

    async def test_only_a_background_response_has_a_stream_to_read(self) -> None:
        async with HeldModel() as model, asyncio.timeout(30):
            model.released.set()
            made = await self.sdk.responses.create(model="bot", input=SHORT)
        with self.assertRaises(openai.BadRequestError) as refused:
            await self.sdk.responses.retrieve(made.id, stream=True)
        self.assertEqual(refused.exception.param, "stream")
