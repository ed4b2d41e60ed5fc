"""Finds the view of a path, and the route that a mistyped path is most like."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from functools import cache, lru_cache
from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.middleware.common import CommonMiddleware
from django.urls import Resolver404, ResolverMatch, URLPattern, URLResolver, get_resolver, resolve
from django.utils.deprecation import MiddlewareMixin

ACCOUNTS, OTHER_APIS = "/accounts/", "/v1/"
# Load balancers use any Host header.
HEALTH = frozenset({"/healthz", "/readyz"})
# Prometheus asks each process by its address; without a token the route is not there.
METRICS = "/metrics"
# What belongs to no account and is open to everybody.
OPEN = HEALTH | {"/openapi.json"}
# A longer path is not a typing error, and comparing it would cost too much.
LONGEST_PATH, MOST_SEGMENTS = 160, 12
# Routes that share almost as many segments as the best one are compared letter by letter.
CLOSE = 0.15
# Suggested where no route is like the path.
MAIN_ROUTE = "/accounts/{account}/agents/{agent}/chat"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# The names in a path of an account that is no route.
_NAMES = re.compile(
    rf"/*accounts/+(?P<account>{_NAME.pattern})(?:/+agents/+(?P<instance>{_NAME.pattern}))?(?:/|$)",
    re.IGNORECASE,
)
# What `route_template` returns for all pages together, and for what is no route.
PAGES, NO_ROUTE = "pages", "none"
# Shown instead of the parameter names of the URL patterns.
_SHOWN = {"instance": "agent"}


def is_api(path: str) -> bool:
    """Whether the path belongs to the API: its routes never end with a slash, pages always do."""
    if path in OPEN or path == METRICS or path.startswith(OTHER_APIS):
        return True
    if path.startswith(ACCOUNTS):
        return not path.endswith("/") or route_of(path) is None
    # Wrong slashes or wrong case: no page has such a path either.
    meant = _meant(path)
    return meant in OPEN or f"{meant}/".startswith((ACCOUNTS, OTHER_APIS))


def _meant(path: str) -> str:
    return f"/{path.strip('/').lower()}"


@lru_cache(maxsize=4096)
def route_of(path: str) -> ResolverMatch | None:
    """Return the view of a path. Cached: the same few paths come again and again."""
    # No route matches a NUL, and PostgreSQL refuses it.
    if "\x00" in path:
        return None
    try:
        return resolve(path)
    except Resolver404:
        return None


def names_in(path: str) -> dict[str, str]:
    """Return the names of an account and its agent that a path has, also one that is no route."""
    match = route_of(path)
    if match is not None:
        return {name: str(value) for name, value in match.kwargs.items()}
    found = _NAMES.match(path)
    return {name: text for name, text in found.groupdict().items() if text} if found else {}


@lru_cache(maxsize=4096)
def route_template(path: str) -> str:
    """Return the route of a path as documents write it, with the names of its parameters."""
    if not is_api(path):
        return PAGES
    match = route_of(path)
    if match is None:
        return NO_ROUTE
    return "/" + with_braces(match.route)


def with_braces(pattern: str) -> str:
    """Write the parameters of a URL pattern as documents do: `{account}`."""
    return _PARAMETER.sub(r"{\1}", pattern)


@lru_cache(maxsize=1024)
def nearest_route(path: str) -> str:
    """Return the API route that is most like the path, with the names from the path filled in.

    It only compares texts, so it does not reveal what exists.
    """
    if (meant := _meant(path)) in OPEN:
        return meant
    asked = path.strip("/").split("/")
    is_comparable = len(path) <= LONGEST_PATH and len(asked) <= MOST_SEGMENTS
    if not is_comparable:
        return MAIN_ROUTE
    routes = [list(_filled(route, asked)) for route in _api_routes()]
    shared = [_likeness(route, asked) for route in routes]
    if not any(shared):
        return MAIN_ROUTE
    least = max(shared) - CLOSE
    close = ["/".join(r) for r, words in zip(routes, shared, strict=True) if words >= least]
    return "/" + max(close, key=lambda route: _likeness(route, "/".join(asked)))


def _likeness(one: str | list[str], other: str | list[str]) -> float:
    """Return how much is equal and in the same order, 0 to 1: letters of texts, items of lists."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _filled(route: tuple[str, ...], asked: list[str]) -> Iterator[str]:
    for place, segment in enumerate(route):
        parameter = _PARAMETER.fullmatch(segment)
        given = asked[place] if place < len(asked) else ""
        if parameter is None:
            yield segment
        elif asked[0] == route[0] and _NAME.fullmatch(given):
            yield given
        else:
            yield f"{{{_SHOWN.get(parameter[1], parameter[1])}}}"


@cache
def _api_routes() -> list[tuple[str, ...]]:
    return [
        tuple(pattern.strip("/").split("/"))
        for pattern, _ in all_routes(get_resolver(), "/")
        if pattern.startswith(ACCOUNTS) and not pattern.endswith("/")
    ]


def all_routes(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every address pattern with its view."""
    for each in resolver.url_patterns:
        pattern = prefix + str(each.pattern)
        if isinstance(each, URLPattern):
            yield pattern, each.callback
        else:
            yield from all_routes(each, pattern)


class AppendSlash(CommonMiddleware):
    """Redirects to the URL of a page with its slash; only GET and HEAD, a form would be lost."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        is_read = request.method in {"GET", "HEAD"}
        return is_read and super().should_redirect_with_slash(request)


class RefuseNul(MiddlewareMixin):
    """Answers 400 to a query string with a NUL: PostgreSQL refuses it in every filter."""

    def process_request(self, request: HttpRequest) -> None:
        if "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("A NUL character is not allowed in an address.")
