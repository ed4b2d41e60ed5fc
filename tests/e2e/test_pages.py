"""Every page of the admin in a browser: no error, nothing lost, nobody shut out."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from django.test import TransactionTestCase, override_settings

from tests.e2e.browser import PHONE, WIDE, Watched, browser
from tests.e2e.world import EMAIL, PASSWORD, addresses, furnish
from tests.served import served


class PagesTests(TransactionTestCase):
    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(override_settings(AGENT_CONFIG_DIR=Path(folder)))
        furnish(turns=60, accounts=1)
        self.addresses = addresses()

    async def test_every_page_is_whole_and_open_to_all_in_light_and_dark(self) -> None:
        async with asyncio.timeout(300), served(cut_after=1) as server:
            wrong = await asyncio.to_thread(look, server.url, self.addresses)
        self.assertGreater(len(self.addresses), 40)
        self.assertEqual(wrong, [], "\n".join(wrong))


def look(url: str, addresses: list[str]) -> list[str]:
    with browser() as running:
        tab = Watched(running, url)
        tab.log_in(EMAIL, PASSWORD)
        for address in addresses:
            tab.page.goto(url + address)
            tab.judge()
            tab.page.set_viewport_size(PHONE)
            if tab.overflows():
                tab.note("wider than a phone")
            tab.page.set_viewport_size(WIDE)
    return tab.wrong
