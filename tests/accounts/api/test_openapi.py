"""The OpenAPI document: complete, valid, cached, and for a caller only what it may use."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from http import HTTPStatus
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import SimpleTestCase, TestCase
from openapi_spec_validator import OpenAPIV31SpecValidator

from accounts.api.openapi.security import SECURITY
from accounts.models import KeyMode, Scope
from salient.api.openapi.document import VERSION, build
from salient.api.openapi.routes import api_operations
from salient.api.problems import Problem
from tests.support.api_client import ApiClient
from tests.support.docs import ROOT
from tests.support.factories import make_key
from tests.support.fixtures import AgentFixtures
from tests.support.isolation import declared_answers
from tests.support.isolation.routes import routes

HERE = "/openapi.json"


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(build(api_operations(), SECURITY, server="/")))
    return found


def operations(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, item in found["paths"].items()
        for method, operation in item.items()
    }


class DocumentTests(SimpleTestCase):
    def test_every_route_of_the_api_is_described_and_no_page(self) -> None:
        there = {
            (method, "/" + route.pattern.replace("<str:", "{").replace(">", "}"))
            for route in routes()
            if route.is_api()
            for method in (route.methods or ("GET",))
        }

        undescribed = [each.name for each in routes() if each.is_api() and not each.operations]

        self.assertEqual(undescribed, [])
        self.assertEqual({*operations(document())}, there)

    def test_it_is_valid_openapi(self) -> None:
        faults = OpenAPIV31SpecValidator(document()).iter_errors()

        self.assertEqual([fault.message for fault in faults], [])

    def test_operations_have_ids_of_their_own_and_say_what_they_do(self) -> None:
        found = operations(document()).values()

        ids = Counter(operation["operationId"] for operation in found)
        self.assertEqual([name for name, count in ids.items() if count > 1], [])
        self.assertEqual([each["operationId"] for each in found if not each["summary"]], [])

    def test_a_type_has_the_same_name_in_every_document(self) -> None:
        whole = document()["components"]["schemas"]
        for scope in Scope.values:
            with self.subTest(scope):
                few = [each for each in api_operations() if each.operation.scope == scope]
                found = build(few, SECURITY, server="/")["components"]["schemas"]
                self.assertEqual({name: whole.get(name) for name in found}, found)

    def test_its_version_is_the_projects(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

        self.assertEqual(VERSION, project["version"])

    def test_it_says_what_a_turn_takes_and_gives(self) -> None:
        chat = operations(document())["POST", "/accounts/{account}/agents/{instance}/chat"]

        content = chat["requestBody"]["content"]["application/json"]
        self.assertEqual(content, {"schema": {"$ref": "#/components/schemas/ChatIn"}})
        self.assertTrue(chat["requestBody"]["required"])
        self.assertIn({"$ref": "#/components/parameters/Idempotency-Key"}, chat["parameters"])
        self.assertEqual(
            [*chat["security"]],
            [{"key": ["chat"]}, {"visitorToken": []}, {"login": ["chat"]}, {"visitorCookie": []}],
        )
        self.assertEqual(
            [*chat["responses"]["200"]["headers"]],
            ["X-Request-Id", "RateLimit", "RateLimit-Policy", "Location", "Idempotency-Replayed"],
        )
        shared = chat["responses"]["422"]["$ref"].rpartition("/")[2]
        self.assertEqual(shared, "422.idempotency_key_reused")

    def test_query_parameters_are_those_of_the_schema(self) -> None:
        usage = operations(document())["GET", "/accounts/{account}/usage"]

        found = {each["name"]: each["schema"] for each in usage["parameters"]}
        filters = {"agent", "model", "key", "end_user"}
        self.assertEqual(
            {*found}, {"account", "from", "to", "by", "then_by", "tag", "format"} | filters
        )
        self.assertEqual(found["from"]["format"], "date")
        self.assertEqual(found["by"], {"$ref": "#/components/schemas/By", "default": "day"})


class ServedTests(AgentFixtures, TestCase):
    async def test_everybody_may_read_the_whole_document_and_keep_it(self) -> None:
        answer = await ApiClient().get(HERE)
        again = await ApiClient(headers={"if-none-match": answer.headers["etag"]}).get(HERE)
        other = await ApiClient(headers={"if-none-match": '"another"'}).get(HERE)

        self.assertEqual(answer.json()["openapi"], "3.1.1")
        self.assertIn("public", answer.headers["cache-control"])
        self.assertEqual((again.status, again.body), (HTTPStatus.NOT_MODIFIED, b""))
        self.assertEqual(other, answer)

    async def test_it_reads_no_query_and_no_other_method(self) -> None:
        asked = await ApiClient().get(HERE, colour="red")
        sent = await ApiClient().post(HERE, {})

        self.assertEqual(asked.json()["code"], "invalid_request")
        self.assertEqual(sent.json()["code"], "method_not_allowed")

    async def test_a_caller_gets_what_it_may_use_below_its_account(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account, scopes=[Scope.USAGE_READ])
        answer = await ApiClient(secret).get("/accounts/acme/openapi.json")

        self.assertEqual(answer.status, HTTPStatus.OK, answer.body)
        found = answer.json()
        self.assertEqual(found["servers"], [{"url": "/accounts/acme"}])
        self.assertEqual(
            {*operations(found)},
            {("GET", "/openapi.json"), ("GET", "/me"), ("POST", "/keys/rotate"), ("GET", "/usage")},
        )
        self.assertEqual([*OpenAPIV31SpecValidator(found).iter_errors()], [])
        self.assertNotIn("ChatIn", found["components"]["schemas"])
        self.assertIn("no-store", answer.headers["cache-control"])

    async def test_a_caller_with_all_scopes_gets_a_valid_document_too(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account, scopes=[*Scope])
        found = (await ApiClient(secret).get("/accounts/acme/openapi.json")).json()

        self.assertEqual([*OpenAPIV31SpecValidator(found).iter_errors()], [])
        # The account's own address, which is above those of all that is in it.
        account = found["paths"]["/{account}"]
        self.assertEqual(account["servers"], [{"url": "/accounts"}])
        [parameter] = account["parameters"]
        self.assertEqual((parameter["name"], parameter["schema"]["enum"]), ("account", ["acme"]))
        self.assertIn("patch", account)

    async def test_a_test_key_does_not_see_what_changes_the_whole_account(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account, scopes=[*Scope], mode=KeyMode.TEST)
        found = (await ApiClient(secret).get("/accounts/acme/openapi.json")).json()

        self.assertIn(("GET", "/members"), operations(found))
        self.assertNotIn(("POST", "/members"), operations(found))


def answer(status: int, media_type: str, body: bytes, *headers: str) -> list[str]:
    """Return what is wrong with such an answer of the list of agents."""
    start = {
        "status": status,
        "headers": [
            (b"content-type", media_type.encode()),
            *((name.encode(), b"a") for name in ("x-request-id", *headers)),
        ],
    }
    return [*declared_answers.faults_of("GET", "/accounts/acme/agents", start, body)]


class Wrong(Problem):
    code = "wrong"


class DeclaredAnswersTests(SimpleTestCase):
    """What fails a test whose answer the document does not declare."""

    def test_what_is_declared_is_accepted(self) -> None:
        page = {"data": [], "has_more": False, "next_cursor": None}
        body = {"account": "acme", "instances": [], **page}
        self.assertEqual(answer(200, "application/json", json.dumps(body).encode()), [])

    def test_undeclared_headers_are_named(self) -> None:
        page = b'{"account": "acme", "instances": [], "data": [], "has_more": false, %b}'
        body = page % b'"next_cursor": null'
        known = ("ratelimit", "cache-control", "access-control-allow-origin")
        self.assertEqual(answer(200, "application/json", body, *known), [])

        [fault] = answer(200, "application/json", body, *known, "x-colour")
        self.assertIn("x-colour", fault)
        [fault] = answer(404, "application/problem+json", b"{}", "x-colour")[-1:]
        self.assertIn("x-colour", fault)

    def test_undeclared_fields_codes_and_statuses_are_named(self) -> None:
        page = b'"data": [], "has_more": false, "next_cursor": null'
        surplus = b'{"account": "acme", "instances": [], "colour": "red", %b}' % page
        missing = b'{"account": "acme", %b}' % page
        problem = Wrong("No.").as_response()

        for faults, text in (
            (answer(200, "application/json", surplus), "colour"),
            (answer(200, "application/json", missing), "instances"),
            (answer(201, "application/json", missing), "status"),
            (answer(200, "text/csv", b"a"), "text/csv"),
            (answer(400, problem["Content-Type"], problem.content), "wrong"),
        ):
            with self.subTest(text):
                self.assertEqual(len(faults), 1)
                self.assertIn(text, faults[0])

    def test_the_events_of_a_stream_are_looked_at(self) -> None:
        path = "/accounts/acme/agents/bot/stream"
        start = {
            "status": 200,
            "headers": [(b"content-type", b"text/event-stream"), (b"x-request-id", b"a")],
        }
        body = (
            b'event: tool\ndata: {"id": "1", "name": "clock", "status": "gone"}\n\n'
            b"event: colour\ndata: red\n\nevent: message\ndata: red\n\n"
        )

        faults = [*declared_answers.faults_of("POST", path, start, body)]

        self.assertEqual(len(faults), 2)
        self.assertIn("tool: status", faults[0])
        self.assertIn("colour", faults[1])

    def test_every_answer_has_a_request_id(self) -> None:
        start: dict[str, Any] = {"status": 204, "headers": []}
        faults = [*declared_answers.faults_of("OPTIONS", "/accounts/acme/agents", start, b"")]

        self.assertEqual(len(faults), 1)
        self.assertIn("X-Request-Id", faults[0])


VIEWER = settings.BASE_DIR / "static/vendor/swagger-ui-dist"


class ReferenceTests(SimpleTestCase):
    def test_it_shows_the_whole_document(self) -> None:
        answer = self.client.get("/docs/", secure=True)

        self.assertEqual(answer.status_code, HTTPStatus.OK)
        self.assertContains(answer, 'data-document="/openapi.json"')

    def test_everything_comes_from_this_server(self) -> None:
        answer = self.client.get("/docs/", secure=True)

        linked = re.findall(r'(?:src|href)="([^"]+)"', answer.content.decode())
        files = [link.removeprefix("/static/") for link in linked if link != "/openapi.json"]
        self.assertEqual(len(files), 6)
        self.assertEqual([name for name in files if finders.find(name) is None], [])
        policy = answer["Content-Security-Policy"]
        self.assertIn("script-src 'self'", policy)
        self.assertNotIn("unsafe", policy)

    def test_the_viewer_has_its_licence_and_version(self) -> None:
        self.assertIn("Apache License", (VIEWER / "LICENSE").read_text())
        self.assertRegex(
            (VIEWER / "README").read_text(), r"^swagger-ui-dist \d+\.\d+\.\d+, Apache-2.0"
        )
        for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
            self.assertNotIn(b"sourceMappingURL=swagger", (VIEWER / name).read_bytes())
