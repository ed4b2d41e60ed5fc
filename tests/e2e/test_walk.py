"""What staff do from the first page to the last, with a mouse and a keyboard."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path

from asgiref.sync import sync_to_async
from django.test import TransactionTestCase, override_settings
from playwright.sync_api import Page, expect

from accounts.models import Account, AuditEntry, User
from accounts.tenancy import platform
from sessions_app.models import LLMRequest
from tests.e2e.browser import Watched, browser
from tests.e2e.world import EMAIL, PASSWORD
from tests.mock_openai import MockOpenAI, Reply, usage
from tests.served import served

# A million tokens read cost $2, a million written $8.
MODEL = "openai:gpt-4.1"
ANSWER = "It left the warehouse this morning."
YAML = f"model: {MODEL}\nsystem_prompt: |\n  You answer for Walkers.\n\n  # Tone\n  Be kind.\n"


class WalkTests(TransactionTestCase):
    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(override_settings(AGENT_CONFIG_DIR=Path(folder)))
        User.objects.create_superuser(EMAIL, PASSWORD)

    async def test_staff_run_the_product_without_a_shell(self) -> None:
        async with asyncio.timeout(300), MockOpenAI(provider="openai") as model:
            model.replies.extend([Reply(ANSWER, usage=usage(1_000_000, 1_000_000))] * 3)
            async with served(cut_after=1) as server:
                wrong = await asyncio.to_thread(walk, server.url)
        self.assertEqual(wrong, [], "\n".join(wrong))
        await sync_to_async(self.check_rows)()

    def check_rows(self) -> None:
        with platform():
            self.assertEqual(Account.objects.get(slug="walkers").status, "suspended")
            said = [
                (each.total_cost, each.caller.partition(":")[0])
                for each in LLMRequest.objects.all()
            ]
            self.assertEqual([who for _, who in said], ["staff"])
            self.assertGreater(said[0][0] or 0, 1)
            log = AuditEntry.objects.filter(account__slug="walkers")
            self.assertEqual(set(log.values_list("actor_kind", flat=True)), {"staff"})


def walk(url: str) -> list[str]:
    with browser() as running:
        tab = Watched(running, url)
        tab.log_in(EMAIL, PASSWORD)
        page = tab.page
        make_account(page)
        make_instance(page)
        publish(page)
        talk(page)
        make_key(page)
        see_the_cost(page)
        roll_back(page)
        suspend(page)
    return tab.wrong


def told(page: Page, words: str) -> None:
    expect(page.locator(".messagelist")).to_contain_text(re.compile(words, re.IGNORECASE))


def make_account(page: Page) -> None:
    page.click("a:visible:text-is('Accounts') >> nth=0")
    page.click(".object-tools .addlink")
    page.fill("#id_name", "Walkers")
    page.fill("#id_slug", "walkers")
    page.click("[name=_continue]")
    told(page, "Walkers.*added successfully")


def make_instance(page: Page) -> None:
    page.goto(page.url.partition("/admin/")[0] + "/admin/agents/agentinstance/add/")
    walkers = page.locator("#id_account option", has_text="walkers").get_attribute("value")
    page.select_option("#id_account", walkers)
    page.fill("#id_instance_slug", "help")
    page.fill("#id_display_name", "Help")
    page.fill("#id_model", "scripted:echo")
    page.click("[name=_continue]")
    told(page, "added successfully")


def publish(page: Page) -> None:
    page.click(".configuration .tools a >> nth=0")
    page.fill("#id_text", YAML.replace("system_prompt", "sistem_prompt"))
    page.click("button[name=review]")
    expect(page.locator(".faults")).to_contain_text("system_prompt")
    page.fill("#id_text", YAML)
    page.click("button[name=review]")
    page.fill("#id_note", "A better model")
    page.click("input[value=Publish]")
    told(page, "published")


def talk(page: Page) -> None:
    page.click(".tools a:has-text('Playground')")
    page.wait_for_load_state()
    page.fill("#playground-input", "Where is my parcel?")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=log]")).to_contain_text(ANSWER)
    expect(page.locator("[data-part=run]")).to_contain_text("$10")
    expect(page.locator("[data-part=send]")).to_be_visible()
    page.click(".breadcrumbs a >> nth=2")


def make_key(page: Page) -> None:
    """See a key for a reason: what was filled in is there again after it was asked for."""
    page.click("text=make a key")
    page.fill("#id_name", "Web shop")
    page.check("[name=way][value=show]")
    page.click("[name=_save]")
    page.fill("#id_reason", "Ticket 4711: the web shop is set up together")
    page.click("input[value='Go on']")
    expect(page.locator("#id_name")).to_have_value("Web shop")
    expect(page.locator("[name=way][value=show]")).to_be_checked()
    page.click("[name=_save]")
    expect(page.locator("#key-text")).to_have_value(re.compile("^sal_sk_"))
    page.click("text=I have stored the key")


def see_the_cost(page: Page) -> None:
    page.click("#site-name a")
    expect(page.locator("#content-main, #content").first).to_contain_text("$10")
    page.goto(page.url.partition("/admin/")[0] + "/admin/sessions_app/llmrequest/")
    page.click("#result_list tbody a >> nth=0")
    expect(page.locator("#content").first).to_contain_text("$10")


def roll_back(page: Page) -> None:
    page.goto(page.url.partition("/admin/")[0] + "/admin/agents/agentinstance/")
    page.click("#result_list tr:has-text('walkers') th a")
    page.click("text=Roll back >> nth=0")
    page.click("input[value='Roll back']")
    told(page, "published|rolled back|number 3")


def suspend(page: Page) -> None:
    page.goto(page.url.partition("/admin/")[0] + "/admin/accounts/account/")
    page.click("#result_list a:text-is('Walkers')")
    page.click("text=Suspend…")
    page.click("button:text-is('Suspend')")
    told(page, "suspended")
