"""Which view serves a path, and which route somebody meant who mistyped one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache, lru_cache

from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.middleware.common import CommonMiddleware
from django.urls import Resolver404, ResolverMatch, URLPattern, URLResolver, get_resolver, resolve
from django.utils.deprecation import MiddlewareMixin

ACCOUNTS, OTHER_APIS = "/accounts/", "/v1/"
# Load balancers ask for them by whatever name they know.
HEALTH = frozenset({"/healthz", "/readyz"})
# Beyond these nobody has mistyped anything, and the comparison would cost too much.
LONGEST_PATH, MOST_SEGMENTS = 160, 12
# Routes that share almost as many segments as the best one are compared letter by letter.
CLOSE = 0.15
# For who asks for another product's routes.
MAIN_ROUTE = "/accounts/{account}/agents/{agent}/chat"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Said instead of the names that the URL patterns have.
_SHOWN = {"instance": "agent"}


def is_api(path: str) -> bool:
    """Whether the path is answered in JSON: API routes never end with a slash, pages always do."""
    if path in HEALTH or path.startswith(OTHER_APIS):
        return True
    if path.startswith(ACCOUNTS):
        return not path.endswith("/") or route_of(path) is None
    # Mistyped in its slashes or its case: no page has such a path either.
    meant = _meant(path)
    return meant in HEALTH or f"{meant}/".startswith((ACCOUNTS, OTHER_APIS))


def _meant(path: str) -> str:
    return f"/{path.strip('/').lower()}"


@lru_cache(maxsize=4096)
def route_of(path: str) -> ResolverMatch | None:
    """Kept, for the same few paths come again and again; paths with ids push one another out."""
    # No name has one, and the database takes none.
    if "\x00" in path:
        return None
    try:
        return resolve(path)
    except Resolver404:
        return None


@lru_cache(maxsize=1024)
def nearest_route(path: str) -> str:
    """Name the API route that is most like the path, with the path's own names filled in.

    It compares texts and looks nothing up, so it tells nobody what exists.
    """
    if (meant := _meant(path)) in HEALTH:
        return meant
    asked = path.strip("/").split("/")
    is_comparable = len(path) <= LONGEST_PATH and len(asked) <= MOST_SEGMENTS
    if path.startswith(OTHER_APIS) or not is_comparable:
        return MAIN_ROUTE
    routes = [list(_filled(route, asked)) for route in _api_routes()]
    shared = [_likeness(route, asked) for route in routes]
    if not any(shared):
        return MAIN_ROUTE
    least = max(shared) - CLOSE
    close = ["/".join(r) for r, words in zip(routes, shared, strict=True) if words >= least]
    return "/" + max(close, key=lambda route: _likeness(route, "/".join(asked)))


def _likeness(one: str | list[str], other: str | list[str]) -> float:
    """Say how much stands in the same order: letters of texts, segments of lists."""
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
    patterns = ("/" + pattern for pattern in _patterns(get_resolver(), ""))
    return [
        tuple(pattern.strip("/").split("/"))
        for pattern in patterns
        if pattern.startswith(ACCOUNTS) and not pattern.endswith("/")
    ]


def _patterns(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for each in resolver.url_patterns:
        pattern = prefix + str(each.pattern)
        if isinstance(each, URLPattern):
            yield pattern
        else:
            yield from _patterns(each, pattern)


class AppendSlash(CommonMiddleware):
    """Redirects to a page's address with its slash; only what is read, for a form would be lost."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        is_read = request.method in {"GET", "HEAD"}
        return is_read and super().should_redirect_with_slash(request)


class RefuseNul(MiddlewareMixin):
    """Answers 400 to an address with a NUL, which the database takes in no filter of a list."""

    def process_request(self, request: HttpRequest) -> None:
        if "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("A NUL character is not allowed in an address.")
