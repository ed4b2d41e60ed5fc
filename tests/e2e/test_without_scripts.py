"""The admin without JavaScript, on a phone: menu, search, actions and forms."""

from __future__ import annotations

import asyncio

from django.urls import reverse
from playwright.sync_api import Browser, expect

from accounts.models import User
from tests.e2e.browser import PHONE, Watched
from tests.e2e.fixtures import EMAIL, PASSWORD, BrowserTests
from tests.support.factories import make_account, make_instance


class WithoutScriptsTests(BrowserTests):
    def setUp(self) -> None:
        User.objects.create_superuser(EMAIL, PASSWORD)
        self.agent = make_instance(make_account("acme", name="Acme"), "bot")

    async def test_staff_find_and_change_things(self) -> None:
        async with asyncio.timeout(200):
            wrong = await self.look(self.work)
        self.assertEqual(wrong, [], "\n".join(wrong))

    def work(self, running: Browser, url: str) -> list[str]:
        tab = Watched(running, url, viewport=PHONE, java_script_enabled=False)
        tab.log_in(EMAIL, PASSWORD)
        open_menu(tab)
        search(tab)
        self.act(tab)
        return tab.wrong

    def act(self, tab: Watched) -> None:
        """Deactivate by an action of the list, and rename by a form."""
        page = tab.page
        page.goto(tab.url + reverse("admin:agents_agentinstance_changelist"))
        page.check("input[name=_selected_action]")
        page.select_option("select[name=action]", "deactivate")
        tab.click("button[name=index]")
        tab.click("input[value=Deactivate]")
        expect(page.locator(".messagelist")).to_contain_text("1 deactivated.")
        page.goto(tab.url + reverse("admin:agents_agentinstance_change", args=[self.agent.pk]))
        page.fill("#id_display_name", "Help desk")
        tab.click("input[name=_save]")
        expect(page.locator(".messagelist")).to_contain_text("changed successfully")


def open_menu(tab: Watched) -> None:
    """The menu takes the whole width, above the page, and is closed again."""
    menu, content = tab.page.locator("#nav-sidebar"), tab.page.locator("#content h1")
    expect(menu).not_to_be_visible()
    tab.click("text=Menu")
    expect(menu).to_be_visible()
    box, below = menu.bounding_box(), content.bounding_box()
    assert box is not None
    assert below is not None
    assert box["width"] == PHONE["width"]
    assert below["y"] > box["y"] + box["height"]
    expect(tab.page.locator("#nav-filter")).not_to_be_visible()
    tab.click("text=Close menu")
    expect(menu).not_to_be_visible()
    tab.click("text=Menu")
    tab.click("#nav-sidebar >> text=Accounts")
    expect(tab.page.locator("h1", has_text="Accounts")).to_be_visible()


def search(tab: Watched) -> None:
    """By the form of a list, and by the box of every page."""
    tab.page.fill("#searchbar", "acm")
    tab.click("#changelist-search [type=submit]")
    expect(tab.page.locator("#result_list tbody tr")).to_have_count(1)
    tab.page.fill("#palette-text", "bot")
    tab.page.press("#palette-text", "Enter")
    expect(tab.page.locator("#content table")).to_contain_text("acme/bot")
