"""Which other sites' pages may read an answer (Fetch standard, "CORS protocol").

A route that has `may_call_from(origin, **path)` opens to the origins that it names, exactly; no
route opens to all, none to `null`, and none to cookies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from django.utils.cache import patch_vary_headers

from salient.api.origins import is_origin

type MayCallFrom = Callable[..., Awaitable[bool]]

REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
ANSWER_HEADERS = "RateLimit, RateLimit-Policy, Retry-After, Idempotency-Replayed, Location"
PREFLIGHT_SECONDS = 600


class Crossing:
    """One request from a page elsewhere, at a route that such pages may call.

    Only answers to callers who are known depend on what the agent lists. All others, and each 404,
    may be read by every page: so they tell nobody which agents there are, and whose they are.
    """

    def __init__(self, origin: str, match: ResolverMatch) -> None:
        self.origin = origin
        self.methods: tuple[str, ...] = getattr(match.func, "methods", ())
        self._ask = cast("MayCallFrom | None", getattr(match.func, "may_call_from", None))
        self._path: dict[str, Any] = match.kwargs

    @property
    def is_open(self) -> bool:
        """Whether the route is one that other sites may call at all."""
        return self._ask is not None

    def preflight(self) -> HttpResponse:
        """Answer the browser's question in the same way for every agent and every origin.

        It lets the page send its call. Without an agent that lists it the page reads nothing of
        value, and cookies never come along.
        """
        response = HttpResponse(status=HTTPStatus.NO_CONTENT)
        patch_vary_headers(response, ["Origin"])
        if is_origin(self.origin):
            self._open(response)
            response.headers["Access-Control-Allow-Methods"] = ", ".join(self.methods)
            response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    async def dress(self, response: HttpResponseBase, *, caller_is_known: bool) -> None:
        """Let the page read the answer, an error too."""
        patch_vary_headers(response, ["Origin"])
        if not is_origin(self.origin):
            return
        tells_something = caller_is_known and response.status_code != HTTPStatus.NOT_FOUND
        if not tells_something or (self._ask and await self._ask(self.origin, **self._path)):
            self._open(response)

    def _open(self, response: HttpResponseBase) -> None:
        response.headers["Access-Control-Allow-Origin"] = self.origin
        response.headers["Access-Control-Expose-Headers"] = ANSWER_HEADERS
