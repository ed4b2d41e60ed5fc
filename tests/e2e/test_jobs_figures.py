"""Four jobs of staff in a browser, in few clicks: refused, month-end, a leaked key, slowest."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from asgiref.sync import sync_to_async
from django.utils import timezone
from playwright.sync_api import Browser, expect

from accounts.models import ApiKey, Scope
from accounts.tenancy.context import platform_context
from sessions_app.usage import rollup
from sessions_app.usage.months import month_of, name_of
from sessions_app.usage.queries import Days
from tests.e2e.browser import NARROW, PHONE, WIDE, Watched
from tests.e2e.fixtures import EMAIL, PASSWORD, BrowserTests
from tests.support.factories import make_account, make_instance, make_key, make_user
from tests.support.usage import settled


def last_month() -> Days:
    return month_of(timezone.now().date().replace(day=1) - timedelta(days=1))


class JobTests(BrowserTests):
    def setUp(self) -> None:
        make_user(EMAIL, password=PASSWORD, is_staff=True, is_superuser=True)
        acme = make_account("acme", name="Acme")
        bot = make_instance(acme, "bot")
        self.key, self.text = make_key(acme, name="Web shop", scopes=[Scope.AGENTS_READ])
        mine: dict[str, Any] = {"caller": f"key:{self.key.pk}"}
        then = timezone.now() - timedelta(days=1)
        settled(bot, latency_ms=59_000, total_cost=Decimal(4), **mine)
        for n in range(3):
            settled(bot, then, latency_ms=900 + n, error_code="", **mine)
        # The last month may have fewer days than this one.
        middle = timezone.now().replace(
            year=last_month().first.year, month=last_month().first.month, day=15
        )
        settled(bot, middle, total_cost=Decimal("12.50"))
        rollup.rebuild(acme.pk)

    async def test_each_job_is_done_in_few_clicks(self) -> None:
        async with asyncio.timeout(300):
            wrong = await self.look(self.work)
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertIsNotNone(await sync_to_async(self.revoked_at)())

    def revoked_at(self) -> datetime | None:
        with platform_context():
            return ApiKey.objects.get(pk=self.key.pk).revoked_at

    def work(self, running: Browser, url: str) -> list[str]:
        for _ in range(3):
            with suppress(HTTPError):
                call = Request(f"{url}/accounts/acme/agents/bot/history")  # noqa: S310 - our server
                call.add_header("Authorization", f"Bearer {self.text}")
                urlopen(call).close()  # noqa: S310
        self.tab = Watched(running, url)
        self.tab.log_in(EMAIL, PASSWORD)
        self.month_end()
        self.slowest()
        self.refused()
        self.leaked()
        return self.tab.wrong

    def begin(self) -> None:
        self.tab.clicks = 0
        self.tab.page.goto(f"{self.tab.url}/admin/")

    def ends(self, job: str, most: int) -> None:
        if self.tab.clicks > most:
            self.tab.note(f"{job} takes {self.tab.clicks} clicks")

    def month_end(self) -> None:
        self.begin()
        self.tab.click("text=Usage by month")
        self.tab.click(f"main a:text-is('{last_month().first:%B %Y}')")
        expect(self.tab.page.locator("main tr:has-text('Total')")).to_contain_text("$12.50")
        self.tab.look(NARROW, PHONE, WIDE)
        with self.tab.page.expect_download() as sent:
            self.tab.click("main a:text-is('CSV')")
        expected = f"usage-all-{name_of(last_month())}.csv"
        if sent.value.suggested_filename != expected:
            self.tab.note(f"the file is named {sent.value.suggested_filename}")
        self.ends("month-end", 3)

    def slowest(self) -> None:
        self.begin()
        self.tab.click("#nav-sidebar >> text=LLM requests")
        self.tab.click("main a:text-is('Slowest')")
        expect(self.tab.page.locator("#result_list tbody tr >> nth=0")).to_contain_text("59.0 s")
        self.tab.look(NARROW, PHONE, WIDE)
        self.tab.click("#result_list tbody a >> nth=0")
        expect(self.tab.page.locator("#content")).to_contain_text("59.0 s")
        self.ends("slowest", 3)

    def refused(self) -> None:
        # The server has written them by now: it does so every five seconds.
        self.tab.page.wait_for_timeout(5_500)
        self.begin()
        expect(self.tab.page.locator("[aria-labelledby=refusals]")).to_contain_text("forbidden")
        self.tab.click("[aria-labelledby=refusals] tbody a >> nth=0")
        row = self.tab.page.locator("[aria-labelledby=refusals]")
        for words in ("403 forbidden", "Web shop", "bot", "What to do"):
            expect(row).to_contain_text(words)
        self.tab.look(NARROW, PHONE, WIDE)
        self.ends("refused", 1)

    def leaked(self) -> None:
        self.begin()
        self.tab.click("#nav-sidebar >> text=API keys")
        self.tab.click("#result_list >> text=Web shop")
        tiles = self.tab.page.locator(".tiles")
        for words in ("Requests4", "$4.75", "Refused3", "Networksany", "first on"):
            expect(tiles).to_contain_text(words)
        expect(self.tab.page.locator("[aria-labelledby=called]")).to_contain_text("bot")
        self.tab.look(NARROW, PHONE, WIDE)
        self.tab.click("text=Leaked: replace and end now")
        self.tab.click("[name=way][value=show]")
        self.tab.click("[value='Replace and end now']")
        expect(self.tab.page.locator("#key-text")).to_be_visible()
        self.ends("leaked", 5)
