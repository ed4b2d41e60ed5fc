"""The start-up check of routes: each API route asks for a scope, each page ends with a slash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.urls import get_resolver

from accounts.auth.decorators import ANY
from accounts.models import Scope
from salient.api.operations import Operation
from salient.api.routing import all_routes

# Answered to everyone; the answer holds nothing of an account.
OPEN = frozenset({"", "healthz", "readyz", "metrics", "openapi.json"})
_SCOPES = frozenset({ANY, *Scope.values})


@register(Tags.urls)
def check_routes(**_options: Any) -> list[CheckMessage]:
    return undeclared(all_routes(get_resolver()))


def undeclared(routes: Iterable[tuple[str, Callable[..., Any]]]) -> list[CheckMessage]:
    """Return an error for each route that declares no scope and is no page."""
    errors: list[CheckMessage] = []
    for pattern, view in routes:
        is_page = pattern.endswith(("/", "/$", ".*)$"))
        if pattern not in OPEN and not is_page and not _declares(view):
            errors.append(
                Error(
                    f"The route “{pattern}” declares no scope.",
                    hint="Make its view with @api_view(…, scope=…); a page ends with a slash.",
                    id="accounts.E010",
                )
            )
    return errors


def _declares(view: Callable[..., Any]) -> bool:
    """Return whether each method of the view is authenticated and asks for a scope that exists."""
    methods: tuple[str, ...] = getattr(view, "methods", ())
    operations: Mapping[str, Operation] = getattr(view, "operations", {})
    scopes = {operation.scope for operation in operations.values()}
    return bool(methods) and set(operations) == set(methods) and scopes <= _SCOPES
