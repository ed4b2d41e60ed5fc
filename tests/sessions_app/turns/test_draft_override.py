"""The playground's token: real turns of staff, at one agent, for minutes, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.core import signing
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings
from django.utils import timezone

from accounts.auth import staff_tokens
from accounts.auth.caller import Caller
from accounts.auth.revocation import still_admitted
from accounts.auth.staff_tokens import new_token, read_token, write_token
from accounts.models import AccountStatus, User
from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from agents.models import ConfigPublication, ConfigVersion
from salient.api.problems import Unauthenticated
from salient.ttl import clear_caches
from sessions_app.models import Session
from tests.support.api_client import Answer, ApiClient, Call
from tests.support.database.stored import as_platform, change_row, row_of
from tests.support.factories import make_account, make_instance, make_membership, make_user
from tests.support.fixtures import AgentFixtures, PlaygroundFixtures, counts, stored
from tests.support.isolation.routes import routes
from tests.support.people import make_staff

# The routes where staff with a token get in; every other one refuses them.
OPEN_TO_STAFF = {
    "openapi.json",
    "chat",
    "stream",
    "history",
    "sessions",
    "me",
    "feedback",
    "test-chats",
}
# Of OpenAI's API: the one agent of the token is all that they show and run.
OPEN_TO_STAFF |= {"completions", "models", "<str:model>", "responses"}
OPEN_TO_STAFF |= {"ag-ui", "ui-messages"}


class TokenTests(SimpleTestCase):
    def setUp(self) -> None:
        ids = [User().pk for _ in range(4)]
        self.token = staff_tokens.StaffToken(
            ids[0], ids[1], ids[2], timezone.now().replace(microsecond=0) + timedelta(minutes=9)
        )

    def test_a_token_reads_as_it_was_written(self) -> None:
        self.assertEqual(read_token(write_token(self.token)), self.token)

    def test_it_lasts_a_quarter_of_an_hour_at_most(self) -> None:
        token = new_token(User(), self.token.account_id, self.token.instance_id)

        self.assertLessEqual(token.expires_at - timezone.now(), timedelta(minutes=15))

    def test_a_forged_or_cut_or_foreign_token_is_refused(self) -> None:
        text = write_token(self.token)
        other_salt = signing.Signer(salt="salient.visitor-token", sep=".")
        visitors = staff_tokens.PREFIX + other_salt.sign_object({"u": self.token.user_id.hex})
        for bad in (text[:-1], text[:-1] + "!", f"{text}x", staff_tokens.PREFIX, visitors):
            with self.subTest(bad), self.assertRaises(Unauthenticated):
                read_token(bad)

    def test_an_expired_one_is_refused(self) -> None:
        later = timezone.now() + timedelta(minutes=10)
        with mock.patch.object(timezone, "now", return_value=later):
            self.assertRaises(Unauthenticated, read_token, write_token(self.token))


class TurnTests(PlaygroundFixtures, TestCase):
    async def test_a_turn_of_staff_is_a_real_one_and_says_whose_it_was(self) -> None:
        answer = await self.play(self.player, "stream")

        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.events()[-1][0], "done")
        [_, message], [request] = await sync_to_async(stored)()
        self.assertTrue(message.content)
        self.assertEqual(request.caller, f"staff:{self.staff.pk}")
        self.assertFalse(request.is_test)
        session = await sync_to_async(self.session)()
        self.assertEqual(session.user_id, self.staff.pk)
        self.assertFalse(session.is_anonymous)

    def session(self) -> Session:
        return row_of(Session)

    async def test_a_conversation_continues(self) -> None:
        first = (await self.play(self.player)).json()
        again = (await self.play(self.player, session_id=first["session_id"])).json()

        self.assertEqual(again["session_id"], first["session_id"])
        history = await self.player.get(self.path("history"), session_id=first["session_id"])
        self.assertEqual(len(history.json()["messages"]), 4)

    async def test_without_a_draft_it_is_the_agent_as_everybody_meets_it(self) -> None:
        public = await self.say("hello")
        mine = (await self.play(self.player)).json()

        self.assertEqual(mine["config_version"], public["config_version"])

    async def test_with_the_draft_it_is_the_draft_and_that_never_serves(self) -> None:
        public = await self.say("hello")
        trying = self.client_of(self.staff, draft_id=self.draft.pk)
        tried = (await self.play(trying)).json()
        after = await self.say("hello")

        self.assertNotEqual(tried["config_version"], public["config_version"])
        self.assertEqual(after["config_version"], public["config_version"])
        version = await sync_to_async(self.version)(tried["config_version"])
        self.assertEqual(version.content["system_prompt"], "Be a pirate.")
        self.assertIsNone(version.last_served_at)

    def version(self, start: str) -> ConfigVersion:
        return row_of(ConfigVersion, digest__startswith=start)

    async def test_a_deleted_or_broken_draft_is_reported(self) -> None:
        trying = self.client_of(self.staff, draft_id=self.draft.pk)
        await sync_to_async(self.write)("modell: x\n")
        broken = await self.play(trying)
        await sync_to_async(self.write)(None)
        gone = await self.play(trying)

        self.assertEqual((broken.status, broken.json()["code"]), (503, "agent_misconfigured"))
        self.assertIn("modell", broken.json()["detail"])
        self.assertEqual((gone.status, gone.json()["code"]), (409, "draft_gone"))
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    def write(self, text: str | None) -> None:
        with platform_context():
            if text is None:
                self.draft.delete()
            else:
                self.draft.text = text
                self.draft.save()


class RightsTests(PlaygroundFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.beta = make_account("beta")
        self.other = make_instance(self.account, "other")
        self.foreign = make_instance(self.beta, "bot")

    def same(self, *answers: Answer) -> None:
        contents = [(answer.status, answer.body, answer.headers) for answer in answers]
        self.assertEqual(contents[1:], contents[:-1])

    async def test_it_works_at_its_one_agent_only(self) -> None:
        body = {"message": "hello"}
        unknown = {
            account: await self.player.post(self.path("chat", account, "nothing"), body)
            for account in ("acme", "unknown")
        }
        for account, instance in (("acme", "other"), ("beta", "bot"), ("nowhere", "bot")):
            with self.subTest(account=account, instance=instance):
                answer = await self.player.post(self.path("chat", account, instance), body)
                self.assertEqual(answer.status, 404)
                self.same(answer, unknown["acme" if account == "acme" else "unknown"])

    async def test_every_other_route_refuses_it(self) -> None:
        values = {"account": "acme", "instance": "bot"}
        for route in routes():
            if not route.is_api() or not route.pattern.startswith("accounts/"):
                continue
            for method in route.methods:
                path = route.path(dict.fromkeys(route.parameters, "x") | values)
                answer = await self.player.call(method, path, raw=b"{}")
                with self.subTest(f"{method} {path}"):
                    last = route.pattern.rsplit("/", 1)[-1]
                    if last not in OPEN_TO_STAFF:
                        self.assertIn(answer.status, {403, 404})

    async def test_conversations_of_others_are_not_shown(self) -> None:
        theirs = await self.say("a customer's secret")
        colleague = self.client_of(await sync_to_async(make_staff)())
        colleagues = (await self.play(colleague)).json()
        for session_id in (theirs["session_id"], colleagues["session_id"]):
            answer = await self.player.get(self.path("history"), session_id=session_id)
            self.assertEqual(answer.status, 404)
            answer = await self.play(self.player, session_id=session_id)
            self.assertEqual(answer.status, 404)
        listed = await self.player.get(self.path("sessions"))
        self.assertEqual(listed.json()["sessions"], [])

    async def test_a_forged_or_expired_one_is_unknown(self) -> None:
        token = new_token(self.staff, self.account.pk, self.instance.pk)
        old = write_token(
            staff_tokens.StaffToken(
                token.user_id, token.account_id, token.instance_id, timezone.now()
            )
        )
        for bad in (old, write_token(token)[:-2], "sal_pt_", "sal_pt_.", "sal_pt_x.y"):
            with self.subTest(bad):
                self.assertEqual((await self.play(ApiClient(bad))).status, 401)
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    async def test_it_is_never_read_from_an_address_a_cookie_or_a_body(self) -> None:
        token = self.player.key
        address = await ApiClient().get(self.path("stream"), message="hi", token=token)
        cookie = await ApiClient(headers={"cookie": f"token={token}"}).post(
            self.path("chat"), {"message": "hi"}
        )
        body = await ApiClient().post(self.path("chat"), {"message": "hi", "token": token})

        self.assertEqual(address.status, 400)
        self.assertIn("Never put a key into an address", address.json()["detail"])
        self.assertEqual((cookie.status, body.status), (401, 401))

    async def test_a_suspended_account_says_so(self) -> None:
        await sync_to_async(change_row)(self.account, status=AccountStatus.SUSPENDED)
        self.assertEqual((await self.play(self.player)).json()["code"], "suspended")


def without_right(user: User) -> None:
    user.user_permissions.clear()


def demoted(**fields: Any) -> Callable[[User], None]:
    def change(user: User) -> None:
        User.objects.filter(pk=user.pk).update(**fields)

    return change


DEMOTIONS: dict[str, Callable[[User], object]] = {
    "no staff": demoted(is_staff=False),
    "inactive": demoted(is_active=False),
    "an auditor": demoted(is_auditor=True),
    "without the permission": without_right,
    "deleted": User.delete,
}


class DemotedTests(PlaygroundFixtures, TestCase):
    async def test_a_demoted_person_is_refused(self) -> None:
        for name, demote in DEMOTIONS.items():
            staff = await sync_to_async(make_staff)()
            client = self.client_of(staff)
            with self.subTest(name):
                self.assertEqual((await self.play(client, "history")).status, 405)
                await sync_to_async(demote)(staff)
                # Seconds later, when the caches have expired.
                clear_caches()
                self.assertEqual((await self.play(client)).status, 401)

    async def test_an_auditor_and_other_people_get_nowhere(self) -> None:
        people = [
            await sync_to_async(make_user)(is_staff=True, is_auditor=True),
            await sync_to_async(make_staff)(is_staff=False),
            await sync_to_async(make_user)(is_staff=True),
        ]
        for person in people:
            self.assertEqual((await self.play(self.client_of(person))).status, 401)


@override_settings(REVOCATION_CHECK_SECONDS=0.05)
class RunningTests(PlaygroundFixtures, TestCase):
    config = "model: scripted:echo?first_ms=60000\n"

    async def cut_by(self, client: ApiClient, change: Callable[[], None]) -> Answer:
        call = Call(client, "POST", self.path("stream"), raw=b'{"message": "hello"}')
        running = asyncio.create_task(call.run())
        async with asyncio.timeout(10):
            while not (await sync_to_async(counts)())[2]:  # noqa: ASYNC110 - the row is the event
                await asyncio.sleep(0.01)
            await sync_to_async(change)()
            await running
        return call.answer()

    async def test_the_stream_of_demoted_staff_ends(self) -> None:
        answer = await self.cut_by(self.player, lambda: demoted(is_staff=False)(self.staff))

        self.assertIn("access_ended", answer.body.decode())

    async def test_a_member_who_is_staff_as_well_does_not_answer_for_the_token(self) -> None:
        await sync_to_async(make_membership)(self.account, self.staff)
        answer = await self.cut_by(self.player, lambda: without_right(self.staff))

        self.assertIn("access_ended", answer.body.decode())

    def test_the_person_is_checked_past_every_cache(self) -> None:
        caller = Caller(self.account.pk, "acme", staff_tokens.SCOPES, user_id=self.staff.pk)

        self.assertTrue(still_admitted(caller))
        without_right(self.staff)
        self.assertFalse(still_admitted(caller))


class PublishedTurnTests(AgentFixtures, TransactionTestCase):
    def publish(self, text: str) -> ConfigPublication:
        return as_platform(publishing.publish, self.instance, text, "For this test", None)

    def draft(self, text: str) -> None:
        as_platform(publishing.save_draft, self.instance, text, None)

    def versions(self) -> list[object]:
        _, requests = stored()
        return [request.config_version_id for request in requests]

    async def test_a_publication_is_in_the_next_turn_and_so_is_its_roll_back(self) -> None:
        await self.say("before")
        first = await sync_to_async(self.publish)("temperature: 1.5\n")
        await self.say("after")
        await sync_to_async(self.publish)("")
        await self.say("back")
        before, after, back = await sync_to_async(self.versions)()

        self.assertEqual(after, first.config_version_id)
        self.assertNotEqual(after, before)
        self.assertEqual(back, before)

    async def test_a_draft_is_in_no_turn_of_others(self) -> None:
        await self.say("before")
        await sync_to_async(self.draft)("temperature: 1.5\n")
        await self.say("after")
        before, after = await sync_to_async(self.versions)()

        self.assertEqual(after, before)
