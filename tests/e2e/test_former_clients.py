"""The old widget's page, with the lines of docs/moving.md in it, talks to Salient."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from asgiref.sync import sync_to_async
from django.conf import settings
from playwright.sync_api import Browser

from accounts.models import KeyKind
from sessions_app.models import Role
from tests.e2e.browser import TIMEOUT_MS
from tests.e2e.fixtures import BrowserTests
from tests.support.factories import make_key, write_config
from tests.support.fixtures import SCRIPTED, AgentFixtures, stored

DOCUMENT = Path(settings.BASE_DIR) / "docs/moving.md"
# An old page: a form for each of the two ways to call.
PAGE = """\
<!doctype html><meta charset="utf-8"><title>Old shop</title>
<button id="chat">Chat</button><button id="stream">Stream</button><pre id="said"></pre>
<script>
const SALIENT = "%(agent)s", PUBLISHABLE_KEY = "%(key)s";
%(lines)s
const said = document.getElementById("said");
document.getElementById("chat").onclick = async () => said.append((await chat("One")) + "|");
document.getElementById("stream").onclick = async () => {
  await stream("Two", (text) => said.append(text));
  said.append("|");
};
</script>
"""


def lines() -> str:
    [block] = re.findall(r"```javascript\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(block)


@contextmanager
def page_server() -> Iterator[tuple[str, dict[str, str]]]:
    """Serve pages by their paths, as a site of its own; the pages are filled in later."""
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = pages.get(self.path)
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((found or "").encode())

        def log_message(self, *_parts: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", pages
        finally:
            server.shutdown()
            thread.join()


class FormerClientTests(AgentFixtures, BrowserTests):
    def setUp(self) -> None:
        super().setUp()
        write_config(self.started.agent_configs, "acme", "bot", SCRIPTED)

    async def test_the_old_page_chats_and_streams_as_one_visitor(self) -> None:
        with page_server() as (site, pages):
            _, key = await sync_to_async(make_key)(
                self.account,
                kind=KeyKind.PUBLISHABLE,
                origins=[site],
                instance_ids=[self.instance.pk],
            )
            agent = f"{self.started.server.url}{self.path('')}".removesuffix("/")
            pages["/"] = PAGE % {"agent": agent, "key": key, "lines": lines()}
            async with asyncio.timeout(240):
                said = await self.started.browser.do(use, f"{site}/")

        messages, requests = await sync_to_async(stored)()
        answers = [each.content for each in messages if each.role == Role.ASSISTANT]
        self.assertEqual(said, "".join(f"{answer}|" for answer in answers))
        self.assertEqual(
            [each.content for each in messages if each.role == Role.HUMAN], ["One", "Two"]
        )
        # A browser is one visitor with one conversation, also after the page was loaded anew.
        self.assertEqual(len({each.session_id for each in messages}), 1)
        self.assertEqual({each.caller.partition(":")[0] for each in requests}, {"visitor"})


def use(running: Browser, url: str) -> str:
    page = running.new_page()
    page.goto(url)
    page.click("#chat")
    page.wait_for_function("said.textContent.endsWith('|')", timeout=TIMEOUT_MS)
    first = page.inner_text("#said")
    page.reload()
    page.click("#stream")
    page.wait_for_function("said.textContent.endsWith('|')", timeout=TIMEOUT_MS)
    return first + page.inner_text("#said")
