"""The admin in a browser: staff run the product, and every page is accessible and complete."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async
from playwright.sync_api import Browser

from tests.e2e.browser import FULL, NARROW, PHONE, WIDE, Watched
from tests.e2e.fixtures import EMAIL, PASSWORD, BrowserTests, addresses, furnish, lengthen
from tests.e2e.walk import REPLIES, check_rows, walk
from tests.support.servers.mock_openai import MockOpenAI

# "admin/accounts/apikey" is a list; longer addresses are pages of rows.
LONGEST_LIST = 3
# Axe takes long: of pages of one kind, which share their templates, each is looked at in the next
# of these widths.
WIDTHS_OF_AXE = (FULL, NARROW, PHONE)


class AdminTests(BrowserTests):
    """One demo for all of the pages, because it takes long to fill."""

    def setUp(self) -> None:
        furnish(turns=60, accounts=1)
        lengthen()
        self.addresses = addresses()

    async def test_staff_run_the_product_without_a_shell_and_every_page_is_whole(self) -> None:
        model = MockOpenAI(provider="openai", port=self.started.openai_port)
        async with asyncio.timeout(900), model:
            model.replies.extend(REPLIES)
            wrong = await self.look(look, self.addresses)
        self.assertGreater(len(self.addresses), 70)
        self.assertEqual(wrong, [], "\n".join(wrong))
        await sync_to_async(check_rows)()


def look(running: Browser, url: str, addresses: list[str]) -> list[str]:
    """Return what is wrong with the pages, in light, dark and at each width."""
    tab = Watched(running, url)
    tab.log_in(EMAIL, PASSWORD)
    walk(tab.page)
    for turn, address in enumerate(sorted(addresses, key=kind_of)):
        tab.page.set_viewport_size(WIDE)
        tab.page.goto(url + address)
        if tab.page.url != url + address:
            tab.note(f"is where {address} leads")
        if address.endswith("/review/"):
            check_review(tab)
        of_axe = WIDTHS_OF_AXE[turn % len(WIDTHS_OF_AXE)]
        tab.look(WIDE, *(each for each in WIDTHS_OF_AXE if each is not of_axe), of_axe)
    check_menu(tab)
    return tab.wrong


def kind_of(address: str) -> tuple[str, str]:
    """Sort the pages so that those of one kind, such as all lists, follow one another."""
    parts = address.partition("?")[0].strip("/").split("/")
    return (parts[-1] if len(parts) > LONGEST_LIST else "list"), address


def check_review(tab: Watched) -> None:
    """Expect the longest prompt to leave the button within some screens of a phone."""
    tab.page.set_viewport_size(PHONE)
    publish = tab.page.locator("input[value=Publish]").bounding_box()
    if publish is None or publish["y"] > 3 * PHONE["height"]:
        tab.note(f"Publish is out of reach: {publish}")


def check_menu(tab: Watched) -> None:
    """Expect every page of a phone to lead to the others."""
    tab.page.set_viewport_size(PHONE)
    tab.page.goto(f"{tab.url}/admin/accounts/apikey/")
    tab.page.click("text=Menu")
    tab.page.click("#nav-sidebar >> text=Audit log")
    tab.page.wait_for_url("**/auditentry/")
