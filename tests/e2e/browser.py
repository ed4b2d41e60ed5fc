"""Debian's Chromium, and what it notices on a page: errors, lost requests, what axe finds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)

INSTALL = "apt-get install chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# A loaded machine is slow; nothing is measured here.
PATIENCE_MS = 30_000
WIDE = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)
expect.set_options(timeout=PATIENCE_MS)
SEVERE = ("serious", "critical")
# What is given up on purpose: the rest of a stream, by who has read an answer to its end; and a
# page's icon, by the browser, as soon as it is about to leave.
GIVEN_UP = ("/stream", "/static/icon.svg")
# What stands on every page is judged on the first one; a list is judged by its first rows.
FRAME = ["#header", "#nav-sidebar"]
FURTHER_ROWS = ["#result_list tbody tr:nth-child(n + 4)", "table tbody tr:nth-child(n + 12)"]
UNFOLD = "document.querySelectorAll('details').forEach(each => each.open = true)"
OVERFLOWS = """selector => [...document.querySelectorAll(selector)].some(
  each => each.scrollWidth > each.clientWidth
)"""
FIND = """async seen => {
  document.getAnimations().forEach(each => each.finish());
  const found = await axe.run({exclude: seen}, {resultTypes: ['violations']});
  return found.violations.map(v => [v.impact, v.id, v.nodes[0].target.join(' '), v.nodes[0].html]);
}"""


def chromium() -> str | None:
    return shutil.which("chromium")


@contextmanager
def browser() -> Iterator[Browser]:
    path = chromium()
    assert path is not None, f"the browser tests need Chromium: {INSTALL}"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield running
        finally:
            running.close()


def axe_source() -> str:
    package = find_spec("axe_playwright_python")
    assert package is not None
    assert package.origin is not None
    return (Path(package.origin).parent / "axe.min.js").read_text()


class Watched:
    """A tab that writes down all that goes wrong in it."""

    def __init__(self, running: Browser, url: str, **context: Any) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.axe = axe_source()
        self.has_judged = False
        self.page: Page = running.new_context(**{"viewport": WIDE, **context}).new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.note(f"script: {error}"))
        # How often the page was left, and how often before each request.
        self.left = 0
        self.began: dict[Request, int] = {}
        self.page.on("request", self._asked)
        self.page.on("requestfailed", self._lost)
        self.page.on("response", self._answered)

    def note(self, what: str) -> None:
        self.wrong.append(f"{self.page.url.removeprefix(self.url)}: {what}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.note(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        self.left += request.is_navigation_request()
        self.began[request] = self.left

    def _lost(self, request: Request) -> None:
        # Whoever goes on to another page gives up what this one still waits for.
        is_left = self.began.get(request) != self.left
        is_meant = is_left or request.url.endswith(GIVEN_UP)
        if not (is_meant and request.failure == "net::ERR_ABORTED"):
            self.note(f"lost: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.note(f"{response.status}: {response.url}")

    def log_in(self, email: str, password: str) -> None:
        self.page.goto(f"{self.url}/admin/login/")
        self.page.fill("#id_username", email)
        self.page.fill("#id_password", password)
        self.page.click("[type=submit]")
        self.page.wait_for_url("**/admin/")

    def judge(self) -> None:
        """Ask axe about the page, in the light and in the dark."""
        self.page.evaluate(UNFOLD)
        self.page.evaluate(self.axe)
        seen = FURTHER_ROWS + (FRAME if self.has_judged else [])
        self.has_judged = True
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            for impact, *what in self.page.evaluate(FIND, seen):
                if impact in SEVERE:
                    self.note(f"axe, {scheme}: {impact} {' '.join(what)[:300]}")
        self.page.emulate_media(color_scheme="light")

    def overflows(self, selector: str = "html") -> bool:
        """Whether one has to scroll sideways in the page, or in a part of it."""
        return bool(self.page.evaluate(OVERFLOWS, selector))
