"""The API's own description, as OpenAPI 3.1: all of it, or what the caller may use."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response

from accounts.api.openapi.security import SECURITY
from accounts.auth.caller import Caller
from accounts.auth.decorators import ANY, ApiRequest, api_view, require_scope
from accounts.limits.registry import Rates
from salient.api.openapi.document import build
from salient.api.openapi.routes import api_operations
from salient.api.operations import open_route
from salient.api.problems import Forbidden, InternalError, Invalid, MethodNotAllowed, Problem
from salient.api.schemas import refuse_query

# Clients may use a copy for so long; then they ask with its ETag.
CACHE = "public, max-age=300"
PREFIX = "/accounts/{account}"


@open_route(
    "GET",
    answer=dict[str, Any],
    also={HTTPStatus.NOT_MODIFIED: None},
    problems=(Invalid, InternalError),
    answer_headers=("ETag",),
)
async def openapi(request: HttpRequest) -> HttpResponse:
    """Describe the whole API as OpenAPI 3.1."""
    try:
        if request.method != "GET":
            raise MethodNotAllowed(request.method or "", ("GET",))
        refuse_query(request)
    except Problem as problem:
        return problem.as_response()
    body, etag = whole(str(settings.PUBLIC_URL or "/"))
    response = HttpResponse(body, content_type="application/json", headers={"Cache-Control": CACHE})
    response["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or response


@lru_cache(maxsize=1)
def whole(server: str) -> tuple[bytes, str]:
    """Return the document and its ETag; they change with the code alone."""
    body = json.dumps(build(api_operations(), SECURITY, server=server)).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


@api_view("GET", scope=ANY, rate=Rates.HEAVY, answer=dict[str, Any])
async def account_openapi(request: ApiRequest) -> HttpResponse:
    """Describe what this caller may use; paths are relative to the account."""
    caller = request.caller
    usable = frozenset(scope for scope in _scopes() if may(caller, scope))
    body = document_for(usable, f"{settings.PUBLIC_URL}/accounts/{caller.account_slug}")
    return HttpResponse(body, content_type="application/json")


def may(caller: Caller, scope: str) -> bool:
    try:
        require_scope(caller, scope)
    except Forbidden:
        return False
    return True


@lru_cache(maxsize=1)
def _scopes() -> frozenset[str]:
    return frozenset(each.operation.scope for each in api_operations()) - {""}


@lru_cache(maxsize=64)
def document_for(scopes: frozenset[str], server: str) -> bytes:
    """Return the document of an account's routes that ask for one of these scopes."""
    usable = [each for each in api_operations() if each.operation.scope in scopes]
    return json.dumps(build(usable, SECURITY, server=server, prefix=PREFIX)).encode()
