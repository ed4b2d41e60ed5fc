"""Problems in the form in which clients of OpenAI's API read errors.

Every answer with an error under a `v1` of an account or an agent has it, whoever made the problem.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http.response import HttpResponseBase

_ROUTES = re.compile(r"/accounts/[^/]+/(?:agents/[^/]+/)?v1(?:/|$)")
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
# The SDKs repeat 408, 409, 429 and 5xx twice, without an idempotency key.
_HOPELESS = {HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT}
_HOPELESS_CODES = {
    "output_invalid",
    "answer_not_stored",
    "settlement_delayed",
    "abandoned",
    "agent_unavailable",
}
RATE_HEADERS = (
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
_RATE = re.compile(r'"([^"]+)";r=(\d+);t=(\d+)')
_QUOTA = re.compile(r'"([^"]+)";q=(\d+)')
_OWN = {"type", "title", "status", "code", "detail", "param", "errors"}


def is_openai(path: str) -> bool:
    """Whether a path is one that clients of OpenAI's API call."""
    return "/v1" in path and _ROUTES.match(path) is not None


def error_body(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"error": {"message", "type", "param", "code", …}} for a problem document."""
    errors = problem.get("errors") or [{}]
    status = problem["status"]
    kind = _TYPES.get(status) or (
        "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    )
    error = {
        "message": problem["detail"],
        "type": kind,
        "param": problem.get("param") or errors[0].get("field"),
        "code": problem["code"],
    }
    return {"error": error | {name: problem[name] for name in problem if name not in _OWN}}


def may_retry(problem: Mapping[str, Any]) -> bool:
    """Whether the same call may go well a moment later, and costs nothing twice."""
    return problem["status"] not in _HOPELESS and problem["code"] not in _HOPELESS_CODES


def in_openai_form(response: HttpResponseBase, path: str) -> HttpResponseBase:
    """Rewrite a problem document, and say what is left of the rates by OpenAI's names too."""
    if not is_openai(path):
        return response
    _name_rates(response)
    if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return response
    if response.headers.get("Content-Type") != "application/problem+json":
        return response
    answer: Any = response
    problem = json.loads(answer.content)
    answer.content = json.dumps(error_body(problem)).encode()
    response.headers["Content-Type"] = "application/json"
    if not may_retry(problem):
        response.headers["x-should-retry"] = "false"
    return response


def _name_rates(response: HttpResponseBase) -> None:
    """Add what clients and gateways for OpenAI read: of requests, as tokens have no rate here."""
    found = _RATE.fullmatch(response.headers.get("RateLimit", ""))
    if found is None:
        return
    policy, left, seconds = found.groups()
    quotas = dict(_QUOTA.findall(response.headers["RateLimit-Policy"]))
    limit, remaining, reset = RATE_HEADERS
    response.headers[limit] = quotas[policy]
    response.headers[remaining] = left
    response.headers[reset] = f"{seconds}s"
