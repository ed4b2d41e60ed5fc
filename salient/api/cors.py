"""CORS: which pages of other origins may read an answer (Fetch standard, "CORS protocol").

A route with `may_call_from(origin, **path)` is open to exactly the origins that it allows. No route
is open to all origins, to the origin `null` or to cookies.
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
from salient.api.problems.openai import RATE_HEADERS

type MayCallFrom = Callable[..., Awaitable[bool]]

# The last ones are what OpenAI's client adds in a browser.
REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Salient-Session, X-Request-Id, "
    "X-Stainless-Lang, X-Stainless-Package-Version, X-Stainless-OS, X-Stainless-Arch, "
    "X-Stainless-Runtime, X-Stainless-Runtime-Version, X-Stainless-Retry-Count, "
    "X-Stainless-Timeout, X-Stainless-Helper-Method, OpenAI-Organization, OpenAI-Project"
)
ANSWER_HEADERS = (
    "RateLimit, RateLimit-Policy, Retry-After, Idempotency-Replayed, Location, Salient-Turn, "
    f"X-Request-Id, X-Should-Retry, {', '.join(RATE_HEADERS)}"
)
PREFLIGHT_SECONDS = 600


class CrossOriginRequest:
    """A request from a page of another origin.

    Only answers to authenticated callers depend on the origins that the agent lists. Every page may
    read all other answers and each 404, so that CORS does not reveal which agents exist.
    """

    def __init__(self, origin: str, match: ResolverMatch) -> None:
        self.origin = origin
        self.methods: tuple[str, ...] = getattr(match.func, "methods", ())
        self._may_call_from = cast("MayCallFrom | None", getattr(match.func, "may_call_from", None))
        self._path: dict[str, Any] = match.kwargs

    @property
    def is_open(self) -> bool:
        """Whether pages of other origins may call this route at all."""
        return self._may_call_from is not None

    def preflight(self) -> HttpResponse:
        """Answer a preflight, in the same way for every agent and every origin.

        The page may then send its request. It reads nothing of value unless the agent lists its
        origin, and browsers send no cookies with it.
        """
        response = HttpResponse(status=HTTPStatus.NO_CONTENT)
        patch_vary_headers(response, ["Origin"])
        if is_origin(self.origin):
            self._allow(response)
            response.headers["Access-Control-Allow-Methods"] = ", ".join(self.methods)
            response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    async def add_headers(self, response: HttpResponseBase, *, caller_is_known: bool) -> None:
        """Let the page read the response, also an error, where it may."""
        patch_vary_headers(response, ["Origin"])
        if not is_origin(self.origin):
            return
        # No page reads a redirect itself: the answer at its end is asked about again.
        is_public = not caller_is_known or response.status_code in {
            HTTPStatus.NOT_FOUND,
            HTTPStatus.PERMANENT_REDIRECT,
        }
        if is_public or (
            self._may_call_from and await self._may_call_from(self.origin, **self._path)
        ):
            self._allow(response)

    def _allow(self, response: HttpResponseBase) -> None:
        response.headers["Access-Control-Allow-Origin"] = self.origin
        response.headers["Access-Control-Expose-Headers"] = ANSWER_HEADERS
