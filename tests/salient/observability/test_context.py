"""Each request has one id: in its answer, and in the lines of the log about it."""

from __future__ import annotations

import logging

from django.test import SimpleTestCase

from salient.api.worker import refusal
from salient.observability import context
from tests.support.api_client import ApiClient, connections_stay_open


class RequestIdTests(SimpleTestCase):
    async def test_the_clients_own_id_is_kept(self) -> None:
        for path in ("/healthz", "/admin/nothing", "/login/"):
            with self.subTest(path=path), connections_stay_open():
                answer = await ApiClient(headers={"x-request-id": "job-7.a_b:c~d"}).get(path)
                self.assertEqual(answer.request_id, "job-7.a_b:c~d")

    async def test_what_is_no_id_is_replaced(self) -> None:
        for sent in ("", "a b", "x" * 129, "ä", 'a"b', "sal_sk_secret", "a,sal_sk_secret"):
            answer = await ApiClient(headers={"x-request-id": sent}).get("/healthz")
            self.assertRegex(answer.request_id, r"^[0-9a-f]{24}$")

    async def test_each_request_gets_another(self) -> None:
        found = {(await ApiClient().get("/healthz")).request_id for _ in range(3)}
        self.assertEqual(len(found), 3)

    async def test_an_error_and_a_refusal_have_one(self) -> None:
        for path, headers in (("/accounts/acme/nothing", {}), ("/healthz/x", {"host": "evil"})):
            answer = await ApiClient(headers=headers).get(path)
            self.assertRegex(answer.request_id, r"^[0-9a-f]{24}$")
        self.assertRegex(refusal(400, "", ()).decode(), r"X-Request-Id: [0-9a-f]{24}\r\n")

    async def test_lines_of_the_log_name_the_request(self) -> None:
        with self.assertLogs("salient.api.limits") as logs:
            logs.records.clear()
            handler = logging.getLogger("salient.api.limits").handlers[0]
            handler.addFilter(context.ContextFilter())
            await ApiClient(headers={"host": "evil.example", "x-request-id": "job-7"}).get(
                "/login/"
            )
        self.assertEqual([record.request_id for record in logs.records], ["job-7"])  # type: ignore[attr-defined]

    def test_outside_of_any_there_is_none(self) -> None:
        self.assertEqual(context.request_id(), "-")
