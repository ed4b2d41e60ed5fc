"""Which other sites' pages may read an answer (Fetch standard, "CORS protocol").

A route that has `may_call_from(origin, **path)` opens to the origins that it names, exactly; no
route opens to all, none to `null`, and none to cookies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from django.utils.cache import patch_vary_headers

from salient.origins import is_origin

type MayCallFrom = Callable[..., Awaitable[bool]]

REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
ANSWER_HEADERS = "RateLimit, RateLimit-Policy, Retry-After, Idempotency-Replayed, Location"
PREFLIGHT_SECONDS = 600


class Crossing:
    """One request from a page, and whether its origin may call this route."""

    def __init__(self, origin: str, match: ResolverMatch) -> None:
        self.origin = origin
        self.methods: tuple[str, ...] = getattr(match.func, "methods", ())
        self._ask = cast("MayCallFrom | None", getattr(match.func, "may_call_from", None))
        self._path: dict[str, Any] = match.kwargs
        self.allowed = False

    @property
    def is_open(self) -> bool:
        """Whether the route is one that other sites may call at all."""
        return self._ask is not None

    async def judge(self) -> None:
        if self._ask is not None and is_origin(self.origin):
            self.allowed = await self._ask(self.origin, **self._path)

    def preflight(self) -> HttpResponse:
        """Answer the browser's question; it looks the same wherever the origin is not listed."""
        response = HttpResponse(status=204)
        self.dress(response)
        if self.allowed:
            response.headers["Access-Control-Allow-Methods"] = ", ".join(self.methods)
            response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    def dress(self, response: HttpResponseBase) -> None:
        """Let the page read the answer, an error too."""
        patch_vary_headers(response, ["Origin"])
        if self.allowed:
            response.headers["Access-Control-Allow-Origin"] = self.origin
            response.headers["Access-Control-Expose-Headers"] = ANSWER_HEADERS
