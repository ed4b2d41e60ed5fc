"""Staff erase a person, and change an agent by the form beside its YAML, in few clicks each."""

from __future__ import annotations

import asyncio
import re

from asgiref.sync import sync_to_async
from playwright.sync_api import Browser, expect

from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from agents.models import AgentInstance
from sessions_app.models import Erasure, Message
from tests.e2e.browser import Watched
from tests.e2e.fixtures import EMAIL, PASSWORD, BrowserTests
from tests.e2e.walk import expect_message
from tests.support.factories import (
    make_account,
    make_instance,
    make_message,
    make_session,
    make_user,
    write_config,
)

DORA = "dora@mail.example"
CONFIG = "model: scripted:echo\nretries: 1\n"
DRAFT = "# ours\nretries: 4  # enough\n"
WANTED = "# ours\nretries: 3  # enough\nsystem_prompt: |-\n  Be kind.\n\n  # Tone\n  Warm.\n"


class JobTests(BrowserTests):
    def setUp(self) -> None:
        write_config(self.started.agent_configs, "acme", "bot", CONFIG)
        self.agent = make_instance(make_account("acme", name="Acme"), "bot")
        session = make_session(self.agent, email=DORA)
        for _ in range(3):
            make_message(session, content="I live in Elm Street")
        make_user(EMAIL, password=PASSWORD, is_staff=True, is_superuser=True)
        with platform_context():
            publishing.save_draft(self.agent, DRAFT, make_user("bob@example.com"))

    async def test_each_job_is_done_in_few_clicks(self) -> None:
        async with asyncio.timeout(200):
            wrong = await self.look(work, self.agent)
        self.assertEqual(wrong, [], "\n".join(wrong))
        await sync_to_async(self.check_rows)()

    def check_rows(self) -> None:
        with platform_context():
            [receipt] = Erasure.objects.all()
            last = publishing.newest(self.agent)
            self.assertFalse(Message.objects.exists())
        self.assertEqual(receipt.erased, {"messages": 3, "sessions": 1})
        self.assertEqual(receipt.remaining, {})
        assert last is not None
        self.assertEqual(last.text, f"{WANTED}temperature: 0.3\n")


def work(running: Browser, url: str, agent: AgentInstance) -> list[str]:
    """Do both jobs; return what was wrong in the tab, and jobs that took more clicks."""
    tab = Watched(running, url)
    tab.log_in(EMAIL, PASSWORD)
    for job, most in ((erase, 3), (configure, 3)):
        job(tab, url, agent)
        if (clicks := tab.spent()) > most:
            tab.note(f"{job.__name__} took {clicks} clicks")
    return tab.wrong


def erase(tab: Watched, url: str, agent: AgentInstance) -> None:
    page = tab.page
    page.goto(f"{url}/admin/accounts/account/{agent.account_id}/change/")
    tab.click("text=Erase a person")
    page.fill("#id_value", DORA.upper())
    page.fill("#id_reason", "Ticket 7")
    tab.click("input[value=Preview]")
    expect(page.locator("tr:has-text('Messages') .num")).to_have_text("3")
    tab.click("input[value='Erase this person']")
    page.wait_for_url("**/erasure/**")
    expect(page.locator("h1")).to_contain_text("complete")
    expect(page.locator("#content")).not_to_contain_text(DORA)


def configure(tab: Watched, url: str, agent: AgentInstance) -> None:
    """Change the prompt in the form and another key in the YAML, and publish both."""
    page = tab.page
    page.goto(f"{url}/admin/agents/agentinstance/{agent.pk}/change/")
    tab.click(".configuration .tools a >> nth=0")
    # The script is there: what was typed before it is saved with the next change only.
    expect(page.locator(".gutter li")).not_to_have_count(0)
    page.fill("#id_text", DRAFT.replace("4", "3"))
    page.fill("#id_system_prompt", "Be kind.\n\n# Tone\nWarm.")
    # It is written into the YAML with the next autosave, and the YAML's own change stays.
    expect(page.locator("#id_text")).to_have_value(WANTED)
    page.fill("#id_temperature", "hot")
    page.keyboard.press("Enter")
    expect(page.locator("#id_temperature_error")).to_be_visible()
    page.fill("#id_temperature", "0.3")
    tab.click("button[name=review]")
    page.wait_for_url("**/review/")
    page.fill("#id_note", "Kinder")
    tab.click("input[value=Publish]")
    expect_message(page, re.escape("Number 1 is published"))
