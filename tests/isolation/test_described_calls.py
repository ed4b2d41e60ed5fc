"""Calls made from the OpenAPI document by schemathesis, as each kind of caller.

No call is answered with a 5xx or with what the document does not declare: each answer of a test is
compared with it (tests/support/isolation/declared_answers.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from itertools import cycle, islice
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import schemathesis
from django.test import SimpleTestCase
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode

from salient.api.openapi.routes import api_operations
from tests.support.api_client import Answer, Call
from tests.support.isolation import declared_answers
from tests.support.isolation.accounts import rolled_back
from tests.support.isolation.cases import MatrixTestCase, Principal

# One of each kind: what they may do differs, and so do their answers.
CALLERS = ("nobody", "key", "test", "publishable", "cookie", "token", "end_user", "owner", "viewer")
# For each operation and mode. The same calls are made in every run.
EXAMPLES = settings(
    max_examples=3,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
# No text that is made is nearly as long.
LONGEST_MADE = 10_000


@cache
def described() -> Any:
    document = json.dumps(declared_answers.document())
    return schemathesis.openapi.from_dict(json.loads(document, object_hook=without_large_counts))


def without_large_counts(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out a length that would make schemathesis count in a pattern, as in `^[a-z]{0,65536}$`.

    Each schema with such a pattern takes it a second.
    """
    if "pattern" in schema and schema.get("maxLength", 0) > LONGEST_MADE:
        del schema["maxLength"]
    return schema


def operations() -> Iterator[Any]:
    for found in described().get_all_operations():
        yield found.ok()


class DescribedCallTests(MatrixTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seen: set[int] = set()

    def send(self, case: Any, who: Principal, *, real_ids: bool) -> Answer:
        """Send the case to the account of the tests; other ids of its path are real, or made up."""
        values = {**case.path_parameters, "account": who.account, "instance": "bot"}
        case.path_parameters = values | (
            {name: value for name, value in self.values(who).items() if name in values}
            if real_ids
            else {}
        )
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://localhost")).prepare()
        address = urlsplit(str(sent.path_url))
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
        assert isinstance(body, bytes)
        # Who calls is the client's business.
        headers = {
            name: value if isinstance(value, str) else value.decode("latin-1")
            for name, value in sent.headers.items()
            if name.lower() not in {"authorization", "cookie", "host"}
        }
        call = Call(who.client, case.method, unquote(address.path), raw=body, headers=headers)
        call.scope["query_string"] = address.query.encode()
        self.run_call(call.run())
        return call.answer()

    def check(self, operation: Any, mode: GenerationMode) -> None:
        cases: SearchStrategy[Any] = operation.as_strategy(generation_mode=mode)
        # Together the examples of an operation are sent by everybody.
        callers = cycle(CALLERS)

        @seed(1)
        @EXAMPLES
        @given(case=cases, real_ids=st.booleans())
        def each(case: Any, *, real_ids: bool) -> None:
            made_up = {**case.path_parameters}
            for name in islice(callers, len(CALLERS) // EXAMPLES.max_examples):
                case.path_parameters = {**made_up}
                with rolled_back():
                    answer = self.send(case, self.principals[name], real_ids=real_ids)
                self.seen.add(answer.status)
                self.assertLess(answer.status, HTTPStatus.INTERNAL_SERVER_ERROR, answer.body)
                self.assertEqual(declared_answers.pop_faults(), [], name)

        each()

    def test_no_call_that_is_described_fails_or_is_answered_otherwise(self) -> None:
        for operation in operations():
            takes_something = bool(operation.definition.raw.get("parameters"))
            for mode in MODES if takes_something else MODES[:1]:
                with self.subTest(operation.label, mode=mode.value):
                    self.check(operation, mode)
        self.assertLessEqual({200, 204, 400, 401, 403, 404, 415}, self.seen)


class GeneratedTests(SimpleTestCase):
    def test_every_operation_is_called(self) -> None:
        labels = {operation.label for operation in operations()}

        self.assertEqual(labels, {f"{each.method} {each.path}" for each in api_operations()})
