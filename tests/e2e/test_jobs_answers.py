"""“Your bot said something wrong”: found, answered better, fixed, tested, published; in clicks."""

from __future__ import annotations

import asyncio
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asgiref.sync import sync_to_async
from django.test import TransactionTestCase, override_settings
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from sessions_app.models import MessageFeedback, Role
from tests.e2e.browser import NARROW, PHONE, WIDE, Watched, browser
from tests.support.factories import (
    make_account,
    make_feedback,
    make_instance,
    make_message,
    make_session,
)
from tests.support.servers.served import served

EMAIL, PASSWORD = "ann@example.com", "long enough for a look"
QUESTION = "How long may I return shoes?"
WRONG, BETTER = "You may **return** them within ten days.", "Within thirty days."
FIRST = "model: scripted:echo\nsystem_prompt: Be brief.\n"
YAML = "model: scripted:echo\nsystem_prompt: |\n  Shoes are returned within thirty days.\n"


class WrongAnswerTests(TransactionTestCase):
    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(override_settings(AGENT_CONFIG_DIR=Path(folder)))
        ann = User.objects.create_superuser(EMAIL, PASSWORD)
        agent = make_instance(make_account("acme"), "shoes")
        with platform_context():
            made = publishing.publish(agent, FIRST, "First", ann)
        start = datetime.now(UTC) - timedelta(days=1)
        for hour, texts in enumerate((("Hello", "Hi"), (QUESTION, WRONG), ("A return?", "Yes."))):
            at = start + timedelta(hours=hour)
            session = make_session(agent, created_at=at, last_activity_at=at, end_user=f"p{hour}")
            for number, text in enumerate(texts):
                message = make_message(
                    session,
                    content=text,
                    created_at=at + timedelta(seconds=number),
                    role=Role.ASSISTANT if number else Role.HUMAN,
                    config_version_id=made.config_version_id if number else None,
                )
            if WRONG in texts:
                make_feedback(message, rating=-1, comment="It is thirty")

    async def test_a_wrong_answer_is_found_fixed_tested_and_published(self) -> None:
        async with asyncio.timeout(200), served(cut_after=1) as server:
            wrong = await asyncio.to_thread(look, server.url)
        self.assertEqual(wrong, [], "\n".join(wrong))
        await sync_to_async(self.check_rows)()

    def check_rows(self) -> None:
        with platform_context():
            row = MessageFeedback.objects.get()
        self.assertEqual((row.status, row.handled_by), ("fixed", EMAIL))


class Clicks:
    """Uses a page as a person does, and counts the clicks; typing is none."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def click(self, selector: str) -> None:
        self.count += 1
        # A page that is not whole yet still moves what is clicked.
        self.page.wait_for_load_state()
        self.page.click(selector)

    def choose(self, selector: str, label: str) -> None:
        self.count += 1
        self.page.select_option(selector, label=label)

    def taken(self) -> int:
        """Return the clicks since the last time."""
        count, self.count = self.count, 0
        return count


def look(url: str) -> list[str]:
    with browser() as running:
        tab = Watched(running, url)
        tab.log_in(EMAIL, PASSWORD)
        tab.has_checked_frame = True
        by_hand = Clicks(tab.page)
        expect(tab.page.locator(".tile", has_text="Open feedback")).to_contain_text("1")
        assert find(tab, by_hand) == 5
        assert walk_hits(tab, by_hand) == 2
        assert write_better(tab, by_hand) == 2
        assert publish(tab, by_hand) == 5
        assert decide(tab, by_hand) == 3
    return tab.wrong


def find(tab: Watched, by_hand: Clicks) -> int:
    """Search the account for a word, and open the newest conversation with it at the hit."""
    page = tab.page
    by_hand.click("#nav-sidebar a:text-is('Sessions')")
    by_hand.choose("#filter_account__id__exact", "acme")
    page.fill("#filter_text", "return")
    by_hand.click("button:text-is('Apply')")
    page.fill("#id_reason", "Ticket 4711: a wrong time")
    by_hand.click("input[value='Show the texts']")
    expect(page.locator("#result_list mark")).to_have_count(2)
    assert "return" not in page.url
    check_widths(tab)
    by_hand.click("#result_list tbody th a >> nth=0")
    expect(page.locator(".entry mark").first).to_be_in_viewport()
    return by_hand.taken()


def walk_hits(tab: Watched, by_hand: Clicks) -> int:
    """Go on to the next conversation, and to the hit before; words stay marked in Markdown."""
    page = tab.page
    by_hand.click("text=Older conversation")
    expect(page.locator(".entry.assistant strong mark")).to_have_text("return")
    expect(page.locator(".entry.assistant:target")).to_contain_text("within ten days")
    by_hand.click("text=Previous hit")
    expect(page.locator(".entry.human:target mark")).to_have_text("return")
    assert "return" not in page.url
    tab.check()
    check_widths(tab)
    return by_hand.taken()


def write_better(tab: Watched, by_hand: Clicks) -> int:
    """See the version that answered; then write the better answer, which leads to the draft."""
    page = tab.page
    here = page.url
    page.click("text=Version: number 1")
    expect(page.locator("#content")).to_contain_text("Number 1")
    expect(page.locator(".tools a:text-is('Fix the agent')")).to_be_visible()
    page.goto(here)
    by_hand.click("text=Write a better answer")
    page.fill("#id_better", BETTER)
    page.fill("#id_contains", "return")
    by_hand.click("input[name=edit]")
    page.wait_for_url("**/configuration/")
    return by_hand.taken()


def publish(tab: Watched, by_hand: Clicks) -> int:
    """Change the prompt, run the test chat beside the better answer, and publish."""
    page = tab.page
    page.fill("#id_text", YAML)
    by_hand.click("button[name=review]")
    page.wait_for_url("**/review/")
    by_hand.click("text=Run the test chats")
    expect(page.locator(".answers")).to_contain_text(BETTER)
    # Its script listens only when the page has loaded.
    page.wait_for_load_state()
    by_hand.click("[data-run-all]")
    expect(page.locator(".answers .totals .badge.ok")).to_have_count(2)
    check_widths(tab)
    by_hand.click("text=Review the draft")
    page.fill("#id_note", "Thirty days")
    by_hand.click("input[value=Publish]")
    expect(page.locator(".messagelist")).to_contain_text(re.compile("published", re.IGNORECASE))
    return by_hand.taken()


def decide(tab: Watched, by_hand: Clicks) -> int:
    """Close the complaint, from the agent's page, on which publishing ends."""
    page = tab.page
    by_hand.click("text=Open feedback: 1")
    by_hand.click("#result_list >> text=the answer")
    expect(page.locator(".entry.assistant:target")).to_contain_text("It is thirty")
    by_hand.click("button:text-is('Fixed')")
    expect(page.locator(".entry .badge:text-is('fixed')")).to_be_visible()
    page.goto(f"{tab.url}/admin/")
    expect(page.locator(".tile", has_text="Open feedback")).to_contain_text("0")
    return by_hand.taken()


def check_widths(tab: Watched) -> None:
    for size in (NARROW, PHONE, WIDE):
        tab.page.set_viewport_size(size)
        for part in ("html", ".results"):
            if tab.overflows(part):
                tab.note(f"{part} scrolls sideways at {size['width']} pixels")
