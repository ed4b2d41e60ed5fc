"""“Your bot said something wrong”: found, answered better, fixed, tested, published; in clicks."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

from asgiref.sync import sync_to_async
from playwright.sync_api import Browser, expect

from accounts.models import User
from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from sessions_app.models import MessageFeedback, Role
from tests.e2e.browser import NARROW, PHONE, WIDE, Watched
from tests.e2e.fixtures import EMAIL, PASSWORD, BrowserTests
from tests.support.factories import (
    make_account,
    make_feedback,
    make_instance,
    make_message,
    make_session,
)

QUESTION = "How long may I return shoes?"
WRONG, BETTER = "You may **return** them within ten days.", "Within thirty days."
FIRST = "model: scripted:echo\nsystem_prompt: Be brief.\n"
YAML = "model: scripted:echo\nsystem_prompt: |\n  Shoes are returned within thirty days.\n"


class WrongAnswerTests(BrowserTests):
    def setUp(self) -> None:
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
        async with asyncio.timeout(200):
            wrong = await self.look(look)
        self.assertEqual(wrong, [], "\n".join(wrong))
        await sync_to_async(self.check_rows)()

    def check_rows(self) -> None:
        with platform_context():
            row = MessageFeedback.objects.get()
        self.assertEqual((row.status, row.handled_by), ("fixed", EMAIL))


def look(running: Browser, url: str) -> list[str]:
    tab = Watched(running, url)
    tab.log_in(EMAIL, PASSWORD)
    tab.has_checked_frame = True
    expect(tab.page.locator(".tile", has_text="Open feedback")).to_contain_text("1")
    assert find(tab) == 5
    assert walk_hits(tab) == 2
    assert write_better(tab) == 2
    assert publish(tab) == 5
    assert decide(tab) == 3
    return tab.wrong


def find(tab: Watched) -> int:
    """Search the account for a word, and open the newest conversation with it at the hit."""
    page = tab.page
    tab.click("#nav-sidebar a:text-is('Sessions')")
    tab.choose("#filter_account__id__exact", "acme")
    page.fill("#filter_text", "return")
    tab.click("button:text-is('Apply')")
    page.fill("#id_reason", "Ticket 4711: a wrong time")
    tab.click("input[value='Show the texts']")
    expect(page.locator("#result_list mark")).to_have_count(2)
    assert "return" not in page.url
    tab.check_widths(NARROW, PHONE, WIDE)
    tab.click("#result_list tbody th a >> nth=0")
    expect(page.locator(".entry mark").first).to_be_in_viewport()
    return tab.spent()


def walk_hits(tab: Watched) -> int:
    """Go on to the next conversation, and to the hit before; words stay marked in Markdown."""
    page = tab.page
    tab.click("text=Older conversation")
    expect(page.locator(".entry.assistant strong mark")).to_have_text("return")
    expect(page.locator(".entry.assistant:target")).to_contain_text("within ten days")
    tab.click("text=Previous hit")
    expect(page.locator(".entry.human:target mark")).to_have_text("return")
    assert "return" not in page.url
    tab.look(NARROW, PHONE, WIDE)
    return tab.spent()


def write_better(tab: Watched) -> int:
    """See the version that answered; then write the better answer, which leads to the draft."""
    page = tab.page
    here = page.url
    page.click("text=Version: number 1")
    expect(page.locator("#content")).to_contain_text("Number 1")
    expect(page.locator(".tools a:text-is('Fix the agent')")).to_be_visible()
    page.goto(here)
    tab.click("text=Write a better answer")
    page.fill("#id_better", BETTER)
    page.fill("#id_contains", "return")
    tab.click("input[name=edit]")
    page.wait_for_url("**/configuration/")
    return tab.spent()


def publish(tab: Watched) -> int:
    """Change the prompt, run the test chat beside the better answer, and publish."""
    page = tab.page
    page.fill("#id_text", YAML)
    tab.click("button[name=review]")
    page.wait_for_url("**/review/")
    tab.click("text=Run the test chats")
    expect(page.locator(".answers")).to_contain_text(BETTER)
    # Its script listens only when the page has loaded.
    page.wait_for_load_state()
    tab.click("[data-run-all]")
    expect(page.locator(".answers .totals .badge.ok")).to_have_count(2)
    tab.check_widths(NARROW, PHONE, WIDE)
    tab.click("text=Review the draft")
    page.fill("#id_note", "Thirty days")
    tab.click("input[value=Publish]")
    expect(page.locator(".messagelist")).to_contain_text(re.compile("published", re.IGNORECASE))
    return tab.spent()


def decide(tab: Watched) -> int:
    """Close the complaint, from the agent's page, on which publishing ends."""
    page = tab.page
    tab.click("text=Open feedback: 1")
    tab.click("#result_list >> text=the answer")
    expect(page.locator(".entry.assistant:target")).to_contain_text("It is thirty")
    tab.click("button:text-is('Fixed')")
    expect(page.locator(".entry .badge:text-is('fixed')")).to_be_visible()
    page.goto(f"{tab.url}/admin/")
    expect(page.locator(".tile", has_text="Open feedback")).to_contain_text("0")
    return tab.spent()
