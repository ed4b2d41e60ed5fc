"""A server of two processes and a worker: what its log, its /metrics and its dashboard say."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
from django.conf import settings
from django.test import TransactionTestCase
from prometheus_client.parser import text_string_to_metric_families

from tests.support.fixtures import AgentFixtures
from tests.support.servers.mock_openai import MockOpenAI, error
from tests.support.servers.otlp_sink import OTLPSink
from tests.support.servers.served import Served, served

TOKEN = "a-token-of-prometheus"
ASKING = {"Authorization": f"Bearer {TOKEN}"}
SECRET_TEXT = "My name is Ada"
TURNS = 6
CHAT = "/accounts/{account}/agents/{instance}/chat"
STREAM = "/accounts/{account}/agents/{instance}/stream"


class ServedTests(AgentFixtures, TransactionTestCase):
    """One server for all of them: starting it takes longer than asking it."""

    config = "model: mock:test-model\nretries: 0\n"
    maxDiff = None

    def setUp(self) -> None:
        super().setUp()
        prices = Path(settings.AGENT_CONFIG_DIR, "prices.yaml")
        prices.write_text("prices:\n  - {model: 'mock:*', input: 1, output: 2}\n")
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_logs_metrics_and_traces(self) -> None:
        asyncio.run(self.play())
        with self.subTest("metrics"):
            self.check_metrics()
        with self.subTest("dashboard and alerts"):
            self.check_names()
        with self.subTest("log"):
            self.check_log()
        with self.subTest("traces"):
            self.check_traces()

    async def play(self) -> None:
        with OTLPSink() as self.sink:
            async with (
                asyncio.timeout(200),
                MockOpenAI() as model,
                served(
                    cut_after=5,
                    WEB_CONCURRENCY="2",
                    START_WORKER="true",
                    TMPDIR=str(self.folder),
                    METRICS_TOKEN=TOKEN,
                    METRICS_ACCOUNTS="1",
                    LOG_FORMAT="json",
                    LOG_LEVEL="info",
                    LOG_REQUESTS="true",
                    OTEL_EXPORTER_OTLP_ENDPOINT=self.sink.url,
                ) as server,
            ):
                model.replies.append(error(500, "down"))
                await self.talk(server)
                self.families = await self.whole(server)
                [folder] = self.folder.iterdir()
                self.files = {file.name for file in folder.glob("histogram_*.db")}
                server.stop()
                self.assertEqual(await server.gone(), 0)
                self.log = server.log.read_text()

    async def talk(self, server: Served) -> None:
        """Have turns in both processes: each client has a connection of its own."""
        headers = {"Authorization": f"Bearer {self.secret}"}
        for number in range(TURNS):
            async with aiohttp.ClientSession(server.url, headers=headers) as client:
                what = "stream" if number % 2 else "chat"
                body = {"message": SECRET_TEXT}
                async with client.post(self.path(what), json=body) as answer:
                    await answer.read()
        async with aiohttp.ClientSession(server.url) as client:
            self.assertEqual((await client.post(self.path("chat"), json={})).status, 401)
            asked = {"message": SECRET_TEXT}
            self.assertEqual((await client.get(self.path("stream"), params=asked)).status, 401)
            self.assertEqual((await client.get("/accounts/acme/no\nroute")).status, 404)
            for sent in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN}):
                self.assertEqual((await client.get("/metrics", headers=sent)).status, 401)

    async def whole(self, server: Served) -> dict[str, Any]:
        """Wait until both processes and the worker have said what they know."""
        async with aiohttp.ClientSession(server.url, headers=ASKING) as client:
            while True:
                async with client.get("/metrics", headers={"Host": "10.0.0.7:8000"}) as answer:
                    self.assertEqual(answer.status, 200)
                    text = await answer.text()
                found = {family.name: family for family in text_string_to_metric_families(text)}
                jobs = values(found, "salient_jobs", "task", "state")
                size = values(found, "salient_database_pool_size", "pool")
                turns = sum(values(found, "salient_turns", "status").values())
                # Each process writes what it has counted every two seconds.
                is_whole = turns == TURNS and size.get(("all",)) == 16
                if is_whole and jobs.get(("settle_abandoned", "done")):
                    return found
                await asyncio.sleep(0.2)

    def check_metrics(self) -> None:
        found = self.families
        turns = values(found, "salient_turns", "status")
        self.assertEqual(turns, {("complete",): TURNS - 1, ("error",): 1})
        self.assertEqual(
            values(found, "salient_tokens", "direction", "provider"),
            {("input", "mock"): 10 * (TURNS - 1), ("output", "mock"): 5 * (TURNS - 1)},
        )
        calls = values(found, "salient_model_calls", "provider", "outcome")
        self.assertEqual(calls, {("mock", "ok"): TURNS - 1, ("mock", "provider_unavailable"): 1})
        [cost] = values(found, "salient_cost_usd", "provider").values()
        self.assertAlmostEqual(cost, (10 * 1 + 5 * 2) / 1e6 * (TURNS - 1))
        requests = values(found, "salient_http_requests", "method", "route", "status")
        self.assertEqual(requests["POST", STREAM, "2xx"], TURNS // 2)
        self.assertEqual(requests["POST", CHAT, "2xx"], TURNS // 2 - 1)
        self.assertEqual(requests["GET", "none", "4xx"], 1)
        refusals = values(found, "salient_refusals", "code")
        self.assertEqual(refusals["unknown_route",], 1)
        self.assertEqual(refusals["unauthenticated",], 5)
        self.assertEqual(self.count_of("salient_turn_seconds"), TURNS)
        self.assertEqual(self.count_of("salient_first_token_seconds"), TURNS // 2)
        self.assertEqual(values(found, "salient_database_up"), {(): 1})
        self.assertEqual(values(found, "salient_streams_running"), {(): 0})
        self.assertEqual(values(found, "salient_webhooks_waiting"), {(): 0})
        self.assertEqual(
            values(found, "salient_account_turns_today", "account"), {("acme",): TURNS}
        )
        # No label says more than the acme of METRICS_ACCOUNTS about a tenant.
        for family in found.values():
            if not family.name.startswith("salient_account"):
                self.assertNotIn("acme", repr(family.samples))
        # One folder for both processes and the worker, and none once the server has ended.
        self.assertEqual(len(self.files), 3)
        self.assertEqual(list(self.folder.iterdir()), [])

    def count_of(self, name: str) -> float:
        [count] = [each.value for each in self.families[name].samples if "_count" in each.name]
        return float(count)

    def check_names(self) -> None:
        """Each metric that the dashboard and the alerts name is one of the server's."""
        known = {sample.name for each in self.families.values() for sample in each.samples}
        known |= set(self.families)
        for name in ("grafana/salient.json", "prometheus/alerts.yaml"):
            text = Path(settings.BASE_DIR, "deploy", name).read_text()
            named = set(re.findall(r"\bsalient_[a-z_]+", text))
            with self.subTest(name):
                self.assertGreater(len(named), 10)
                self.assertEqual(named - known, set())

    def check_log(self) -> None:
        self.assertNotIn("Ada", self.log)
        self.assertNotIn(self.secret, self.log)
        lines = [json.loads(line) for line in self.log.splitlines()]
        loggers = {x["logger"] for x in lines}
        self.assertLessEqual({"gunicorn.error", "salient.requests"}, loggers)
        self.assertNotIn("gunicorn.access", loggers)
        for line in lines:
            self.assertLessEqual({"time", "level", "logger", "message", "process"}, set(line))
        said = [each for each in lines if each.get("route") == CHAT and each["status"] == 200]
        self.assertEqual(len(said), TURNS // 2 - 1)
        for each in said:
            self.assertEqual(
                (each["account"], each["agent"], each["method"]), ("acme", "bot", "POST")
            )
            for name in ("request_id", "session_id", "turn_id"):
                self.assertRegex(each[name], r"^[0-9a-f-]{24,36}$")
        # What the provider refused is about the turn in which it did.
        [failed] = [each for each in lines if each["logger"] == "agents.runtime"]
        self.assertEqual((failed["account"], failed["agent"]), ("acme", "bot"))
        self.assertIn("turn_id", failed)

    def check_traces(self) -> None:
        """Also those of the last seconds: the processes have sent them when they stopped."""
        names = [span.name for span in self.sink.spans]
        self.assertEqual(names.count("invoke_agent bot"), TURNS)
        self.assertEqual(names.count("chat test-model"), TURNS)
        self.assertEqual(names.count(f"POST {STREAM}"), TURNS // 2)
        self.assertNotIn("Ada", repr(self.sink.spans))


def values(found: dict[str, Any], name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The samples of a counter or gauge by these labels, without what is 0."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for sample in found[name].samples
        if not sample.name.endswith("_created") and (sample.value or not labels)
    }
