"""What runs ends soon after its caller may no longer call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.auth import revocation as auth_revocation
from accounts.auth.caller import Caller
from accounts.auth.revocation import still_admitted
from accounts.models import Account, AccountStatus, ApiKey, MemberRole, Scope
from accounts.tenancy import suspensions
from accounts.tenancy.context import platform_context
from agents.connections import connections, revocation
from agents.models import AgentInstance, InstanceStatus, ProviderConnection
from agents.runtime.providers import Connection
from salient.api.lifespan import finish_background
from salient.ttl import clear_caches
from sessions_app.models import LLMRequest
from tests.support.api_client import Answer, ApiClient, Call
from tests.support.database.stored import change_row
from tests.support.factories import make_key, make_membership, make_user
from tests.support.fixtures import AgentFixtures, counts, stored


def suspend(account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(status=AccountStatus.SUSPENDED)


def change_keys(**fields: Any) -> Callable[[Account], None]:
    def change(account: Account) -> None:
        with platform_context():
            ApiKey.objects.filter(account=account).update(**fields)

    return change


def suspend_agent(account: Account) -> None:
    with platform_context():
        suspensions.suspend(AgentInstance.objects.get(account=account), "abuse")


def resume_agent(account: Account) -> None:
    with platform_context():
        suspensions.resume(AgentInstance.objects.get(account=account))
    clear_caches()


def suspend_connection(account: Account) -> None:
    with platform_context():
        suspensions.suspend(ProviderConnection.objects.get(account=account), "abuse")


class Cutting(AgentFixtures):
    """Starts turns of a model that says nothing, and ends them; mix it into a TestCase."""

    config = "model: scripted:echo?first_ms=60000\n"

    async def cut_by(self, change: Callable[[Account], None], what: str = "stream") -> Answer:
        """Start a turn, change what it depends on, and wait for what the caller gets."""
        call = Call(self.api, "POST", self.path(what), raw=b'{"message": "hello"}')
        running = asyncio.create_task(call.run())
        async with asyncio.timeout(10):
            while not (await sync_to_async(counts)())[2]:  # noqa: ASYNC110 - the row is the event
                await asyncio.sleep(0.01)
            await sync_to_async(change)(self.account)
            await running
        return call.answer()


@override_settings(REVOCATION_CHECK_SECONDS=0.05)
class RunningTurnTests(Cutting, TestCase):
    async def test_a_suspended_accounts_stream_ends_with_error_and_done(self) -> None:
        answer = await self.cut_by(suspend)

        (name, error), (last, done) = answer.events()
        self.assertEqual((name, json.loads(error)["code"]), ("error", "access_ended"))
        self.assertEqual((last, json.loads(done)["status"]), ("done", "cancelled"))
        _, [request] = await sync_to_async(stored)()
        self.assertEqual(
            (request.completion_status, request.error_code), ("cancelled", "access_ended")
        )
        self.assertIsNotNone(request.settled_at)

    async def test_a_turn_in_the_background_ends_as_well(self) -> None:
        body = {"message": "hello", "background": True}
        begun = await self.api.post(self.path("chat"), body)
        self.assertEqual((begun.status, begun.json()["status"]), (202, "running"))
        await sync_to_async(suspend)(self.account)
        async with asyncio.timeout(10):
            await finish_background()

        _, [request] = await sync_to_async(stored)()
        self.assertEqual(
            (request.completion_status, request.error_code), ("cancelled", "access_ended")
        )
        self.assertIsNotNone(request.settled_at)

    async def test_the_partial_answer_is_stored_and_paid(self) -> None:
        self.configure("model: scripted:echo?delay_ms=40\n")
        call = Call(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')
        running = asyncio.create_task(call.run())
        async with asyncio.timeout(10):
            async for part in call.parts():
                if b"event: message" in part:
                    break
            await sync_to_async(suspend)(self.account)
            await running

        self.assertEqual([name for name, _ in call.answer().events()][-2:], ["error", "done"])
        [_, partial], [request] = await sync_to_async(stored)()
        self.assertTrue(partial.content.startswith("Hello!"))
        self.assertEqual(request.completion_status, "cancelled")
        self.assertGreater(request.completion_tokens or 0, 0)

    async def test_a_revoked_an_expired_and_a_lesser_key_end_their_streams(self) -> None:
        for fields in (
            {"revoked_at": timezone.now()},
            {"expires_at": timezone.now() - timedelta(seconds=1)},
            {"scopes": [Scope.USAGE_READ]},
        ):
            with self.subTest(fields):
                answer = await self.cut_by(change_keys(**fields))
                self.assertIn("access_ended", answer.body.decode())
            await sync_to_async(self.fresh_key)()

    def fresh_key(self) -> None:
        with platform_context():
            ApiKey.objects.all().delete()
        _, self.secret = make_key(self.account)
        self.api = ApiClient(self.secret)

    async def test_a_chat_that_waits_ends_as_well(self) -> None:
        answer = await self.cut_by(suspend, "chat")

        self.assertEqual((answer.status, answer.json()["code"]), (403, "access_ended"))

    async def test_the_stream_of_another_key_goes_on(self) -> None:
        _, other = await sync_to_async(make_key)(self.account)
        body = b'{"message": "hello"}'
        goes_on = Call(ApiClient(other), "POST", self.path("stream"), raw=body)
        running = asyncio.create_task(goes_on.run())
        key_id = other.split("_")[2]

        def revoke_mine(account: Account) -> None:
            with platform_context():
                ApiKey.objects.exclude(key_id=key_id).update(revoked_at=timezone.now())

        await self.cut_by(revoke_mine)
        await asyncio.sleep(0.15)
        self.assertFalse(running.done())
        goes_on.leave()
        await running

    async def test_a_thousand_streams_of_one_key_are_one_question(self) -> None:
        batch_sizes: list[int] = []
        real = auth_revocation._refused

        def counting(callers: Any) -> Any:
            batch_sizes.append(len(callers))
            return real(callers)

        body = b'{"message": "hello"}'
        calls = [Call(self.api, "POST", self.path("stream"), raw=body) for _ in range(20)]
        with mock.patch.object(auth_revocation, "_refused", counting):
            running = [asyncio.create_task(call.run()) for call in calls]
            async with asyncio.timeout(10):
                while (await sync_to_async(counts)())[2] < 20 or not batch_sizes:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await sync_to_async(suspend)(self.account)
                await asyncio.gather(*running)

        self.assertEqual(set(batch_sizes), {1})
        # With nothing left to watch, the next round ends the watcher.
        async with asyncio.timeout(10):
            while auth_revocation._watchers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def test_an_unreachable_database_ends_no_turn(self) -> None:
        failing = mock.Mock(side_effect=OperationalError("away"))
        self.configure("model: scripted:echo?first_ms=300\n")
        with (
            mock.patch.object(auth_revocation, "_refused", failing),
            self.assertLogs("accounts.auth.revocation", "WARNING"),
        ):
            answer = await self.api.post(self.path("stream"), {"message": "hello"})

        self.assertEqual(json.loads(answer.events()[-1][1])["status"], "complete")
        failing.assert_called()

    @override_settings(STREAM_MAX_SECONDS=0.1)
    async def test_a_stream_has_its_time(self) -> None:
        answer = await self.api.post(self.path("stream"), {"message": "hello"})

        (_, error), (_, done) = answer.events()
        self.assertEqual(json.loads(error)["code"], "time_limit")
        self.assertEqual(json.loads(done)["status"], "error")
        _, [request] = await sync_to_async(stored)()
        self.assertEqual(request.error_code, "time_limit")

    @override_settings(STREAM_MAX_SECONDS=0.15)
    async def test_an_answer_cut_by_the_time_limit_is_partial(self) -> None:
        self.configure("model: scripted:echo?delay_ms=30\n")
        answer = await self.api.post(self.path("stream"), {"message": "hello"})

        self.assertEqual(json.loads(answer.events()[-1][1])["status"], "partial")


def set_agent(status: str) -> Callable[[Account], None]:
    def change(account: Account) -> None:
        with platform_context():
            AgentInstance.objects.filter(account=account).update(status=status)

    return change


def delete_connection(account: Account) -> None:
    connections.delete_connection(account.pk, "own")


def change_connection(**fields: Any) -> Callable[[Account], None]:
    def change(account: Account) -> None:
        connections.change_connection(account.pk, "own", **fields)

    return change


@override_settings(REVOCATION_CHECK_SECONDS=0.05)
class RunningAgentTests(Cutting, TestCase):
    """A running turn ends when its agent or its model connection is withdrawn."""

    config = "model: scripted:echo?first_ms=60000\nfallback_models: [connection/own:m]\n"

    def setUp(self) -> None:
        super().setUp()
        self.connect()

    def connect(self) -> None:
        url = "https://models.example.com/v1"
        connections.create_connection(self.account.pk, name="own", base_url=url, key="sk-own")

    async def assert_ends(self, change: Callable[[Account], None], code: str) -> None:
        answer = await self.cut_by(change)

        (name, error), (last, done) = answer.events()
        self.assertEqual((name, json.loads(error)["code"]), ("error", code))
        self.assertEqual((last, json.loads(done)["status"]), ("done", "cancelled"))
        request = (await sync_to_async(stored)())[1][-1]
        self.assertEqual((request.completion_status, request.error_code), ("cancelled", code))
        self.assertIsNotNone(request.settled_at)

    async def test_deactivating_or_archiving_the_agent_ends_its_turns(self) -> None:
        await self.assert_ends(set_agent(InstanceStatus.INACTIVE), "agent_deactivated")
        await sync_to_async(set_agent(InstanceStatus.ACTIVE))(self.account)
        await sync_to_async(self.fresh_rows)()
        await self.assert_ends(set_agent(InstanceStatus.ARCHIVED), "agent_deactivated")

    async def test_suspending_the_agent_or_its_key_ends_its_turns(self) -> None:
        await self.assert_ends(suspend_agent, "agent_deactivated")
        await sync_to_async(self.fresh_rows)()
        await sync_to_async(resume_agent)(self.account)
        await self.assert_ends(change_keys(suspended_reason="abuse"), "access_ended")

    async def test_deleting_suspending_or_changing_its_connection_ends_its_turns(self) -> None:
        for change in (
            suspend_connection,
            change_connection(base_url="https://models.example.com/v2"),
            change_connection(key="sk-another"),
            change_connection(key=""),
            delete_connection,
        ):
            await self.assert_ends(change, "connection_changed")
            await sync_to_async(self.fresh_rows)()

    def fresh_rows(self) -> None:
        with platform_context():
            ProviderConnection.objects.all().delete()
            LLMRequest.objects.all().delete()
        self.connect()
        clear_caches()

    async def test_an_agent_and_a_connection_that_are_touched_and_stay_the_same_end_nothing(
        self,
    ) -> None:
        self.configure("model: scripted:echo?first_ms=400\nfallback_models: [connection/own:m]\n")
        call = Call(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')
        running = asyncio.create_task(call.run())
        async with asyncio.timeout(10):
            while not (await sync_to_async(counts)())[2]:  # noqa: ASYNC110 - the row is the event
                await asyncio.sleep(0.01)
        # Encrypted again, as rotate_secrets does it: the key itself is the same.
        await sync_to_async(change_connection(key="sk-own"))(self.account)
        await running

        self.assertEqual(json.loads(call.answer().events()[-1][1])["status"], "complete")

    async def test_any_number_of_turns_is_two_queries(self) -> None:
        uses = [
            revocation.AgentUse(
                self.account.pk, self.instance.pk, (Connection("own", f"https://{number}.example"),)
            )
            for number in range(30)
        ]

        def counted() -> tuple[int, set[Any]]:
            with CaptureQueriesContext(connection) as queries:
                found = revocation.ended(uses)
            selects = [each for each in queries if each["sql"].startswith('SELECT "')]
            return len(selects), set(found.values())

        self.assertEqual(await sync_to_async(counted)(), (2, {revocation.ConnectionChanged}))


class StandingTests(AgentFixtures, TestCase):
    """Whether a caller may still call, read from the database."""

    def caller(self, **fields: Any) -> Caller:
        values: dict[str, Any] = {"account_id": self.account.pk, "account_slug": "acme"}
        return Caller(**(values | {"scopes": frozenset({"chat"})} | fields))

    def test_a_key_is_checked_again(self) -> None:
        key_id = self.secret.split("_")[2]
        mine = self.caller(key_id=key_id)
        self.assertTrue(still_admitted(mine))
        self.assertFalse(still_admitted(self.caller(key_id="0" * 12)))
        change_keys(revoked_at=timezone.now())(self.account)
        self.assertFalse(still_admitted(mine))

    def test_a_cookies_visitor_depends_on_the_account(self) -> None:
        visitor = self.caller(session_key="a" * 64)
        self.assertTrue(still_admitted(visitor))
        suspend(self.account)
        self.assertFalse(still_admitted(visitor))

    def test_a_member_must_still_be_one_and_be_active(self) -> None:
        user = make_user("m@example.com")
        place = make_membership(self.account, user)
        member = self.caller(role=MemberRole.MEMBER, user_id=user.pk)
        self.assertTrue(still_admitted(member))
        change_row(place, role=MemberRole.VIEWER)
        self.assertFalse(still_admitted(member))
        change_row(place, role=MemberRole.OWNER)
        user.is_active = False
        user.save()
        self.assertFalse(still_admitted(member))

    def test_an_account_that_took_over_the_name_is_another(self) -> None:
        self.assertFalse(still_admitted(self.caller(account_id=self.instance.pk)))
