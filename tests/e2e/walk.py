"""What staff do from the first page to the last, with mouse and keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

from accounts.models import Account, AuditEntry
from accounts.tenancy.context import platform_context
from sessions_app.models import LLMRequest
from tests.e2e.fixtures import EMAIL, PASSWORD
from tests.support.servers.mock_openai import Reply, usage

# A million tokens read cost $2, a million written $8.
MODEL = "openai:gpt-4.1"
ANSWER = "It left the warehouse this morning."
YAML = f"model: {MODEL}\nsystem_prompt: |\n  You answer for Walkers.\n\n  # Tone\n  Be kind.\n"


REPLIES = [Reply(ANSWER, usage=usage(1_000_000, 1_000_000))] * 3


def walk(page: Page) -> None:
    """Make an account, an agent and a key; publish, talk, see the cost, roll back, suspend."""
    make_account(page)
    make_instance(page)
    lose_the_session(page)
    publish(page)
    talk(page)
    keep_test_chat(page)
    make_key(page)
    see_the_cost(page)
    roll_back(page)
    suspend(page)


def check_rows() -> None:
    """Expect what the walk left: one paid answer, and staff in the account's log."""
    with platform_context():
        walkers = Account.objects.get(slug="walkers")
        assert walkers.status == "suspended"
        [request] = LLMRequest.objects.filter(account=walkers)
        assert request.caller.startswith("staff:")
        assert (request.total_cost or 0) > 1
        log = AuditEntry.objects.filter(account=walkers)
        assert set(log.values_list("actor_kind", flat=True)) == {"staff"}


def expect_message(page: Page, words: str) -> None:
    expect(page.locator(".messagelist")).to_contain_text(re.compile(words, re.IGNORECASE))


def open_form(page: Page, link: str) -> None:
    """Follow the link to a form of Django's, whose script puts the cursor into the first field."""
    page.click(link)
    page.wait_for_load_state()


def make_account(page: Page) -> None:
    page.click("a:visible:text-is('Accounts') >> nth=0")
    open_form(page, ".object-tools .addlink")
    page.fill("#id_name", "Walkers")
    page.fill("#id_slug", "walkers")
    page.click("[name=_continue]")
    expect_message(page, "Walkers.*added successfully")


def make_instance(page: Page) -> None:
    page.goto(page.url.partition("/admin/")[0] + "/admin/agents/agentinstance/add/")
    walkers = page.locator("#id_account option", has_text="walkers").get_attribute("value")
    page.select_option("#id_account", walkers)
    page.fill("#id_instance_slug", "help")
    page.fill("#id_display_name", "Help")
    page.fill("#id_model", "scripted:echo")
    page.click("[name=_continue]")
    expect_message(page, "added successfully")


def lose_the_session(page: Page) -> None:
    """What is written is a draft soon; what is written after the session's end stays in the tab."""
    agent, script = page.url, "**/config-editor*.js"
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(script, hold)
    with page.expect_request(script):
        page.click(".configuration .tools a >> nth=0", no_wait_after=True)
    # Also what is typed before the page's script is there.
    page.fill("#id_text", "retries: 4\n")
    held[0].continue_()
    page.unroute(script)
    expect(page.locator("[data-saved]")).to_contain_text("Draft saved at")
    page.context.clear_cookies(name="sessionid")
    page.fill("#id_text", "retries: 3\n")
    expect(page.locator("[data-saved]")).to_contain_text("your session has ended")
    page.click("text=Save draft")
    page.fill("#id_username", EMAIL)
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    expect(page.locator("#id_text")).to_have_value("retries: 4\n")
    page.click("text=Put it back")
    expect(page.locator("#id_text")).to_have_value("retries: 3\n")
    page.click("text=Save draft")
    expect_message(page, "draft is saved")
    page.goto(agent)


def publish(page: Page) -> None:
    page.click(".configuration .tools a >> nth=0")
    page.fill("#id_text", YAML.replace("system_prompt", "sistem_prompt"))
    page.click("button[name=review]")
    expect(page.locator(".faults")).to_contain_text("system_prompt")
    page.fill("#id_text", YAML)
    page.click("button[name=review]")
    # Whoever leaves a page early loses its scripts.
    page.wait_for_url("**/review/")
    page.fill("#id_note", "A better model")
    page.click("input[value=Publish]")
    expect_message(page, "published")


def talk(page: Page) -> None:
    page.click(".tools a:has-text('Playground')")
    # Its script makes the log when it listens, which may be after the page has loaded.
    page.locator("[data-part=log]").wait_for(state="attached")
    page.fill("#playground-input", "Where is my parcel?")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=log]")).to_contain_text(ANSWER)
    expect(page.locator("[data-part=run]")).to_contain_text("$10")
    expect(page.locator("[data-part=send]")).to_be_visible()
    page.click(".breadcrumbs a >> nth=-1")


def keep_test_chat(page: Page) -> None:
    """Make a test chat, and change it afterwards."""
    here = page.url
    page.click(".tools a:has-text('Test chats')")
    open_form(page, "text=Add a test chat")
    page.fill("#id_name", "Parcels")
    page.fill("#id_message_1", "Where is my parcel?")
    page.click("[name=_continue]")
    expect_message(page, "Parcels.*added successfully")
    page.fill("#id_contains_1", "warehouse")
    page.click("[name=_continue]")
    expect_message(page, "Parcels.*changed successfully")
    expect(page.locator("#id_contains_1")).to_have_value("warehouse")
    page.goto(here)


def make_key(page: Page) -> None:
    """Have a key shown for a reason; the form keeps its values while the reason is asked for."""
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
    expect_message(page, "published|rolled back|number 3")


def suspend(page: Page) -> None:
    page.goto(page.url.partition("/admin/")[0] + "/admin/accounts/account/")
    page.click("#result_list a:text-is('Walkers')")
    page.click("text=Suspend…")
    page.fill("#id_reason", "Invoice 17 is unpaid")
    page.click("input[value=Suspend]")
    expect_message(page, "suspended")
