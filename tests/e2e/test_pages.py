"""The admin in a browser: staff run the product, and every page is accessible and complete."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from asgiref.sync import sync_to_async
from django.test import TransactionTestCase, override_settings

from tests.e2e.browser import PHONE, WIDE, Watched, browser
from tests.e2e.walk import REPLIES, check_rows, walk
from tests.e2e.world import EMAIL, PASSWORD, addresses, furnish
from tests.support.servers.mock_openai import MockOpenAI
from tests.support.servers.served import served


class AdminTests(TransactionTestCase):
    """One demo, one server and one browser, because they take long to start."""

    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(override_settings(AGENT_CONFIG_DIR=Path(folder)))
        furnish(turns=60, accounts=1)
        self.addresses = addresses()

    async def test_staff_run_the_product_without_a_shell_and_every_page_is_whole(self) -> None:
        async with asyncio.timeout(300), MockOpenAI(provider="openai") as model:
            model.replies.extend(REPLIES)
            async with served(cut_after=1) as server:
                wrong = await asyncio.to_thread(look, server.url, self.addresses)
        self.assertGreater(len(self.addresses), 70)
        self.assertEqual(wrong, [], "\n".join(wrong))
        await sync_to_async(check_rows)()


def look(url: str, addresses: list[str]) -> list[str]:
    """Return what is wrong with the pages, in light, dark and at a phone's width."""
    with browser() as running:
        tab = Watched(running, url)
        tab.log_in(EMAIL, PASSWORD)
        walk(tab.page)
        for address in addresses:
            tab.page.goto(url + address)
            tab.check()
            if tab.overflows(".results"):
                tab.note("its list cuts the last column")
            tab.page.set_viewport_size(PHONE)
            if tab.overflows():
                tab.note("wider than a phone")
            tab.page.set_viewport_size(WIDE)
    return tab.wrong
