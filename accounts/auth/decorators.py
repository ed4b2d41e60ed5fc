"""The decorator of every API view: it authenticates the caller and checks scope and request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Concatenate, Final, Literal, Protocol, Unpack, cast
from uuid import UUID

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import IntegrityError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from pydantic import ValidationError

from accounts.audit.refusals.counting import count_refusal
from accounts.auth import key_text, staff_tokens, visitor_tokens
from accounts.auth.attempts import TooManyAttempts
from accounts.auth.bearer import (
    VISITOR_SCOPES,
    NetworkNotAllowed,
    OriginNotAllowed,
    bearer_caller,
)
from accounts.auth.caller import Caller, CallerKind
from accounts.auth.networks import client_network
from accounts.limits.call_rates import count_call
from accounts.limits.quotas import RateLimited
from accounts.limits.registry import Rates
from accounts.members.members import member_caller
from accounts.models import Account, Scope, User
from accounts.models.api_key import ACCOUNT_WIDE, LIVE_ONLY
from accounts.tenancy.context import platform_context
from accounts.tenancy.lookups import cached_account
from accounts.tenancy.renames.moved import Moved, require_account, was_renamed
from accounts.tenancy.suspensions import Suspended, require_active
from salient.actors import now_acting
from salient.api.operations import WITH_BODY, Described, Operation, Result
from salient.api.problems import (
    PRIVATE,
    Forbidden,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from salient.api.schemas import query_of, refuse_query
from salient.database import is_unavailable
from salient.observability.context import note
from salient.ttl import TTLCache, forget_rows

__all__ = [
    "ANY",
    "VISITOR_SCOPES",
    "ApiRequest",
    "ApiRoute",
    "Caller",
    "CallerKind",
    "api_view",
    "as_problem",
    "by_method",
]

logger = logging.getLogger(__name__)

# The scope of a route that every authenticated caller may use, except a publishable key.
ANY: Final = "any"
MISPLACED = (
    "Never put a key into an address, because logs store addresses. Rotate this one, and send keys "
    "as “Authorization: Bearer sal_sk_…”."
)
# What any route may answer: its caller or its request is refused, or the server fails.
EVERY_ROUTE: Final[tuple[type[Problem], ...]] = (
    Invalid,
    Unauthenticated,
    Forbidden,
    NetworkNotAllowed,
    OriginNotAllowed,
    Moved,
    Suspended,
    NotFound,
    RateLimited,
    TooManyAttempts,
    InternalError,
    Unavailable,
)
type RouteScope = Scope | Literal["any"]

_staff: TTLCache[tuple[UUID], bool] = TTLCache()


class ApiRequest(HttpRequest):
    caller: Caller


type Answer = Coroutine[Any, Any, HttpResponseBase]
type View[**P] = Callable[Concatenate[ApiRequest, P], Coroutine[Any, Any, Result]]


class ApiRoute(Protocol):
    """A view made by `api_view`; it knows what each of its methods takes and gives."""

    methods: tuple[str, ...]
    operations: Mapping[str, Operation]
    # What the view does, for people.
    __doc__: str | None

    def __call__(self, request: HttpRequest, /, **kwargs: str) -> Answer: ...


def api_view(
    *methods: str, scope: RouteScope, **described: Unpack[Described]
) -> Callable[[View[...]], ApiRoute]:
    """Make a view that runs with an authenticated caller, and whose errors are problem documents.

    The view gets its input as `query` or `body`; see `Described`.
    """
    operation = operation_of(*methods, scope=scope, **described)

    def decorate(view: View[...]) -> ApiRoute:
        @wraps(view)
        async def with_input(request: ApiRequest, /, **kwargs: str) -> Result:
            return await view(request, **kwargs, **operation.read(request))

        return authorized(operation, with_input)

    return decorate


def operation_of(*methods: str, scope: str, **described: Unpack[Described]) -> Operation:
    """Describe a route, with the problems of every route beside its own.

    Without another rate, a GET counts as a read and everything else as a write.
    """
    described.setdefault("rate", Rates.READ if methods == ("GET",) else Rates.WRITE)
    reads_json = (UnsupportedMediaType,) if WITH_BODY.intersection(methods) else ()
    own = described.get("problems", ())
    everything = {**described, "problems": (*EVERY_ROUTE, *reads_json, *own)}
    return Operation(methods, str(scope), **cast(Described, everything))


def authorized(operation: Operation, view: View[...]) -> ApiRoute:
    """Make a route of a view that reads its input itself."""

    @wraps(view)
    async def wrapper(http_request: HttpRequest, /, **kwargs: str) -> HttpResponseBase:
        request = cast(ApiRequest, http_request)
        path = dict(kwargs)
        try:
            try:
                response = await _answer(request, operation, view, path)
            except IntegrityError as error:
                if not was_renamed(error):
                    raise
                # What this process knows is older than the rename. Nothing was stored.
                forget_rows()
                response = await _answer(request, operation, view, path)
        except Moved as moved:
            response = moved.at(request).as_response()
            visitor_tokens.carry_cookie(request, response, moved.names)
        except Exception as error:
            problem = as_problem(error, request.path)
            count_refusal(request, path, problem)
            response = problem.as_response()
        # What belongs to an account stays out of every cache.
        for name, value in PRIVATE.items():
            response.headers[name] = value
        return response

    route = cast(Any, wrapper)
    route.methods = operation.methods
    route.operations = dict.fromkeys(operation.methods, operation)
    route.get_is_safe = operation.get_is_safe
    return cast(ApiRoute, route)


async def _answer(
    request: ApiRequest, operation: Operation, view: View[...], path: Mapping[str, str]
) -> HttpResponseBase:
    names = dict(path)
    await _authorize(request, operation, names)
    rate_headers = await count_call(request.caller, operation.rate)
    response = operation.respond(await view(request, **names))
    for name, value in rate_headers.items():
        response.headers.setdefault(name, value)
    return response


def by_method(*routes: ApiRoute) -> ApiRoute:
    """Join API views of different methods at one address; any other method is answered with 405."""
    table = {method: route for route in routes for method in route.methods}
    refusal = api_view(*table, scope=ANY)(_unreachable)

    def dispatch(request: HttpRequest, /, **kwargs: str) -> Answer:
        return table.get(request.method or "", refusal)(request, **kwargs)

    joined = cast(Any, markcoroutinefunction(dispatch))
    joined.methods = tuple(table)
    joined.routes = table
    joined.operations = {method: route.operations[method] for method, route in table.items()}
    joined.get_is_safe = all(each.get_is_safe for each in joined.operations.values())
    if all(hasattr(route, "may_call_from") for route in routes):
        joined.may_call_from = cast(Any, routes[0]).may_call_from
    return cast(ApiRoute, joined)


async def _unreachable(_request: ApiRequest, **_kwargs: str) -> HttpResponseBase:
    """Stands for the methods that api_view refuses before it calls its view."""
    raise NotImplementedError


async def _authorize(request: ApiRequest, operation: Operation, kwargs: dict[str, str]) -> None:
    if request.method not in operation.methods:
        raise MethodNotAllowed(request.method or "", operation.methods)
    request.caller = await authenticate(request, kwargs.pop("account"), kwargs.get("instance"))
    note(account=request.caller.account_slug)
    if request.method != "GET":
        now_acting(request.caller.actor)
    require_scope(request.caller, operation.scope)
    _refuse_nul(request)
    _require_readable_body(request, operation)
    if operation.query is None or request.method in WITH_BODY:
        refuse_query(request)


def _require_readable_body(request: HttpRequest, operation: Operation) -> None:
    if request.method in WITH_BODY and not is_plain(request):
        raise UnsupportedMediaType("Send the body uncompressed: it is not decompressed here.")
    if request.method not in WITH_BODY or operation.body is None:
        # Some clients send an empty object with every request.
        if request.body.strip() not in {b"", b"{}"}:
            raise Invalid.field("body", f"no body is read with {request.method}")
    elif request.content_type != "application/json":
        raise UnsupportedMediaType


def is_plain(request: HttpRequest) -> bool:
    coding: str = request.META.get("HTTP_CONTENT_ENCODING", "identity")
    return coding.strip().lower() == "identity"


def _refuse_nul(request: HttpRequest) -> None:
    """PostgreSQL stores no NUL; bodies are checked where they are parsed."""
    if "%00" not in request.META["QUERY_STRING"]:
        return
    for name, values in request.GET.lists():
        if any("\x00" in value for value in values):
            raise Invalid.field(name, "A NUL character is not allowed.")


def require_scope(caller: Caller, scope: str) -> None:
    if scope == ANY:
        if caller.kind == CallerKind.PUBLISHABLE_KEY:
            raise Forbidden("A publishable key starts visitors and does nothing else.")
    elif scope not in caller.scopes:
        raise Forbidden(f"This caller lacks the scope “{scope}”.")
    elif scope in ACCOUNT_WIDE:
        require_whole_account(caller)
    elif scope in LIVE_ONLY and caller.is_test:
        raise Forbidden("A test key cannot change what affects other callers.")


def require_whole_account(caller: Caller) -> None:
    if caller.is_test or caller.instance_ids:
        raise Forbidden("A test key or a key for single agents cannot change the whole account.")


def as_problem(error: Exception, path: str) -> Problem:
    """Return the Problem of an error; what was not written for callers stays in the log."""
    match error:
        case Problem():
            return error
        case ValidationError():
            return Invalid.of(error)
        case SuspiciousOperation():
            # Django refuses to parse it.
            return Invalid("The request cannot be read: it has too many fields, or a broken one.")
        case _ if is_unavailable(error):
            logger.error("The database did not answer at %s: %s", path, error)
            return Unavailable("The database does not answer; try again.")
        case _:
            logger.error("Unexpected error at %s", path, exc_info=error)
            return InternalError()


async def authenticate(request: HttpRequest, account: str, instance: str | None) -> Caller:
    """Return who calls; a bearer key or token wins over a cookie.

    Raises Unauthenticated without valid credentials, NotFound with valid ones for another account.
    """
    header = request.META.get("HTTP_AUTHORIZATION")
    _refuse_misplaced_key(request, header)
    if header is not None:
        return await bearer_caller(request, header, account)
    # A page may want its visitor to call, also when a member of the account reads it.
    as_visitor = request.headers.get("Salient-Caller") == "visitor"
    member = None if as_visitor else await member_caller(request, account)
    if member is not None:
        require_same_origin(request)
        return member
    if instance is not None:
        visitor = visitor_tokens.cookie_visitor(request, account, instance)
        if visitor is not None and await _may_still_come(visitor):
            require_same_origin(request)
            return Caller(
                account_id=(await _account_of_visitor(account)).pk,
                account_slug=account,
                scopes=VISITOR_SCOPES,
                subject=f"visitor:{visitor.session_key[:32]}",
                session_key=visitor.session_key,
                network=client_network(request),
            )
    raise Unauthenticated("Send an API key: “Authorization: Bearer sal_sk_…”.")


async def _account_of_visitor(account: str) -> Account:
    try:
        known = await cached_account(account)
    except NotFound:
        await require_account(account)
        raise
    require_active(known)
    return known


def _refuse_misplaced_key(request: HttpRequest, header: str | None) -> None:
    """Refuse a key in the address, which logs and browser histories keep, or in X-Api-Key."""
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
    """Return whether the page that set the cookie would still be shown."""
    if visitor.let_in is None:
        return bool(settings.DEMO)
    return bool(await _staff.get_or_load(_is_staff, visitor.let_in))


def _is_staff(user_id: UUID) -> bool:
    with platform_context():
        people = User.objects.filter(is_active=True, is_staff=True, is_auditor=False)
        return people.filter(pk=user_id).exists()


def require_same_origin(request: HttpRequest) -> None:
    """Refuse what another site's page sends with a visitor's or a member's cookie."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        same = site == "same-origin"
    else:
        same = origin is not None and origin.partition("://")[2] == request.headers.get("Host")
    if not same:
        raise Forbidden("A cookie works on this site's own pages only.")
