"""docs/api.md as a consumer reads it: every snippet is run, and every answer is as it is shown.

The rules are in tests/project/snippets.py. One server answers, and blocks are run in their order.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import tempfile
import traceback
from collections.abc import AsyncIterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest import mock

import aiohttp
from django.conf import settings
from django.test import SimpleTestCase, TransactionTestCase
from django.utils import timezone

from accounts.limits.budgets import set_budget
from accounts.models import Scope
from accounts.webhooks import signing
from salient.api.operations import WITH_BODY
from sessions_app.usage import rollup
from tests.project.snippets import (
    LANGUAGES,
    RUN,
    Block,
    Exchange,
    blocks,
    differences,
    event_differences,
    exchanges,
    shown_json,
    texts,
)
from tests.support.docs import ROOT
from tests.support.factories import make_instance, make_key, write_config
from tests.support.fixtures import AgentFixtures
from tests.support.servers import node_clients
from tests.support.servers.served import Served, served
from tests.support.usage import settled

PAGE = ROOT / "docs/api.md"
# The days of the example.
USED = datetime(2026, 11, 3, 12, tzinfo=UTC)
CURL = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'
# A snippet that only defines this function is given an event that our own code has signed.
RECEIVE = "receive("
# In CI always: there, a machine without Node fails.
HAS_NODE = bool(shutil.which("node") or os.environ.get("CI"))
CALLS = {
    "python": (
        "\nimport json\nprint(receive(os.environ['EVENT_BODY'].encode(),"
        " json.loads(os.environ['EVENT_HEADERS'])))"
    ),
    "javascript": (
        "\nconst { EVENT_BODY, EVENT_HEADERS } = process.env;"
        "\nconsole.log(receive(EVENT_BODY, JSON.parse(EVENT_HEADERS)));"
    ),
}


class FormTests(SimpleTestCase):
    def test_every_block_has_a_language_that_is_known(self) -> None:
        found = list(blocks(PAGE.read_text()))
        unknown = [(each.line, each.language) for each in found if each.language not in LANGUAGES]
        self.assertEqual(unknown, [])
        self.assertLessEqual(RUN, {each.language for each in found})

    def test_nothing_that_can_be_run_hides_in_another_block(self) -> None:
        text = PAGE.read_text()
        self.assertEqual(
            re.findall(r"^(?: {4}|\t).*\S.*$", outside_of_blocks(text), re.MULTILINE), []
        )
        shown = [each for each in blocks(text) if each.language not in {*RUN, "http"}]
        starts = r"^(?:curl|import|from|const|GET /accounts|POST /accounts)\b"
        hidden = [each.line for each in shown if re.search(starts, each.text, re.MULTILINE)]
        self.assertEqual(hidden, [])


def outside_of_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


class RuleTests(SimpleTestCase):
    """What is shown is compared by its keys; `…` stands for what is left out."""

    def wrong(self, shown: str, real: Any) -> list[str]:
        return [*differences(shown_json(shown), real)]

    def test_a_key_too_few_or_too_many_is_found_at_any_depth(self) -> None:
        real = {"data": [{"id": "x", "name": None}], "has_more": False}
        self.assertEqual(
            self.wrong('{"data": [{"id": "y", "name": "z"}], "has_more": …}', real), []
        )
        self.assertEqual(self.wrong('{"data": [{"id": "y", …}], …}', real), [])
        for shown, fault in (
            ('{"data": [{"id": "y"}], …}', ".data[0].name is there, and not shown"),
            ('{"data": […], "more": 1, …}', ".more is shown, and not there"),
            ('{"data": "y", …}', ".data is shown as a plain value"),
            ('{"has_more": [1], …}', ".has_more is no list, or an empty one"),
            ('{"data": {…}, …}', ".data is no object"),
        ):
            self.assertEqual(self.wrong(shown, real), [fault])

    def test_an_exchange_has_its_parts(self) -> None:
        text = 'PUT /a\nIf-Match: "x"\n{"b": 1}\n\n201 Created\nETag: "y"\n\nGET /c\n'
        self.assertEqual(
            [*exchanges(text)],
            [
                Exchange("PUT", "/a", {"If-Match": '"x"'}, '{"b": 1}', 201, (("ETag", '"y"'),)),
                Exchange("GET", "/c", {}, ""),
            ],
        )


class Reader:
    """Follows the page: sends what it shows, and compares what it says is answered."""

    def __init__(self, server: Served, http: aiohttp.ClientSession, secret: str) -> None:
        self.server, self.http = server, http
        self.headers = {"Authorization": f"Bearer {secret}"}
        self.variables = {
            "SALIENT_URL": f"{server.url}/accounts/acme",
            "SALIENT_AGENT": "bot",
            "SALIENT_KEY": secret,
            "PAGE_ORIGIN": server.url,
            "PAGE_COOKIE": "",
        }
        # What the last block has answered, and the texts of the page that were others really.
        self.answered = ""
        self.known: dict[str, str] = {}

    async def read(self, block: Block) -> list[str]:
        """Run or compare a block; return what is wrong with it."""
        match block.language:
            case "json" if block.is_direct:
                return self.compare(block.text, self.answered)
            case "sse" if block.is_direct:
                return [*event_differences(block.text, self.answered)]
            case "http":
                return [fault for each in exchanges(block.text) for fault in await self.send(each)]
            case language if language in RUN:
                return await self.run(block)
        return []

    def compare(self, shown: str, answered: str) -> list[str]:
        expected, real = shown_json(shown), json.loads(answered)
        self.known |= {one: other for one, other in texts(expected, real) if len(one) > 8}
        return [*differences(expected, real)]

    async def send(self, exchange: Exchange) -> list[str]:
        path, body = self.replaced(exchange.path), self.replaced(exchange.body)
        given = {name: self.replaced(value) for name, value in exchange.headers.items()}
        if exchange.method in WITH_BODY:
            given["Content-Type"] = "application/json"
        async with self.http.request(
            exchange.method,
            self.server.url + path,
            headers=self.headers | given,
            data=body.encode() or None,
        ) as answer:
            self.answered = await answer.text()
        if not exchange.status:
            return [] if answer.ok else [f"{exchange.path}: {answer.status} {self.answered}"]
        if answer.status != exchange.status:
            return [f"{exchange.path}: {answer.status} {self.answered}"]
        for name, value in exchange.answer_headers:
            if name not in answer.headers:
                return [f"{exchange.path}: there is no header {name}"]
            self.known[value] = answer.headers[name]
        return self.compare(exchange.answer, self.answered) if exchange.answer else []

    def replaced(self, text: str) -> str:
        """Write what was answered really in the place of what is shown."""
        for shown, real in self.known.items():
            text = text.replace(shown, real)
        return text

    async def run(self, block: Block) -> list[str]:
        self.fill_in(block)
        if not block.code.strip():
            return []
        printed = await self.printed(block)
        if printed is None:
            return []
        code, self.answered, errors = printed
        if code:
            return [f"exit code {code}: {self.answered}{errors}"]
        return [] if self.answered.strip() else ["it prints nothing"]

    def fill_in(self, block: Block) -> None:
        """Give the placeholders their values: `# key of the answer` says which it is."""
        for name, comment in block.exports.items():
            if name not in self.variables:
                key = comment.removesuffix(" of the answer")
                self.variables[name] = json.loads(self.answered)[key]

    async def printed(self, block: Block) -> tuple[int, str, str] | None:
        code = block.code
        if RECEIVE in code:
            code += CALLS[block.language]
            self.variables |= signed_event(self.variables["WEBHOOK_SECRET"])
        match block.language:
            case "sh":
                return await self.started("bash", "-c", CURL + code)
            case "python":
                return await asyncio.to_thread(self.in_this_process, code)
        if not HAS_NODE:
            return None
        node = ("node", "--import", "./page.mjs", "--input-type=module", "--eval", code)
        return await self.started(*node, folder=str(node_clients.INSTALLED))

    def in_this_process(self, code: str) -> tuple[int, str, str]:
        """Run Python here: most of the time of a process would go into importing the packages."""
        output = io.StringIO()
        with mock.patch.dict(os.environ, self.variables), redirect_stdout(output):
            try:
                exec(compile(code, PAGE.name, "exec"), {"__name__": "__main__"})  # noqa: S102 - ours
            except Exception:
                return 1, output.getvalue(), traceback.format_exc()
        return 0, output.getvalue(), ""

    async def started(self, *command: str, folder: str | None = None) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder or tempfile.gettempdir(),
            env=os.environ | self.variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        return process.returncode or 0, output.decode(), errors.decode()


def signed_event(secret: str) -> dict[str, str]:
    body = json.dumps({"type": "webhook.test"})
    headers = signing.headers_of("msg_1", body, [secret], timezone.now())
    return {"EVENT_BODY": body, "EVENT_HEADERS": json.dumps(dict(headers))}


class SnippetTests(AgentFixtures, TransactionTestCase):
    def setUp(self) -> None:
        super().setUp()
        write_config(
            settings.AGENT_CONFIG_DIR,
            "acme",
            "clock",
            "model: scripted:tool\ntools: [current_time]\n",
        )
        make_instance(self.account, "clock")
        _, self.secret = make_key(self.account, scopes=Scope.values)
        set_budget(self.account, period="month", limit=Decimal(10))
        settled(self.instance, USED)
        rollup.rebuild(self.account.pk)

    async def test_the_page_can_be_followed(self) -> None:
        if HAS_NODE:
            await node_clients.install()
        async with (
            asyncio.timeout(180),
            served(cut_after=5, DEMO="true") as server,
            aiohttp.ClientSession() as http,
        ):
            reader = Reader(server, http, self.secret)
            async with http.get(f"{server.url}{self.path('')}") as page:
                cookies = {each.key: each.value for each in page.cookies.values()}
            http.cookie_jar.clear()
            reader.variables["PAGE_COOKIE"] = "; ".join("=".join(one) for one in cookies.items())
            faults = [each async for each in self.faults_of(reader)]
        self.assertEqual(faults, [], "\n".join(faults))

    async def faults_of(self, reader: Reader) -> AsyncIterator[str]:
        for block in blocks(PAGE.read_text()):
            try:
                found = await reader.read(block)
            except (ValueError, KeyError) as error:
                found = [repr(error)]
            for fault in found:
                yield f"{PAGE.name}:{block.line}: {fault}"
