"""The API's one door: who is calling, for which account, and with what rights."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, Protocol, cast
from urllib.parse import urlsplit
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from pydantic import ValidationError

from accounts import keys, visitors
from accounts.models import Account, AccountStatus, ApiKey, MemberRole, Scope
from accounts.tenancy import platform
from salient.database import in_database
from salient.problems import (
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
from salient.ttl import TTLCache

logger = logging.getLogger(__name__)

# A revoked key or a suspended account is refused after this many seconds at the latest.
BELIEVED_SECONDS = 5
LAST_USED_STEP = timedelta(minutes=1)
VISITOR_SCOPES = frozenset({Scope.CHAT.value, Scope.HISTORY_READ.value})

_keys: TTLCache[str, ApiKey] = TTLCache(seconds=BELIEVED_SECONDS)
_accounts: TTLCache[str, Account] = TTLCache(seconds=BELIEVED_SECONDS)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, already bound to the account of the path.

    `subject` names the caller in limits and in rows: "key:<id>", "visitor:<32 hex>",
    "end-user:<32 hex>" or "member:<user id>".
    """

    account_id: UUID
    account_slug: str
    scopes: frozenset[str]
    subject: str = ""
    api_key_id: UUID | None = None
    # The stored form of a visitor's one session: a cookie, or a token without a `sub`.
    session_key: str | None = None
    # A visitor token's `sub`: its sessions are those with the same Session.end_user.
    end_user: str | None = None
    # Empty: every agent instance of the account.
    instance_ids: frozenset[UUID] = frozenset()
    is_test: bool = False
    # The client's /24 or /64; "" when it is unknown.
    network: str = ""
    # A member, known by Django's session cookie.
    role: MemberRole | None = None
    user_id: UUID | None = None

    @property
    def is_visitor(self) -> bool:
        """A visitor has one session, found by cookie or token; a key names its sessions by id."""
        return self.session_key is not None


class ApiRequest(HttpRequest):
    caller: Caller


type Answer = Coroutine[Any, Any, HttpResponseBase]
type View[**P] = Callable[Concatenate[ApiRequest, P], Answer]


class ApiRoute(Protocol):
    """A view behind the door; it knows the scope that it asks for."""

    scope: str
    methods: tuple[str, ...]

    def __call__(self, request: HttpRequest, /, **kwargs: str) -> Answer: ...


def api_view(*methods: str, scope: Scope) -> Callable[[View[...]], ApiRoute]:
    """Make a view that is entered with a known caller, and whose failures are problem documents."""

    def decorate(view: View[...]) -> ApiRoute:
        @wraps(view)
        async def wrapper(http_request: HttpRequest, /, **kwargs: str) -> HttpResponseBase:
            request = cast(ApiRequest, http_request)
            try:
                await _admit(request, methods, scope, kwargs)
                response = await view(request, **kwargs)
            except Exception as error:
                response = as_problem(error, request.path).as_response()
            return _private(response)

        route = cast(Any, wrapper)
        route.scope, route.methods = scope.value, methods
        return cast(ApiRoute, route)

    return decorate


async def _admit(
    request: ApiRequest, methods: tuple[str, ...], scope: Scope, kwargs: dict[str, str]
) -> None:
    if request.method not in methods:
        raise MethodNotAllowed(request.method or "", methods)
    request.caller = await authenticate(request, kwargs.pop("account"), kwargs.get("instance"))
    if scope not in request.caller.scopes:
        raise Forbidden(f"This caller lacks the scope “{scope}”.")
    if request.method == "POST" and request.content_type != "application/json":
        raise UnsupportedMediaType


def as_problem(error: Exception, path: str) -> Problem:
    """Say what went wrong without a word that was not written for callers."""
    match error:
        case Problem():
            return error
        case ValidationError():
            return Invalid.of(error)
        case OperationalError() | InterfaceError():
            logger.error("The database did not answer at %s: %s", path, error)
            return Unavailable("The database does not answer; try again.")
        case _:
            logger.error("Unexpected error at %s", path, exc_info=error)
            return InternalError()


def _private(response: HttpResponseBase) -> HttpResponseBase:
    """Keep what belongs to an account out of every cache."""
    response.headers["Cache-Control"] = "no-store, private"
    response.headers["Vary"] = "Authorization, Cookie, Origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


async def authenticate(request: HttpRequest, account: str, instance: str | None) -> Caller:
    """Tell who calls; a bearer key wins over a cookie.

    Raises Unauthenticated without valid credentials, NotFound with valid ones for another account.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        return await _key_caller(header, account)
    if instance is not None:
        session_key = visitors.session_key_of(request, account, instance)
        if session_key is not None:
            _require_same_origin(request)
            return await _visitor_caller(session_key, account)
    raise Unauthenticated("Send an API key: “Authorization: Bearer sal_sk_…”.")


async def _key_caller(header: str, account: str) -> Caller:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Send the API key as “Authorization: Bearer sal_sk_…”.")
    text = text.strip()
    key_id = keys.key_id_of(text)
    key = await _find_key(key_id) if key_id else None
    # The same work for a wrong id as for a wrong secret: the answer's time tells nothing.
    stored = key.secret_hash if key else "0" * 64
    if not hmac.compare_digest(keys.secret_hash(text), stored) or key is None:
        raise Unauthenticated("The API key is unknown.")
    if refusal := key.refusal():
        raise Unauthenticated(refusal)
    if key.account.slug != account or key.account.status != AccountStatus.ACTIVE:
        raise NotFound
    subject = f"key:{key.pk}"
    return Caller(key.account_id, account, frozenset(key.scopes), subject, api_key_id=key.pk)


async def _visitor_caller(session_key: str, account: str) -> Caller:
    found = _accounts.get(account)
    if found is None:
        found = await in_database(_load_account, account)
        if found is None:
            raise NotFound
        _accounts.put(account, found)
    subject = f"visitor:{session_key[:32]}"
    return Caller(found.pk, account, VISITOR_SCOPES, subject, session_key=session_key)


def _require_same_origin(request: HttpRequest) -> None:
    """Refuse what another site's page sends with the visitor's cookie."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        same = site == "same-origin"
    else:
        same = origin is not None and urlsplit(origin).netloc == request.headers.get("Host")
    if not same:
        raise Forbidden("A visitor's cookie works on this site's own pages only.")


async def _find_key(key_id: str) -> ApiKey | None:
    key = _keys.get(key_id)
    if key is None:
        key = await in_database(_load_key, key_id)
        if key is not None:
            _keys.put(key_id, key)
    return key


def _load_key(key_id: str) -> ApiKey | None:
    """Load the key with its account, and note that it is in use, at most once a minute."""
    with platform():
        key = ApiKey.objects.select_related("account").filter(key_id=key_id).first()
        if key is not None:
            now = timezone.now()
            if key.last_used_at is None or now - key.last_used_at >= LAST_USED_STEP:
                ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        return key


def _load_account(slug: str) -> Account | None:
    return Account.objects.active().filter(slug=slug).first()
