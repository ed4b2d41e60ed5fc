"""Renamed accounts and agents: what goes on, where old addresses lead, and to whom."""

from __future__ import annotations

import json
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import IntegrityError, connection
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.auth import visitor_tokens
from accounts.models import Account, AuditEntry, FormerSlug, KeyMode, MemberRole, Scope
from accounts.tenancy import renames as accounts
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.lookups import find_account
from accounts.tenancy.renames import SlugTaken
from agents.instances import renames as agents
from agents.instances.services import find_instance
from agents.models import AgentInstance, FormerAgentSlug
from salient.api.problems import Invalid
from salient.management.base import Refused
from salient.ttl import clear_caches
from sessions_app.models import LLMRequest, Session
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import Answer, ApiClient
from tests.support.commands import run, run_json
from tests.support.database.stored import as_platform, change_row, refresh, row_of, rows_of
from tests.support.factories import make_account, make_instance, make_key, write_config
from tests.support.fixtures import AgentFixtures

OLD, NEW = "/accounts/acme", "/accounts/zenith"


class RenameCase(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        clear_caches()

    def rename_account(self, slug: str = "zenith", **options: Any) -> None:
        as_platform(accounts.rename_account, self.account.pk, slug, **options)
        clear_caches()

    def rename_agent(self, slug: str = "helper", **options: Any) -> None:
        with tenant_context(self.account.pk):
            agents.rename_agent(self.instance, slug, **options)
        clear_caches()

    async def chat(self, path: str, client: ApiClient | None = None, **options: Any) -> Answer:
        raw = b'{"message": "hello"}'
        return await (client or self.api).call("POST", path, raw=raw, **options)

    def assert_moved(self, answer: Answer, location: str) -> None:
        self.assertEqual(answer.status, 308, answer.body)
        self.assertEqual(answer.headers["location"], location)
        self.assertIn("no-store", answer.headers["cache-control"])


class OldAddressTests(RenameCase):
    async def test_every_old_address_leads_to_the_new_one_and_keys_go_on(self) -> None:
        said = (await self.chat(f"{OLD}/agents/bot/chat")).json()
        await sync_to_async(self.rename_account)()

        for method, rest in (
            ("POST", "agents/bot/chat"),
            ("POST", "agents/bot/stream"),
            ("GET", "agents/bot/history"),
            ("POST", "v1/chat/completions"),
            ("GET", "agents/bot/v1/models"),
            ("GET", "me"),
        ):
            raw = b'{"message": "hello"}' if method == "POST" else b""
            answer = await self.api.call(method, f"{OLD}/{rest}", raw=raw, query={"a": "b&c"})
            self.assert_moved(answer, f"{NEW}/{rest}?a=b%26c")
        self.assertEqual((await self.chat(f"{NEW}/agents/bot/chat")).status, 200)
        read = await self.api.get(f"{NEW}/agents/bot/history", session_id=said["session_id"])
        self.assertEqual(len(read.json()["messages"]), 2)

    async def test_the_slugs_in_all_rows_follow(self) -> None:
        await self.chat(f"{OLD}/agents/bot/chat")
        await sync_to_async(self.rename_account)()
        await sync_to_async(self.rename_agent)()

        def slugs() -> set[tuple[str, str]]:
            names = ("account_slug", "agent_instance_slug")
            with tenant_context(self.account.pk):
                return {
                    *LLMRequest.objects.values_list(*names),
                    *Session.objects.values_list(*names),
                }

        self.assertEqual(await sync_to_async(slugs)(), {("zenith", "helper")})

    async def test_an_agent_leads_on_with_every_address_below_it(self) -> None:
        await sync_to_async(self.rename_agent)()

        answer = await self.chat(f"{OLD}/agents/bot/chat")
        self.assert_moved(answer, f"{OLD}/agents/helper/chat")
        self.assert_moved(
            await self.api.get(f"{OLD}/agents/bot/sessions", limit=3),
            f"{OLD}/agents/helper/sessions?limit=3",
        )
        self.assert_moved(await self.api.get(f"{OLD}/agents/bot"), f"{OLD}/agents/helper")
        self.assertEqual((await self.chat(f"{OLD}/agents/helper/chat")).status, 200)

    async def test_a_model_named_in_a_body_is_the_agent_that_had_the_name(self) -> None:
        await sync_to_async(self.rename_agent)()
        body = {"model": "bot", "messages": [{"role": "user", "content": "hi"}]}

        answer = await self.api.post(f"{OLD}/v1/chat/completions", body)

        self.assertEqual((answer.status, answer.json()["model"]), (200, "helper"), answer.body)

    async def test_who_may_not_see_the_account_learns_nothing(self) -> None:
        other = await sync_to_async(make_account)("beta")
        _, text = await sync_to_async(make_key)(other)
        unknown = [
            await self.chat("/accounts/nobody/agents/bot/chat", client)
            for client in (ApiClient(), ApiClient(text))
        ]
        await sync_to_async(self.rename_account)()

        for client, expected in zip((ApiClient(), ApiClient(text)), unknown, strict=True):
            answer = await self.chat(f"{OLD}/agents/bot/chat", client)
            self.assertEqual((answer.status, answer.body), (expected.status, expected.body))
        self.assertEqual([each.status for each in unknown], [401, 404])

    async def test_a_key_of_another_agent_is_not_led_on(self) -> None:
        second = await sync_to_async(make_instance)(self.account, "second")
        _, text = await sync_to_async(make_key)(self.account, instance_ids=[second.pk])
        await sync_to_async(self.rename_agent)()

        answer = await self.chat(f"{OLD}/agents/bot/chat", ApiClient(text))

        self.assertEqual(answer.status, 404)

    async def test_an_expired_or_released_slug_is_unknown(self) -> None:
        await sync_to_async(self.rename_account)()
        await sync_to_async(self.rename_agent)()

        def expire(model: Any) -> None:
            with platform_context():
                model.objects.update(expires_at=timezone.now())

        await sync_to_async(expire)(FormerSlug)
        self.assertEqual((await self.chat(f"{OLD}/agents/helper/chat")).status, 404)
        await sync_to_async(expire)(FormerAgentSlug)
        self.assertEqual((await self.chat(f"{NEW}/agents/bot/chat")).status, 404)

    async def test_members_tokens_and_visitors_are_led_on(self) -> None:
        ann = (await sync_to_async(make_member)(self.account, MemberRole.ADMIN, "a@b.com")).user
        member = await sync_to_async(browser_of)(ann)
        token = (await self.api.post(f"{OLD}/agents/bot/visitors", {})).json()["token"]
        page = await self.async_client.get(f"{OLD}/agents/bot/", secure=True)
        cookies = {name: each.value for name, each in page.cookies.items()}
        await sync_to_async(self.rename_account)()

        self.assert_moved(await member.get(f"{OLD}/agents"), f"{NEW}/agents")
        answer = await self.chat(f"{OLD}/agents/bot/chat", ApiClient(token))
        self.assert_moved(answer, f"{NEW}/agents/bot/chat")
        said = await self.chat(f"{NEW}/agents/bot/chat", ApiClient(token))
        self.assertEqual(said.status, 200)
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
        headers["Sec-Fetch-Site"] = "same-origin"
        answer = await self.chat(f"{OLD}/agents/bot/chat", ApiClient(), headers=headers)
        self.assert_moved(answer, f"{NEW}/agents/bot/chat")
        kept = SimpleCookie(answer.headers["set-cookie"])
        [name] = kept
        self.assertEqual(name, visitor_tokens.cookie_name("zenith", "bot"))
        headers["Cookie"] = f"{name}={kept[name].value}"
        said = await self.chat(f"{NEW}/agents/bot/chat", ApiClient(), headers=headers)
        self.assertEqual(said.status, 200, said.body)

    async def test_pages_lead_on_and_the_visitor_keeps_the_conversation(self) -> None:
        await self.async_client.get(f"{OLD}/agents/bot/", secure=True)
        await sync_to_async(self.rename_account)()
        await sync_to_async(self.rename_agent)()

        moved = await self.async_client.get(f"{OLD}/agents/bot/?x=1", secure=True)

        self.assertEqual((moved.status_code, moved["Location"]), (308, f"{NEW}/agents/helper/?x=1"))
        self.assertIn(visitor_tokens.cookie_name("zenith", "helper"), moved.cookies)
        self.assertEqual(
            (await self.async_client.get(moved["Location"], secure=True)).status_code, 200
        )
        self.assertEqual(
            (await self.async_client.get(f"{OLD}/agents/none/", secure=True)).status_code, 404
        )

    async def test_a_page_of_another_site_may_follow(self) -> None:
        await sync_to_async(self.rename_agent)()
        headers = {"Origin": "https://shop.example"}

        answer = await self.chat(f"{OLD}/agents/bot/chat", headers=headers)

        self.assert_moved(answer, f"{OLD}/agents/helper/chat")
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://shop.example")


class OtherProcessTests(RenameCase):
    """What a process that still has the old names in its caches answers."""

    async def test_a_turn_under_an_old_name_is_led_on_and_nothing_is_stored(self) -> None:
        await self.chat(f"{OLD}/agents/bot/chat")
        with mock.patch.object(accounts, "forget_rows"), mock.patch.object(agents, "forget_rows"):
            await sync_to_async(self.rename_without_forgetting)()
        before = await sync_to_async(self.turns)()

        answer = await self.chat(f"{OLD}/agents/bot/chat")

        self.assert_moved(answer, f"{NEW}/agents/bot/chat")
        self.assertEqual(await sync_to_async(self.turns)(), before)

    async def test_a_new_name_works_at_once(self) -> None:
        await self.chat(f"{OLD}/agents/bot/chat")
        with mock.patch.object(accounts, "forget_rows"), mock.patch.object(agents, "forget_rows"):
            await sync_to_async(self.rename_without_forgetting)()

        self.assertEqual((await self.chat(f"{NEW}/agents/bot/chat")).status, 200)

    def rename_without_forgetting(self) -> None:
        as_platform(accounts.rename_account, self.account.pk, "zenith")

    def turns(self) -> int:
        with tenant_context(self.account.pk):
            return LLMRequest.objects.count()


class CountTests(RenameCase):
    def test_a_rename_forgets_no_wrong_key(self) -> None:
        wrong = "sal_sk_abcdefghijkl_0123456789abcdefghijABCDEFGHIJ01"

        def refused() -> int:
            return async_to_sync(self.chat)(f"{OLD}/agents/bot/chat", ApiClient(wrong)).status

        with override_settings(LIMIT_WRONG_KEYS_PER_MINUTE_PER_ADDRESS=2):
            self.assertEqual([refused() for _ in range(3)], [401, 401, 429])
            with self.captureOnCommitCallbacks(execute=True), tenant_context(self.account.pk):
                agents.rename_agent(self.instance, "helper")
            self.assertEqual(refused(), 429)


class StatementTests(RenameCase):
    def asked(self, path: str) -> list[str]:
        """Return the statements of a turn that read a former slug."""
        with CaptureQueriesContext(connection) as found:
            async_to_sync(self.chat)(path)
        self.assertTrue(found.captured_queries)
        return [each["sql"] for each in found if "former_" in each["sql"]]

    def test_former_slugs_are_read_only_where_nothing_else_was_found(self) -> None:
        self.assertEqual(self.asked(f"{OLD}/agents/bot/chat"), [])
        self.assertEqual(len(self.asked(f"{OLD}/agents/none/chat")), 1)
        self.assertEqual(len(self.asked("/accounts/nobody/agents/bot/chat")), 1)
        self.rename_account()
        self.rename_agent()
        self.assertEqual(self.asked(f"{NEW}/agents/helper/chat"), [])


class TakenTests(RenameCase):
    def test_no_other_account_gets_the_slug_while_it_leads_on(self) -> None:
        self.rename_account()

        with self.assertRaises(IntegrityError):
            make_account("acme")
        other = make_account("beta")
        with self.assertRaises(SlugTaken), platform_context():
            accounts.rename_account(other.pk, "acme")
        with self.assertRaises(IntegrityError), platform_context():
            Account.objects.filter(pk=other.pk).update(slug="acme")
        self.rename_account("acme")
        self.assertEqual(find_account("acme"), self.account)
        with platform_context():
            self.assertEqual(
                [str(s) for s in accounts.former_slugs_of(self.account.pk)], ["zenith"]
            )

    def test_an_account_cannot_take_the_slugs_of_many(self) -> None:
        with mock.patch.object(accounts, "MOST_FORMER", 2):
            self.rename_account("one")
            self.rename_account("two")
            with self.assertRaises(Invalid):
                self.rename_account("three")
            # Back to one of them takes no more.
            self.rename_account("one")
        self.assertIsNone(find_account("three"))

    def test_nobody_renames_back_and_forth_all_day(self) -> None:
        """Each time all rows of the conversations are written anew, and turns wait."""
        with mock.patch.object(accounts, "MOST_RENAMES", 2):
            for rename, first in ((self.rename_account, "acme"), (self.rename_agent, "bot")):
                rename("zenith")
                rename(first)
                with self.assertRaisesMessage(Invalid, "within the last hour"):
                    rename("zenith")
                # Nothing is renamed by this, nor counted.
                rename(first)

    def test_a_slug_under_which_files_lie_goes_to_nobody_even_when_it_is_released(self) -> None:
        self.rename_account(kept=timedelta(0))
        with self.assertRaises(IntegrityError):
            make_account("acme")

        for name in ("config.yaml", "system_prompt.md"):
            old = settings.AGENT_CONFIG_DIR / "acme" / "bot" / name
            if old.exists():
                new = settings.AGENT_CONFIG_DIR / "zenith" / "bot" / name
                new.parent.mkdir(parents=True, exist_ok=True)
                new.write_bytes(old.read_bytes())
        run("rename_agent", "zenith", "bot", "--own-folder")

        self.assertEqual(make_account("acme").slug, "acme")

    def test_own_folders_that_differ_are_refused(self) -> None:
        self.rename_account()

        with self.assertRaises(Refused):
            run("rename_agent", "zenith", "bot", "--own-folder")

    def test_no_other_agent_gets_the_slug_of_one(self) -> None:
        self.rename_agent()

        with self.assertRaises(IntegrityError):
            make_instance(self.account, "bot")
        other = make_instance(self.account, "other")
        with self.assertRaises(SlugTaken), tenant_context(self.account.pk):
            agents.rename_agent(other, "bot")
        self.assertEqual(make_instance(make_account("beta"), "bot").instance_slug, "bot")
        self.rename_agent("bot")
        with tenant_context(self.account.pk):
            self.assertEqual(find_instance(self.account.pk, "bot"), self.instance)


class FileTests(RenameCase):
    config = "model: scripted:echo\nopening_message: Ahoy.\n"

    async def opening(self, path: str) -> Any:
        clear_caches()
        return (await self.api.get(path)).json()["opening_message"]

    async def test_an_agent_goes_on_with_its_files_through_any_renames(self) -> None:
        # Files of nobody under the new names must not configure it.
        write_config(settings.AGENT_CONFIG_DIR, "zenith", "helper", "model: scripted:echo\n", "No.")
        version = (await self.api.get(f"{OLD}/agents/bot")).json()["config_version"]

        await sync_to_async(self.rename_account)()
        self.assertEqual(await self.opening(f"{NEW}/agents/bot"), "Ahoy.")
        await sync_to_async(self.rename_agent)()
        described = (await self.api.get(f"{NEW}/agents/helper")).json()
        self.assertEqual(described["config_version"], version)
        await sync_to_async(self.rename_agent)("bot")
        await sync_to_async(self.rename_account)("acme")
        self.assertEqual(await self.opening(f"{OLD}/agents/bot"), "Ahoy.")

        def folders() -> list[str]:
            account = row_of(Account, pk=self.account.pk)
            instance = row_of(AgentInstance, pk=self.instance.pk)
            return [account.config_folder, instance.config_folder]

        self.assertEqual(await sync_to_async(folders)(), ["", ""])

    def test_a_new_agent_of_a_renamed_account_has_the_accounts_folder(self) -> None:
        self.rename_account()
        refresh(self.account)
        made = make_instance(self.account, "fresh")

        self.assertEqual(made.folder, ("acme", "fresh"))


class ServiceTests(RenameCase):
    async def test_owners_and_admins_rename_by_the_api_and_the_log_names_them(self) -> None:
        admin = (await sync_to_async(make_member)(self.account, MemberRole.ADMIN, "a@b.com")).user
        browser = await sync_to_async(browser_of)(admin)
        raw = json.dumps({"slug": "zenith", "name": "Zenith"}).encode()

        answer = await browser.call("PATCH", OLD, raw=raw)

        self.assertEqual(answer.status, 200, answer.body)
        changed = answer.json()
        self.assertEqual((changed["slug"], changed["name"]), ("zenith", "Zenith"))
        [former] = changed["former_slugs"]
        self.assertEqual(former["slug"], "acme")
        raw = json.dumps({"instance_slug": "helper"}).encode()
        answer = await browser.call("PATCH", f"{NEW}/agents/bot", raw=raw)
        self.assertEqual((answer.status, answer.json()["instance_slug"]), (200, "helper"))

        rows = await sync_to_async(rows_of)(AuditEntry, "created_at", actor_id=str(admin.pk))
        found: dict[str, Any] = {row.object_type: row.changes for row in rows}
        self.assertEqual(found["accounts"]["slug"], ["acme", "zenith"])
        self.assertEqual(found["agent_instances"]["instance_slug"], ["bot", "helper"])

    async def test_who_was_demoted_a_moment_ago_renames_nothing(self) -> None:
        member = await sync_to_async(make_member)(self.account, MemberRole.ADMIN, "a@b.com")
        browser = await sync_to_async(browser_of)(member.user)
        self.assertEqual((await browser.get(f"{OLD}/agents")).status, 200)

        await sync_to_async(change_row)(member, role=MemberRole.VIEWER)
        answer = await browser.call("PATCH", OLD, raw=b'{"slug": "zenith"}')
        self.assertEqual(answer.status, 403, answer.body)
        self.assertIsNone(await sync_to_async(find_account)("zenith"))

    async def test_a_taken_or_reserved_slug_is_refused(self) -> None:
        await sync_to_async(make_account)("beta")
        _, text = await sync_to_async(make_key)(self.account, scopes=[Scope.MEMBERS_WRITE])
        _, test = await sync_to_async(make_key)(
            self.account, scopes=[Scope.MEMBERS_WRITE], mode=KeyMode.TEST
        )
        for slug, client, status in (
            ("beta", ApiClient(text), 409),
            ("admin", ApiClient(text), 400),
            ("No", ApiClient(text), 400),
            ("fine", ApiClient(test), 403),
        ):
            with self.subTest(slug=slug):
                raw = json.dumps({"slug": slug}).encode()
                self.assertEqual((await client.call("PATCH", OLD, raw=raw)).status, status)

    def test_commands_rename_show_and_release(self) -> None:
        self.assertFalse(run_json("rename_account", "acme", "zenith", "--dry-run")["changed"])
        report = run_json("rename_account", "acme", "zenith", "--days", "7")
        self.assertEqual((report["account"], report["config_folder"]), ("zenith", "acme"))
        self.assertEqual(run_json("rename_account", "zenith", "--release", "acme")["former"], [])
        report = run_json("rename_agent", "zenith", "bot", "helper")
        self.assertEqual([each["slug"] for each in report["former"]], ["bot"])
        self.assertEqual(report["config_folder"], "acme/bot")
        self.assertEqual(
            run_json("rename_agent", "zenith", "helper", "--release", "bot")["former"], []
        )
        with self.assertRaises(Refused):
            run_json("rename_account", "zenith", "--release", "never")

    def test_a_dry_run_says_what_would_be_refused_and_lines_say_what_was_done(self) -> None:
        make_account("taken")
        make_instance(self.account, "other")
        for words in (
            ("rename_account", "acme", "taken"),
            ("rename_agent", "acme", "bot", "other"),
        ):
            with self.subTest(words=words), self.assertRaisesRegex(Refused, "is taken"):
                run(*words, "--dry-run")

        tried = run("rename_account", "acme", "zenith", "--dry-run")
        self.assertIn("Account acme would be renamed to zenith; nothing was changed.", tried)
        self.assertIn("The account's slug is zenith now.", run("rename_account", "acme", "zenith"))
        self.assertIn("The former slug acme leads to zenith until", run("rename_account", "zenith"))
        tried = run("rename_agent", "zenith", "bot", "helper", "--dry-run")
        self.assertIn("Agent zenith/bot would be renamed to helper; nothing was changed.", tried)
        self.assertIn("No former slug leads to agent zenith/bot.", tried)
        done = run("rename_agent", "zenith", "bot", "helper")
        self.assertIn("The agent is zenith/helper now.", done)
