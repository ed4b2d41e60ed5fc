"""Debian's Chromium, and the faults that it finds on a page: errors, lost requests, axe."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Concatenate, Literal, Self

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
TIMEOUT_MS = 30_000
FULL = ViewportSize(width=1440, height=900)
WIDE = ViewportSize(width=1280, height=800)
NARROW = ViewportSize(width=1024, height=768)
PHONE = ViewportSize(width=390, height=844)
expect.set_options(timeout=TIMEOUT_MS)
# Requests that may be aborted: the rest of a stream after its end, a file that is stored, the
# log-in page that an autosave does not follow, a page's icon.
MAY_BE_ABORTED = ("/stream", "/run", "/configuration/", "format=csv", "/static/icon.svg")
# A page's parts, where the page is left before they came.
PARTS = {"script", "stylesheet", "image", "font"}
# The frame of every page is checked on the first one only; a list and a chart by its first rows.
FRAME = ["#header", "#nav-sidebar"]
FURTHER_ROWS = ", ".join(
    [
        "#result_list tbody tr:nth-child(n + 4)",
        "table tbody tr:nth-child(n + 12)",
        ".gutter li:nth-child(n + 12)",
        ".chart svg a:nth-of-type(n + 12)",
    ]
)
# Also what axe leaves out it measures. What makes a part of the page scroll stays: that is checked.
SHORTEN = """rows => {
  const scrolls = each => each.parentElement && (each.scrollHeight > each.clientHeight
    && /auto|scroll/.test(getComputedStyle(each).overflowY) || scrolls(each.parentElement));
  const further = [...document.querySelectorAll(rows)];
  further.filter(each => !scrolls(each.parentElement)).forEach(each => each.remove());
}"""
UNFOLD = "document.querySelectorAll('details').forEach(each => each.open = true)"
# As the page is, and with all of it unfolded.
OVERFLOWING = """() => {
  const found = () => ['html', '.results'].filter(
    part => [...document.querySelectorAll(part)].some(each => each.scrollWidth > each.clientWidth)
  );
  const folded = [...document.querySelectorAll('details:not([open])')];
  const asItIs = found();
  folded.forEach(each => each.open = true);
  const unfolded = folded.length ? found() : [];
  folded.forEach(each => each.open = false);
  return [...new Set([...asItIs, ...unfolded])];
}"""
FIND = """async ([seen, rules]) => {
  document.getAnimations().forEach(each => each.finish());
  const only = rules.length ? {runOnly: {type: 'rule', values: rules}} : {};
  const found = await axe.run({exclude: seen}, {resultTypes: ['violations'], ...only});
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


class BrowserThread:
    """One running Chromium, and the thread that may use it: Playwright's objects belong to one."""

    running: Browser

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._stack = ExitStack()
        self.running = self._thread.submit(self._stack.enter_context, browser()).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._stack.close).result()
        self._thread.shutdown()

    async def do[**P, T](
        self, work: Callable[Concatenate[Browser, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `work` with the browser, and close the tabs that it opened."""

        def call() -> T:
            try:
                return work(self.running, *args, **kwargs)
            finally:
                for context in self.running.contexts:
                    context.close()

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def axe_source() -> str:
    package = find_spec("axe_playwright_python")
    assert package is not None
    assert package.origin is not None
    return (Path(package.origin).parent / "axe.min.js").read_text()


class Watched:
    """A tab that records all that goes wrong in it, and counts the clicks; typing is none."""

    def __init__(self, running: Browser, url: str, **context: Any) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.axe = axe_source()
        self.has_checked_frame = False
        self.clicks = 0
        self.page: Page = running.new_context(**{"viewport": WIDE, **context}).new_page()
        self.page.set_default_timeout(TIMEOUT_MS)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.note(f"script: {error}"))
        # How often the page was left, and how often before each request.
        self.left = 0
        self.began: dict[Request, int] = {}
        self.page.on("request", self._requested)
        self.page.on("requestfailed", self._lost)
        self.page.on("response", self._answered)

    def note(self, what: str) -> None:
        self.wrong.append(f"{self.page.url.removeprefix(self.url)}: {what}")

    def click(self, selector: str) -> None:
        self.clicks += 1
        # A page that is not whole yet still moves what is clicked.
        self.page.locator(selector).first.wait_for()
        self.page.wait_for_load_state()
        self.page.click(selector)

    def choose(self, selector: str, label: str) -> None:
        self.clicks += 1
        self.page.select_option(selector, label=label)

    def spent(self) -> int:
        """Return the clicks since the last time."""
        clicks, self.clicks = self.clicks, 0
        return clicks

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.note(f"console: {message.text}")

    def _requested(self, request: Request) -> None:
        self.left += request.is_navigation_request()
        self.began[request] = self.left

    def _lost(self, request: Request) -> None:
        # Leaving a page aborts its requests.
        is_left = self.began.get(request) != self.left
        is_meant = is_left or request.url.endswith(MAY_BE_ABORTED) or request.resource_type in PARTS
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

    def look(self, *sizes: ViewportSize) -> None:
        """Check the page at each width, and with axe at the last one."""
        self.check_widths(*sizes)
        self.check()

    def check(self) -> None:
        """Check the page with axe at its width, in the light and in the dark theme.

        It is unfolded afterwards, and its long lists are short.
        """
        self.page.evaluate(UNFOLD)
        self.page.evaluate(SHORTEN, FURTHER_ROWS)
        self.page.evaluate(self.axe)
        seen = [FURTHER_ROWS, *(FRAME if self.has_checked_frame else [])]
        self.has_checked_frame = True
        # The dark theme changes nothing but colours.
        schemes: dict[Literal["light", "dark"], list[str]] = {
            "light": [],
            "dark": ["color-contrast"],
        }
        for scheme, rules in schemes.items():
            self.page.emulate_media(color_scheme=scheme)
            for impact, *what in self.page.evaluate(FIND, [seen, rules]):
                self.note(f"axe, {self.width}, {scheme}: {impact} {' '.join(what)[:300]}")
        self.page.emulate_media(color_scheme="light")

    @property
    def width(self) -> int:
        return (self.page.viewport_size or WIDE)["width"]

    def check_widths(self, *sizes: ViewportSize) -> None:
        """Expect neither the page nor its list to scroll sideways, and stay at the last size."""
        for size in sizes:
            self.page.set_viewport_size(size)
            for part in self.page.evaluate(OVERFLOWING):
                self.note(f"{part} scrolls sideways at {self.width} pixels")
