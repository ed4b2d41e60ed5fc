"""Jobs of the desk in a browser, with their clicks: onboard, stop, find, look back, compare."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict

from django.urls import reverse
from playwright.sync_api import Browser, expect

from accounts.models import User
from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from agents.models import AgentInstance
from sessions_app.evals.saved_chats import Answer
from tests.e2e.browser import FULL, NARROW, PHONE, WIDE, Watched
from tests.e2e.fixtures import EMAIL, PASSWORD, BrowserTests
from tests.support.factories import (
    make_account,
    make_instance,
    make_key,
    make_saved_chat,
    make_saved_chat_run,
)

# Where the pages' pictures go, for who looks at them.
PICTURES = os.environ.get("PICTURES", "")
SIZES = (PHONE, NARROW, WIDE)


# Where the menu ends and the page begins, in pixels.
EDGES = """[
  document.querySelector('#nav-sidebar').getBoundingClientRect().right,
  document.querySelector('#content h1').getBoundingClientRect().left,
]"""


class Desk(Watched):
    """A tab that is looked at, at each width, after some of the clicks."""

    def see(self, name: str) -> None:
        """Check a state of a page that tests/e2e/test_pages.py does not see, at each width too."""
        for size in SIZES if PICTURES else ():
            self.page.set_viewport_size(size)
            self.page.screenshot(path=f"{PICTURES}/{name}-{size['width']}.png", full_page=True)
        self.look(*SIZES)


class DeskTests(BrowserTests):
    """A few accounts for all of the jobs."""

    def setUp(self) -> None:
        root = User.objects.create_superuser(EMAIL, PASSWORD, first_name="Ann", last_name="Lee")
        account = make_account("acme", name="Acme Corporation")
        self.agent = make_instance(account, "bot")
        _, self.secret = make_key(account, name="web shop")
        chat = make_saved_chat(self.agent, name="Greets", messages=["hello"], is_gate=False)
        for tone in ("Be brief.", "Be kind.\nAsk back."):
            version = self.publish(root, tone)
            answers = [asdict(Answer("hello", f"Hello. {tone}", status="complete"))]
            make_saved_chat_run(chat, config_version_id=version, answers=answers)

    def publish(self, root: User, prompt: str) -> object:
        lines = "".join(f"  {line}\n" for line in prompt.splitlines())
        text = f"model: scripted:echo\nsystem_prompt: |\n{lines}"
        with platform_context():
            agent = AgentInstance.objects.select_related("account").get(pk=self.agent.pk)
            return publishing.publish(agent, text, prompt, root).config_version_id

    async def test_each_job_takes_the_fewest_clicks(self) -> None:
        async with asyncio.timeout(300):
            wrong = await self.look(self.work)
        self.assertEqual(wrong, [], "\n".join(wrong))

    def work(self, running: Browser, url: str) -> list[str]:
        desk = Desk(running, url)
        desk.log_in(EMAIL, PASSWORD)
        onboard(desk)
        find(desk, self.secret)
        self.stop(desk)
        self.look_back(desk)
        self.compare(desk)
        return desk.wrong

    def open(self, desk: Desk) -> None:
        address = reverse("admin:agents_agentinstance_change", args=[self.agent.pk])
        desk.page.goto(desk.url + address)

    def stop(self, desk: Desk) -> None:
        """Suspend an agent with a reason, and resume it."""
        self.open(desk)
        desk.click("text=Suspend…")
        desk.page.fill("#id_reason", "Ticket 4711: it sends spam")
        desk.click("input[value=Suspend]")
        expect(desk.page.locator(".faults")).to_contain_text("Ticket 4711")
        assert desk.spent() == 2
        desk.see("suspended")
        desk.click("button:text-is('Resume')")
        expect(desk.page.locator(".messagelist")).to_contain_text("resumed")
        assert desk.spent() == 1

    def look_back(self, desk: Desk) -> None:
        """See who changed what, from one button."""
        self.open(desk)
        desk.click(".historylink")
        content = desk.page.locator("#content-main")
        for words in ("number 2 of bot", "Ticket 4711", "by Ann Lee ann@example.com"):
            expect(content).to_contain_text(words)
        assert desk.spent() == 1
        if PICTURES:
            desk.see("history")

    def compare(self, desk: Desk) -> None:
        """See what two versions differ in: values, prompts, answers."""
        self.open(desk)
        desk.click("text=All versions")
        desk.click("button:text-is('Compare')")
        content = desk.page.locator("#content-main")
        expect(content).to_contain_text("1 of 1 answers differ")
        expect(content).to_contain_text("Hello. Be kind.")
        assert desk.spent() == 2
        if PICTURES:
            desk.see("compare")


def onboard(desk: Desk) -> None:
    """Make all that a customer needs on one page; what was typed survives a reload and an error."""
    page = desk.page
    desk.click("#nav-sidebar >> text=Accounts")
    desk.click("text=Onboard a customer")
    page.fill("#id_budget-limit", "50")
    page.fill("#id_account-name", "Walkers & Sons")
    page.fill("#id_agent-name", "Help desk")
    page.fill("#id_agent-slug", "Help Desk")
    page.fill("#id_agent-model", "scripted:echo")
    page.fill("#id_owner-email", "owner@walkers.example")
    page.fill("#id_key-label", "web shop")
    desk.click("input[value=service]")
    desk.click("input[value='Set up']")
    expect(page.locator("#content-main")).to_contain_text("Use 1 to 63 lower-case letters")
    page.reload()
    expect(page.locator("#id_agent-name")).to_have_value("Help desk")
    expect(page.locator("input[value=service]")).to_be_checked()
    if PICTURES:
        desk.see("onboarding-again")
    page.fill("#id_agent-slug", "")
    desk.click("input[value='Set up']")
    expect(page.locator(".badge.ok:text-is('done')")).to_have_count(5)
    assert desk.spent() == 5


def find(desk: Desk, secret: str) -> None:
    """Reach a key by its text and an account by its name, with the keyboard alone."""
    page, options = desk.page, desk.page.locator("#palette-found [role=option]")
    page.wait_for_load_state()
    page.keyboard.press("Control+k")
    page.keyboard.insert_text(secret)
    expect(options).to_have_count(1)
    desk.has_checked_frame = False
    desk.see("palette")
    page.keyboard.press("Enter")
    page.wait_for_url("**/apikey/*/change/")
    assert secret not in page.url
    page.wait_for_load_state()
    page.keyboard.press("/")
    page.keyboard.type("acme")
    expect(options).to_have_count(1)
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    page.keyboard.type(" corp")
    expect(options).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url("**/account/*/change/")
    assert desk.spent() == 0
    close_the_menu(desk)


def close_the_menu(desk: Desk) -> None:
    """Close the menu, which covers nothing of the page, and open it again."""
    page, menu = desk.page, desk.page.locator("#toggle-nav-sidebar")
    for size in (FULL, NARROW, WIDE):
        page.set_viewport_size(size)
        for _ in range(2):
            menu.click()
            right, left = page.evaluate(EDGES)
            assert right <= left, (size, right, left)
