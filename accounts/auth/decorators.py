"""The API's one door: who is calling, for which account, and with what rights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Final, Literal, Protocol, cast
from uuid import UUID

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from pydantic import ValidationError

from accounts.auth import key_text, networks, staff_tokens, visitor_tokens
from accounts.auth.bearer import VISITOR_SCOPES, bearer_caller
from accounts.auth.caller import Caller, CallerKind
from accounts.members.members import member_caller
from accounts.models import Scope, User
from accounts.tenancy.context import platform_context
from accounts.tenancy.lookups import cached_account
from salient.actors import Actor, now_acting
from salient.api.problems import (
    PRIVATE,
    Forbidden,
    InternalError,
    Invalid,
    MethodNotAllowed,
    Problem,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from salient.api.schemas import In, query_of, refuse_query
from salient.database import is_unavailable
from salient.ttl import TTLCache

__all__ = [
    "ANY",
    "VISITOR_SCOPES",
    "ApiRequest",
    "ApiRoute",
    "Caller",
    "CallerKind",
    "api_view",
    "as_problem",
]

logger = logging.getLogger(__name__)

# The scope of a route that everyone may call who gets in, except with a publishable key.
ANY: Final = "any"
MISPLACED = (
    "A key never stands in an address, where logs keep it. Rotate this one, and send keys "
    "as “Authorization: Bearer sal_sk_…”."
)
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
type RouteScope = Scope | Literal["any"]

# What reaches beyond any one agent.
ACCOUNT_WIDE = frozenset({Scope.MEMBERS_WRITE, Scope.CONNECTIONS_WRITE})
_staff: TTLCache[tuple[UUID], bool] = TTLCache()


class ApiRequest(HttpRequest):
    caller: Caller


type Answer = Coroutine[Any, Any, HttpResponseBase]
type View[**P] = Callable[Concatenate[ApiRequest, P], Answer]


class ApiRoute(Protocol):
    """A view behind the door; it knows the scope that it asks for."""

    scope: str
    methods: tuple[str, ...]
    query: type[In] | None

    def __call__(self, request: HttpRequest, /, **kwargs: str) -> Answer: ...


def api_view(
    *methods: str, scope: RouteScope, query: type[In] | None = None
) -> Callable[[View[...]], ApiRoute]:
    """Make a view that is entered with a known caller, and whose failures are problem documents.

    `query` is what its GET reads in the address. Where nothing is read, nothing may stand.
    """

    def decorate(view: View[...]) -> ApiRoute:
        @wraps(view)
        async def wrapper(http_request: HttpRequest, /, **kwargs: str) -> HttpResponseBase:
            request = cast(ApiRequest, http_request)
            try:
                await _admit(request, methods, scope, kwargs)
                if query is None or request.method not in {"GET", "HEAD"}:
                    refuse_query(request)
                response = await view(request, **kwargs)
            except Exception as error:
                response = as_problem(error, request.path).as_response()
            return _private(response)

        route = cast(Any, wrapper)
        route.scope, route.methods, route.query = str(scope), methods, query
        return cast(ApiRoute, route)

    return decorate


async def _admit(
    request: ApiRequest, methods: tuple[str, ...], scope: RouteScope, kwargs: dict[str, str]
) -> None:
    if request.method not in methods:
        raise MethodNotAllowed(request.method or "", methods)
    request.caller = await authenticate(request, kwargs.pop("account"), kwargs.get("instance"))
    if request.method != "GET":
        now_acting(actor_of(request.caller))
    require_scope(request.caller, scope)
    _refuse_nul(request)
    _require_readable_body(request)


def _require_readable_body(request: HttpRequest) -> None:
    if request.method not in WITH_BODY:
        # Some clients send an empty object with every request.
        if request.body.strip() not in {b"", b"{}"}:
            raise Invalid.field("body", f"no body is read with {request.method}")
        return
    if request.content_type != "application/json":
        raise UnsupportedMediaType
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body as it is: it is not unpacked here.")


def _refuse_nul(request: HttpRequest) -> None:
    """The database takes no NUL in any text; bodies are looked at as they are read."""
    if "%00" not in request.META["QUERY_STRING"]:
        return
    for name, values in request.GET.lists():
        if any("\x00" in value for value in values):
            raise Invalid.field(name, "A NUL character is not allowed.")


def actor_of(caller: Caller) -> Actor:
    """Name the caller as the audit log does."""
    match caller.kind:
        case CallerKind.MEMBER:
            return Actor("member", str(caller.user_id), caller.name)
        case CallerKind.STAFF:
            return Actor("staff", str(caller.user_id), caller.name)
        case CallerKind.SECRET_KEY | CallerKind.PUBLISHABLE_KEY:
            return Actor("key", str(caller.api_key_id), caller.name)
    return Actor("visitor", caller.subject)


def require_scope(caller: Caller, scope: RouteScope) -> None:
    if scope == ANY:
        if caller.kind == CallerKind.PUBLISHABLE_KEY:
            raise Forbidden("A publishable key starts visitors and does nothing else.")
    elif scope not in caller.scopes:
        raise Forbidden(f"This caller lacks the scope “{scope}”.")
    elif scope in ACCOUNT_WIDE and (caller.is_test or caller.instance_ids):
        raise Forbidden("A key for tests or for single agents does not change the whole account.")


def as_problem(error: Exception, path: str) -> Problem:
    """Say what went wrong without a word that was not written for callers."""
    match error:
        case Problem():
            return error
        case ValidationError():
            return Invalid.of(error)
        case SuspiciousOperation():
            # Django's words for a request that it does not read, as one with too many fields.
            return Invalid("The request cannot be read: it has too many fields, or a broken one.")
        case _ if is_unavailable(error):
            logger.error("The database did not answer at %s: %s", path, error)
            return Unavailable("The database does not answer; try again.")
        case _:
            logger.error("Unexpected error at %s", path, exc_info=error)
            return InternalError()


def _private(response: HttpResponseBase) -> HttpResponseBase:
    """Keep what belongs to an account out of every cache."""
    for name, value in PRIVATE.items():
        response.headers[name] = value
    return response


async def authenticate(request: HttpRequest, account: str, instance: str | None) -> Caller:
    """Tell who calls; a bearer key or token wins over a cookie.

    Raises Unauthenticated without valid credentials, NotFound with valid ones for another account.
    """
    header = request.META.get("HTTP_AUTHORIZATION")
    _refuse_misplaced_key(request, header)
    if header is not None:
        return await bearer_caller(request, header, account)
    member = None if asks_as_visitor(request) else await member_caller(request, account)
    if member is not None:
        require_same_origin(request)
        return member
    if instance is not None:
        visitor = visitor_tokens.cookie_visitor(request, account, instance)
        if visitor is not None and await _may_still_come(visitor):
            require_same_origin(request)
            return Caller(
                account_id=(await cached_account(account)).pk,
                account_slug=account,
                scopes=VISITOR_SCOPES,
                subject=f"visitor:{visitor.session_key[:32]}",
                session_key=visitor.session_key,
                network=network_of(request),
            )
    raise Unauthenticated("Send an API key: “Authorization: Bearer sal_sk_…”.")


def asks_as_visitor(request: HttpRequest) -> bool:
    """Tell whether a page wants its visitor to call, also when a member of the account reads it."""
    return request.headers.get("Salient-Caller") == "visitor"


def network_of(request: HttpRequest) -> str:
    return networks.network_of(networks.client_address(request))


def _refuse_misplaced_key(request: HttpRequest, header: str | None) -> None:
    """Say where a key belongs; in an address it stands in logs and histories for ever."""
    if "sal_" in request.META["QUERY_STRING"]:
        for name, value in query_of(request):
            if is_credential(value) or is_credential(name):
                raise Invalid.field("query" if is_credential(name) else name, MISPLACED)
    if header is None and "X-Api-Key" in request.headers:
        raise Unauthenticated(
            "Send the API key as “Authorization: Bearer sal_sk_…”, not X-Api-Key."
        )


def is_credential(text: str) -> bool:
    prefixes = (visitor_tokens.TOKEN_PREFIX, staff_tokens.PREFIX)
    return text.startswith((key_text.SECRET, key_text.PUBLISHABLE, key_text.TEST, *prefixes))


async def _may_still_come(visitor: visitor_tokens.CookieVisitor) -> bool:
    """Tell whether the page that minted the cookie would still be shown."""
    if visitor.let_in is None:
        return bool(settings.DEMO)
    return bool(await _staff.get_or_load(_is_staff, visitor.let_in))


def _is_staff(user_id: UUID) -> bool:
    with platform_context():
        people = User.objects.filter(is_active=True, is_staff=True, is_auditor=False)
        return people.filter(pk=user_id).exists()


def require_same_origin(request: HttpRequest) -> None:
    """Refuse what another site's page sends with the cookie of a visitor or a member."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        same = site == "same-origin"
    else:
        same = origin is not None and origin.partition("://")[2] == request.headers.get("Host")
    if not same:
        raise Forbidden("A cookie works on this site's own pages only.")
