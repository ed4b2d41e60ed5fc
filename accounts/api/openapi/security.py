"""Who may call which route, in the words of OpenAPI."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from accounts.auth.bearer import VISITOR_SCOPES
from accounts.auth.decorators import ANY
from accounts.members.members import SCOPES_OF
from accounts.models import Scope
from salient.api.openapi.document import Security
from salient.api.operations import Operation


def _bearer(text: str, description: str) -> dict[str, Any]:
    return {"type": "http", "scheme": "bearer", "bearerFormat": text, "description": description}


SCHEMES: dict[str, Any] = {
    "key": _bearer(
        "sal_sk_…",
        "A secret key, or a test key (sal_tk_…), which gets scripted answers. It needs the scope "
        "that the operation names. Keep it on a server.",
    ),
    "publishableKey": _bearer("sal_pk_…", "A key for web pages: it starts visitors only."),
    "visitorToken": _bearer(
        "sal_vt_…", "A visitor or an end user, in their own conversations with one agent."
    ),
    "login": {
        "type": "apiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "A member who is logged in, on this site's own pages.",
    },
    "visitorCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "salient.{account}.{instance}",
        "description": "A visitor of the agent's chat page; over HTTPS it begins with __Host-.",
    },
}
_MEMBERS = frozenset[str]().union(*SCOPES_OF.values())


def required(operation: Operation) -> list[dict[str, list[str]]]:
    """Return the ways to prove that one may call it; one of them is enough."""
    scope = operation.scope
    if not scope:
        return []
    names = [] if scope == ANY else [scope]
    ways = [{"key": names}]
    if scope == Scope.VISITORS_WRITE:
        ways.append({"publishableKey": []})
    if scope == ANY or scope in VISITOR_SCOPES:
        ways.append({"visitorToken": []})
    if scope == ANY or scope in _MEMBERS:
        ways.append({"login": names})
    if scope in VISITOR_SCOPES:
        ways.append({"visitorCookie": []})
    return ways


SECURITY = Security(SCHEMES, required)
