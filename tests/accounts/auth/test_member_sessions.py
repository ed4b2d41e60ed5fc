from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.test import RequestFactory, TestCase
from django.utils import timezone

from accounts.members import members
from accounts.models import Account, AccountStatus, MemberRole, Membership
from accounts.tenancy.context import platform_context
from salient.ttl import CACHE_TTL, clear_caches
from tests.accounts.member_fixtures import browser_of, log_in, make_member
from tests.support.api_client import ApiClient
from tests.support.database.stored import change_all
from tests.support.factories import make_account, make_instance, make_key
from tests.support.people import make_root

AGENTS = "/accounts/acme/agents"


class MemberCallerTests(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")
        make_instance(self.acme, "bot")
        self.membership = make_member(self.acme, MemberRole.OWNER)
        self.user = self.membership.user
        self.browser = browser_of(self.user)

    async def status(self, client: ApiClient | None = None) -> int:
        clear_caches()
        return (await (client or self.browser).get(AGENTS)).status

    async def test_a_member_calls_with_the_session_cookie(self) -> None:
        answer = await self.browser.get("/accounts/acme/me")

        self.assertEqual(answer.status, 200)
        self.assertEqual((answer.json()["kind"], answer.json()["role"]), ("member", "owner"))

    async def test_a_role_holds_within_its_own_account(self) -> None:
        await sync_to_async(make_account)("beta")

        for account in ("beta", "nowhere", "a%00", "accounts"):
            answer = await self.browser.get(f"/accounts/{account}/agents")
            self.assertEqual(answer.status, 401)

    async def test_each_end_of_a_membership_ends_the_calls(self) -> None:
        def removed() -> None:
            with platform_context():
                Membership.objects.all().delete()

        def suspended() -> None:
            Account.objects.update(status=AccountStatus.SUSPENDED)

        def inactive() -> None:
            self.user.is_active = False
            self.user.save()

        def password_changed() -> None:
            self.user.set_password("another-good-one")
            self.user.save()

        def expired() -> None:
            Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

        def logged_out() -> None:
            Session.objects.all().delete()

        ends: list[Callable[[], None]] = [
            *(removed, suspended, inactive, password_changed, expired, logged_out)
        ]
        for end in ends:
            with self.subTest(end.__name__):
                await sync_to_async(self.renew)()
                self.assertEqual(await self.status(), 200)
                await sync_to_async(end)()
                # Who could call it is told that the account is suspended.
                refused = 403 if end is suspended else 401
                self.assertEqual(await self.status(), refused)

    def renew(self) -> None:
        Account.objects.update(status=AccountStatus.ACTIVE)
        with platform_context():
            Membership.objects.all().delete()
        self.membership = make_member(self.acme, MemberRole.OWNER)
        self.user = self.membership.user
        self.browser = browser_of(self.user)

    async def test_a_demoted_member_loses_the_scopes(self) -> None:
        self.assertEqual((await self.browser.get("/accounts/acme/members")).status, 200)
        await sync_to_async(change_all)(Membership, role=MemberRole.VIEWER)
        clear_caches()

        self.assertEqual((await self.browser.get("/accounts/acme/members")).status, 403)

    async def test_nothing_is_believed_for_longer_than_five_seconds(self) -> None:
        self.assertEqual(CACHE_TTL, 5)
        self.assertEqual(members._callers._seconds, 5)

    def test_one_look_up_is_enough_for_many_calls(self) -> None:
        look = async_to_sync(members.member_caller)
        first = look(self.request(), "acme")
        with self.assertNumQueries(0):
            self.assertEqual(look(self.request(), "acme"), first)
            self.assertIsNone(look(RequestFactory().get("/"), "acme"))

    def request(self) -> HttpRequest:
        request = RequestFactory().get("/")
        name, _, value = self.browser.headers["cookie"].partition("=")
        request.COOKIES[name] = value
        return request

    async def test_a_secret_key_that_was_retired_still_opens_its_sessions(self) -> None:
        with self.settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
            self.assertEqual(await self.status(), 200)

    async def test_what_is_no_session_is_nobody(self) -> None:
        cookie = settings.SESSION_COOKIE_NAME
        for value in ("", "x", "a" * 32, "A" * 32, "a" * 5000, "'; DROP TABLE users; --"):
            stranger = ApiClient(
                headers={"cookie": f"{cookie}={value}", "sec-fetch-site": "same-origin"}
            )
            self.assertEqual(await self.status(stranger), 401)

    async def test_staff_without_a_place_in_the_account_are_nobody_there(self) -> None:
        staff = await sync_to_async(make_root)()

        self.assertEqual(await self.status(await sync_to_async(browser_of)(staff)), 401)

    async def test_a_key_wins_over_the_cookie(self) -> None:
        _, weak = await sync_to_async(make_key)(self.acme, scopes=["chat"])
        both = ApiClient(weak, headers=self.browser.headers)

        self.assertEqual((await both.get("/accounts/acme/members")).status, 403)


class SameOriginTests(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")
        self.owner = make_member(self.acme, MemberRole.OWNER)
        self.cookie = f"{settings.SESSION_COOKIE_NAME}={log_in(self.owner.user)}"

    async def invite(self, **headers: str) -> int:
        client = ApiClient(headers={"cookie": self.cookie} | headers)
        body = {"email": "new@a.example", "role": "viewer"}
        return (await client.post("/accounts/acme/members", body)).status

    async def test_a_write_needs_the_proof_that_our_own_page_sent_it(self) -> None:
        for headers, status in (
            ({"sec-fetch-site": "same-origin"}, 201),
            ({"origin": "http://localhost"}, 201),
            ({}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"sec-fetch-site": "same-site"}, 403),
            ({"sec-fetch-site": "none"}, 403),
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({"sec-fetch-site": "cross-site", "origin": "http://localhost"}, 403),
        ):
            with self.subTest(headers=headers):
                self.assertEqual(await self.invite(**headers), status)

    async def test_a_form_is_no_json(self) -> None:
        kinds = ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "")
        for kind in kinds:
            status = await self.invite(**{"sec-fetch-site": "same-origin", "content-type": kind})
            self.assertEqual(status, 415)
