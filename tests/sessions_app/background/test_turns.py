"""Turns as resources: begun in the background, read, followed, cancelled, deleted."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.test import TestCase
from django.utils import timezone

from accounts.models import Scope
from accounts.tenancy.context import platform_context
from salient.api.lifespan import finish_background
from sessions_app.background.event_log import EVENTS_KEPT, forget_turn_events
from sessions_app.models import TurnCancellation, TurnEventBatch
from sessions_app.turns import store
from tests.support.api_client import Answer, ApiClient, Call
from tests.support.database.stored import change_row, rows_of
from tests.support.factories import (
    make_account,
    make_cancellation,
    make_event_batch,
    make_instance,
    make_key,
    make_llm_request,
    make_session,
)
from tests.support.fixtures import AgentFixtures, stored
from tests.support.servers.held_model import LONG, SHORT, SPOKEN, WHOLE, HeldModel
from tests.support.servers.served import eventually

RUNNING = {"completion_status": "running", "settled_at": None}
TEXT = "Grüße, 1️⃣ two\n\nand three. " * 3


def batches() -> list[list[Any]]:
    return [row.events for row in rows_of(TurnEventBatch, "first_number")]


def forget_batches() -> None:
    with platform_context():
        TurnEventBatch.objects.all().delete()


def last_id(received: bytes) -> str | None:
    """Return the id of the last whole event, as a client keeps it."""
    whole = received[: received.rfind(b"\n\n") + 2].decode()
    ids = [line.removeprefix("id: ") for line in whole.splitlines() if line.startswith("id: ")]
    return ids[-1] if ids else None


def text_of(received: bytes) -> str:
    """Return the text of all whole events."""
    whole = received[: received.rfind(b"\n\n") + 2]
    events = Answer(200, {}, whole).events()
    return "".join(data for name, data in events if name == "message")


class TurnTests(AgentFixtures, TestCase):
    async def begin(self, message: str = "hello", **options: Any) -> Any:
        body = {"message": message, "background": True}
        answer = await self.api.post(self.path("chat"), body, **options)
        self.assertEqual(answer.status, 202, answer.body)
        return answer.json()

    def turn(self, turn_id: str, *more: str) -> str:
        return self.path("/".join(["turns", turn_id, *more]))

    async def test_a_background_turn_is_answered_at_once_and_read_when_it_has_ended(self) -> None:
        answer = await self.api.post(self.path("chat"), {"message": "hello", "background": True})
        begun = answer.json()
        self.assertEqual((answer.status, begun["status"]), (202, "running"))
        self.assertIsNone(begun["ended_at"])
        self.assertEqual(answer.headers["location"], self.turn(begun["id"]))
        self.assertIn("ratelimit", answer.headers)
        await finish_background()

        read = (await self.api.get(answer.headers["location"])).json()

        self.assertEqual((read["status"], read["error"]), ("complete", None))
        self.assertIn("“hello”", read["response"])
        self.assertEqual((read["id"], read["session_id"]), (begun["id"], begun["session_id"]))
        self.assertGreater(read["usage"]["total_tokens"], 0)
        self.assertIsNotNone(read["ended_at"])

    async def test_an_ordinary_turn_is_a_resource_too(self) -> None:
        said = await self.say("hello")

        read = (await self.api.get(self.turn(said["llm_request_id"]))).json()

        self.assertEqual({key: read[key] for key in said}, said)
        self.assertEqual(await sync_to_async(batches)(), [])

    async def test_a_client_that_left_at_once_does_not_end_a_background_turn(self) -> None:
        for moment in range(40):
            raw = b'{"message": "hello", "background": true}'
            call = Call(self.api, "POST", self.path("stream"), raw=raw).begin()
            for _ in range(moment):
                await asyncio.sleep(0)
            await call.end()
        await finish_background()

        _, requests = await sync_to_async(stored)()
        self.assertLessEqual({each.completion_status for each in requests}, {"complete"})

    async def test_nor_does_one_that_left_while_the_turn_was_opened(self) -> None:
        opened = asyncio.Event()
        really_open = store.open

        async def open_and_tell(*args: Any) -> store.Opened:
            found = await really_open(*args)
            opened.set()
            # The client leaves while the answer is on its way back.
            await asyncio.sleep(0.01)
            return found

        raw = b'{"message": "hello", "background": true}'
        call = Call(self.api, "POST", self.path("chat"), raw=raw)
        with mock.patch.object(store, "open", open_and_tell):
            call.begin()
            await opened.wait()
            await call.end()
            await finish_background()

        _, [request] = await sync_to_async(stored)()
        self.assertEqual(request.completion_status, "complete")

    async def test_only_those_who_may_find_a_turn(self) -> None:
        begun = await self.begin()
        await finish_background()
        other = await sync_to_async(make_account)("other")
        await sync_to_async(make_instance)(other, "bot")
        await sync_to_async(make_instance)(self.account, "second")
        _, theirs = await sync_to_async(make_key)(other)
        _, chats = await sync_to_async(make_key)(self.account, scopes=[Scope.CHAT])
        reads = [("GET", ()), ("GET", ("events",)), ("POST", ("cancel",)), ("DELETE", ())]

        for method, rest in reads:
            for name, client, path in (
                ("another account's own", ApiClient(theirs), self.turn(begun["id"], *rest)),
                (
                    "another key without history:read",
                    ApiClient(chats),
                    self.turn(begun["id"], *rest),
                ),
                (
                    "another agent",
                    self.api,
                    self.turn(begun["id"], *rest).replace("/bot/", "/second/"),
                ),
                ("no turn", self.api, self.turn("0" * 32, *rest)),
                ("no id", self.api, self.turn("x", *rest)),
            ):
                with self.subTest(method=method, rest=rest, client=name):
                    found = await client.call(method, path)
                    self.assertIn(found.status, {404} if rest else {403, 404})

        # The key for chats alone has what it began itself.
        own = await ApiClient(chats).post(self.path("chat"), {"message": "hello"})
        found = await ApiClient(chats).get(self.turn(own.json()["llm_request_id"], "events"))
        self.assertEqual(text_of(found.body), own.json()["response"])

    async def test_deleting_a_turn_keeps_its_figures(self) -> None:
        begun = await self.begin()
        await finish_background()
        self.assertNotEqual(await sync_to_async(batches)(), [])

        deleted = await self.api.call("DELETE", self.turn(begun["id"]))

        self.assertEqual(deleted.status, 204)
        self.assertEqual((await self.api.get(self.turn(begun["id"]))).status, 404)
        messages, [request] = await sync_to_async(stored)()
        self.assertEqual((messages, request.request_body), ([], None))
        self.assertGreater(request.total_tokens or 0, 0)
        self.assertEqual(await sync_to_async(batches)(), [])

    async def test_a_deleted_turn_of_a_longer_conversation_is_gone(self) -> None:
        first = (await self.api.post(self.path("chat"), {"message": "one"})).json()
        body = {"message": "two", "session_id": first["session_id"]}
        second = (await self.api.post(self.path("chat"), body)).json()

        path = self.path(f"turns/{first['llm_request_id']}")
        deleted = await self.api.call("DELETE", path)

        self.assertEqual(deleted.status, 204)
        for method, what in (("GET", ""), ("GET", "/events"), ("DELETE", ""), ("POST", "/cancel")):
            self.assertEqual((await self.api.call(method, path + what)).status, 404, what)
        kept = await self.api.get(self.path(f"turns/{second['llm_request_id']}"))
        self.assertEqual(kept.json()["response"], second["response"])

    async def test_a_session_that_is_deleted_takes_the_events_of_its_turns(self) -> None:
        begun = await self.begin()
        await finish_background()

        deleted = await self.api.call("DELETE", self.path(f"sessions/{begun['session_id']}"))

        self.assertEqual((deleted.status, await sync_to_async(batches)()), (204, []))


class EventsTests(AgentFixtures, TestCase):
    """The events of a turn that has ended; each place of a cut continues to the same text."""

    async def turn_of(self, *, background: bool) -> tuple[str, bytes, str]:
        """Run a turn; return where its events are, all of them, and its text."""
        body = {"message": TEXT, "background": background}
        streamed = await self.api.post(self.path("stream"), body)
        await finish_background()
        text = text_of(streamed.body)
        return self.path(f"turns/{streamed.headers['salient-turn']}/events"), streamed.body, text

    async def resume(self, path: str, received: bytes) -> Answer:
        sent = last_id(received)
        return await self.api.call(
            "GET", path, headers={} if sent is None else {"Last-Event-ID": sent}
        )

    async def test_a_stream_cut_at_any_byte_goes_on_to_the_same_text(self) -> None:
        path, whole, text = await self.turn_of(background=True)
        self.assertIn("1️⃣ two\n\nand", text)
        # What is sent again depends on the last whole event alone.
        resumed = {sent: await self.resume(path, whole[:at]) for at, sent in cuts(whole).items()}

        for at in range(len(whole)):
            received = whole[:at]
            again = resumed[last_id(received)]
            self.assertEqual(text_of(received) + text_of(again.body), text, at)
            self.assertTrue(whole.endswith(again.body), at)

    async def test_so_it_does_where_only_the_answer_is_stored(self) -> None:
        for background in (True, False):
            path, whole, text = await self.turn_of(background=background)
            await sync_to_async(forget_batches)()
            for at, sent in cuts(whole).items():
                with self.subTest(background=background, at=sent):
                    again = await self.resume(path, whole[:at])
                    self.assertEqual(text_of(whole[:at]) + text_of(again.body), text)
                    self.assertEqual(again.events()[-1], Answer(200, {}, whole).events()[-1])

    async def test_after_the_last_event_there_is_nothing(self) -> None:
        path, whole, _ = await self.turn_of(background=True)

        self.assertEqual(last_id(whole), "done")
        self.assertEqual((await self.resume(path, whole)).status, 204)

    async def test_an_id_of_no_event_is_refused(self) -> None:
        path, _, _ = await self.turn_of(background=True)

        for sent in ("7", "x", "1-2-3", "-1-0", "9" * 12 + "-0"):
            headers = {"Last-Event-ID": sent.encode().decode("latin1")}
            found = await self.api.call("GET", path, headers=headers)
            self.assertEqual(found.status, 400, sent)
            self.assertIn("Last-Event-ID", found.body.decode())

    async def test_a_failed_turn_fails_again(self) -> None:
        self.configure("model: scripted:fail\n")
        streamed = await self.api.post(
            self.path("stream"), {"message": "hello", "background": True}
        )
        path = self.path(f"turns/{streamed.headers['salient-turn']}/events")
        again = await self.api.get(path)

        self.assertEqual([name for name, _ in streamed.events()][-2:], ["error", "done"])
        self.assertEqual(again.events()[-2:], streamed.events()[-2:])
        # After the error there is only the end.
        end = await self.api.call("GET", path, headers={"Last-Event-ID": "error"})
        self.assertEqual(end.events(), streamed.events()[-1:])
        read = (await self.api.get(path.removesuffix("/events"))).json()
        self.assertEqual(read["error"]["code"], json.loads(streamed.events()[-2][1])["code"])


def cuts(whole: bytes) -> dict[int, str | None]:
    """Return one place of a cut for each last whole event, with the id of that event."""
    return {at: sent for sent, at in {last_id(whole[:at]): at for at in range(len(whole))}.items()}


class HeldTests(AgentFixtures, TestCase):
    """A turn whose model waits."""

    config = "model: mock:test-model\n"

    async def stream(self, message: str, **body: Any) -> tuple[Call, asyncio.Task[None]]:
        """Begin a stream, and wait for the three words that come before the model waits."""
        raw = json.dumps({"message": message, **body}).encode()
        call = Call(self.api, "POST", self.path("stream"), raw=raw)
        running, received = asyncio.create_task(call.run()), b""
        async for part in call.parts():
            received += part
            if text_of(received) == SPOKEN:
                break
        return call, running

    async def test_a_reader_in_this_process_follows_a_running_turn(self) -> None:
        async with HeldModel() as model, asyncio.timeout(30):
            call, running = await self.stream(SHORT, background=True)
            path = self.path(f"turns/{call.answer().headers['salient-turn']}/events")
            call.leave()
            await asyncio.gather(running, return_exceptions=True)
            reading = asyncio.create_task(
                self.api.call("GET", path, headers={"Last-Event-ID": last_id(call.answer().body)})
            )
            await asyncio.sleep(0.1)
            model.released.set()
            rest = await reading
            await finish_background()

        self.assertEqual(SPOKEN + text_of(rest.body), WHOLE)
        self.assertEqual(json.loads(rest.events()[-1][1])["status"], "complete")

    async def test_what_is_stored_of_a_running_turn_is_read(self) -> None:
        async with HeldModel() as model, asyncio.timeout(30):
            call, running = await self.stream(SHORT, background=True)
            path = self.path(f"turns/{call.answer().headers['salient-turn']}")
            said = ""
            while said != SPOKEN:
                await asyncio.sleep(0.05)
                read = (await self.api.get(path)).json()
                said = read["response"]
            self.assertEqual(read["status"], "running")
            refused = await self.api.call("DELETE", path)
            self.assertEqual((refused.status, refused.json()["code"]), (409, "turn_in_progress"))
            model.released.set()
            await running
            await finish_background()
        # Each batch has what came meanwhile: the first words, and the rest.
        self.assertEqual(len(await sync_to_async(batches)()), 2)

    async def test_the_same_idempotency_key_gets_the_same_turn(self) -> None:
        async def send(what: str, *, background: bool = True) -> Answer:
            body = {"message": SHORT, "background": background}
            return await self.api.post(self.path(what), body, headers={"Idempotency-Key": "once"})

        async with HeldModel() as model, asyncio.timeout(30):
            begun = [await send("chat") for _ in range(2)]
            refused = await send("chat", background=False)
            stream = asyncio.create_task(send("stream"))
            await asyncio.sleep(0.1)
            model.released.set()
            followed = await stream
            await finish_background()
        replayed = await send("chat")

        turn_id = begun[0].json()["id"]
        self.assertEqual([(each.status, each.json()["id"]) for each in begun], [(202, turn_id)] * 2)
        self.assertEqual((refused.status, refused.json()["code"]), (409, "turn_in_progress"))
        self.assertEqual(refused.json()["llm_request_id"], turn_id)
        self.assertEqual(followed.headers["salient-turn"], turn_id)
        self.assertEqual(text_of(followed.body), replayed.json()["response"])
        self.assertEqual((replayed.status, replayed.json()["status"]), (200, "complete"))
        self.assertEqual(len((await sync_to_async(stored)())[1]), 1)

    async def test_a_turn_that_runs_is_not_deleted(self) -> None:
        async with HeldModel() as model, asyncio.timeout(30):
            call, running = await self.stream(SHORT, background=True)
            turn_id = call.answer().headers["salient-turn"]
            refused = await self.api.call("DELETE", self.path(f"turns/{turn_id}"))
            model.released.set()
            await running
            await finish_background()

        self.assertEqual((refused.status, refused.json()["code"]), (409, "turn_in_progress"))

    async def test_a_turn_is_cancelled(self) -> None:
        for background in (False, True):
            with self.subTest(background=background):
                async with HeldModel(), asyncio.timeout(30):
                    call, running = await self.stream(LONG, background=background)
                    turn_id = call.answer().headers["salient-turn"]
                    answer = await self.api.post(self.path(f"turns/{turn_id}/cancel"), {})
                    await running
                    await finish_background()

                cancelled = answer.json()
                self.assertEqual(
                    (cancelled["status"], cancelled["response"]), ("cancelled", SPOKEN)
                )
                [(error, problem), (done, end)] = call.answer().events()[-2:]
                self.assertEqual((error, json.loads(problem)["code"]), ("error", "turn_cancelled"))
                self.assertEqual((done, json.loads(end)["status"]), ("done", "cancelled"))
                again = await self.api.post(self.path(f"turns/{turn_id}/cancel"), {})
                self.assertEqual(again.json(), cancelled)
                self.assertEqual(cancelled["error"]["code"], "turn_cancelled")

    async def test_a_call_that_was_cancelled_is_answered_the_same_again(self) -> None:
        async def send() -> Answer:
            return await self.api.post(
                self.path("chat"), {"message": LONG}, headers={"Idempotency-Key": "once"}
            )

        async with HeldModel() as model, asyncio.timeout(30):
            sending = asyncio.create_task(send())
            await eventually(lambda: bool(model.requests))
            [request] = (await sync_to_async(stored)())[1]
            await self.api.post(self.path(f"turns/{request.pk}/cancel"), {})
            answers = [await sending, await send()]
            await finish_background()

        self.assertEqual(
            [(a.status, a.json()["code"]) for a in answers], [(409, "turn_cancelled")] * 2
        )

    async def test_a_cancellation_is_found_in_the_database(self) -> None:
        async with HeldModel(), asyncio.timeout(30):
            call, running = await self.stream(LONG)
            await sync_to_async(cancel)(call.answer().headers["salient-turn"])
            await running

        _, [request] = await sync_to_async(stored)()
        self.assertEqual(
            (request.completion_status, request.error_code), ("cancelled", "turn_cancelled")
        )


def cancel(turn_id: str) -> None:
    """Cancel the turn as another process does."""
    _, [request] = stored()
    with platform_context():
        TurnCancellation.objects.create(account_id=request.account_id, llm_request_id=turn_id)


class RetentionTests(AgentFixtures, TestCase):
    def test_events_are_kept_for_a_while_and_cancellations_while_they_are_needed(self) -> None:
        session = make_session(self.instance)
        ended, running = make_llm_request(session), make_llm_request(session, **RUNNING)
        batch, fresh = make_event_batch(ended), make_event_batch(ended, first_number=1)
        make_cancellation(ended)
        needed = make_cancellation(running)
        change_row(batch, created_at=timezone.now() - EVENTS_KEPT - timedelta(seconds=1))

        self.assertEqual(forget_turn_events(), 1)

        with platform_context():
            self.assertEqual([each.pk for each in TurnEventBatch.objects.all()], [fresh.pk])
            self.assertEqual([each.pk for each in TurnCancellation.objects.all()], [needed.pk])
