"""The caller of `Authorization: Bearer`: a key of an account, a visitor's token, or staff's.

A key is checked in this order, and the first failure answers:
1. format and checksum, 2. look-up by id, 3. the keyed hash, compared in constant time: 401 in one
wording; 4. revoked or expired: 401; 5. the client's network: 403; 6. the key's account is the
path's and active: the same 404 as for an account that does not exist; 7. kind (a publishable
key's Origin) and scope: 403; 8. allowed instances: the same 404 as for an unknown instance.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from django.db.models import DateTimeField, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from accounts.audit.refusals.counting import note_presented
from accounts.auth import failures, key_text, networks, staff_tokens, visitor_tokens
from accounts.auth.caller import Caller, CallerKind
from accounts.models import AccountStatus, ApiKey, KeyKind, KeyMode, Scope
from accounts.tenancy.context import tenant_context
from accounts.tenancy.lookups import find_api_key
from accounts.tenancy.renames.moved import require_name
from accounts.tenancy.suspensions import require_active
from salient.api.problems import Forbidden, NotFound, Problem, Unauthenticated
from salient.database import in_database
from salient.ids import uuid_text
from salient.ttl import TTLCache

LAST_USED_STEP = timedelta(minutes=1)
# For the visitor's own conversations only; everybody may delete their own.
VISITOR_SCOPES = frozenset({Scope.CHAT, Scope.HISTORY_READ, Scope.HISTORY_DELETE})
UNKNOWN_KEY = "The API key is unknown or mistyped."
# What whoever tries keys and tokens gets; a revoked or expired one was right once.
GUESSED = {UNKNOWN_KEY, visitor_tokens.UNKNOWN_TOKEN, staff_tokens.UNKNOWN}
_NO_HASH = "0" * 64
# Gets the key, the account's slug, the client's address and the page's origin; raises a Problem.
type KeyCheck = Callable[[ApiKey, str, networks.Address | None, str | None], None]

_keys: TTLCache[tuple[str], ApiKey] = TTLCache()


class NetworkNotAllowed(Forbidden):
    """The key may not be used from the caller's network."""

    code = "network_not_allowed"


class OriginNotAllowed(Forbidden):
    """The publishable key or token may not be used from this page's origin."""

    code = "origin_not_allowed"


async def bearer_caller(request: HttpRequest, header: str, account: str) -> Caller:
    """Return who holds the key or token; raises a Problem for anyone else."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Send the API key as “Authorization: Bearer sal_sk_…”.")
    text = text.strip()
    try:
        if text.startswith(visitor_tokens.TOKEN_PREFIX):
            return await _token_caller(request, text, account)
        if text.startswith(staff_tokens.PREFIX):
            return await staff_tokens.token_caller(request, text, account)
        return await _key_caller(request, text, account)
    except Unauthenticated as problem:
        if problem.detail not in GUESSED:
            raise
        raise failures.counted(networks.client_address(request), problem) from None


async def _key_caller(request: HttpRequest, text: str, account: str) -> Caller:
    key_id = key_text.key_id_of(text)
    if key_id is None:
        raise Unauthenticated(UNKNOWN_KEY)
    address, origin = networks.client_address(request), request.META.get("HTTP_ORIGIN")
    key = _keys.get((key_id,))
    if key is None and failures.may_look_up(address, key_id):
        key = await _keys.get_or_load(find_api_key, key_id)
    # The same work for a wrong id as for a wrong secret: the response time shows no difference.
    stored = key.secret_hash if key else _NO_HASH
    if not hmac.compare_digest(key_text.secret_hash(text), stored) or key is None:
        raise Unauthenticated(UNKNOWN_KEY)
    failures.note_right(address, key_id)
    try:
        try:
            caller = admitted(key, account, address=address, origin=origin)
        except NotFound:
            key = await _read_again(key, account)
            caller = admitted(key, account, address=address, origin=origin)
    except Problem:
        note_presented(request, key)
        raise
    await _note_use(key)
    return caller


async def _read_again(key: ApiKey, account: str) -> ApiKey:
    """Return the key with its account's slug of today, if that is the path's.

    Raises Moved where it was, NotFound where it never was.
    """
    await require_name(key.account_id, account)
    forget(key.key_id)
    fresh = await _keys.get_or_load(find_api_key, key.key_id)
    if fresh is None:
        raise NotFound
    return fresh


def forget(*key_ids: str) -> None:
    """Have these keys read again: they were changed; other processes notice within seconds."""
    for key_id in key_ids:
        _keys.pop((key_id,))


def admitted(
    key: ApiKey, account: str, *, address: networks.Address | None, origin: str | None
) -> Caller:
    """Return the caller who holds the key at this account; raises a Problem if it is refused."""
    for check in KEY_CHECKS:
        check(key, account, address, origin)
    key_id: UUID = key.id
    return Caller(
        account_id=key.account_id,
        account_slug=account,
        scopes=frozenset(key.scopes),
        subject=f"key:{uuid_text(key_id)}",
        api_key_id=key_id,
        instance_ids=frozenset(key.instance_ids),
        is_test=key.mode == KeyMode.TEST,
        network=networks.network_of(address),
        key_id=key.key_id,
        name=key.key_id,
        origin=origin if key.kind == KeyKind.PUBLISHABLE else None,
        expires_at=key.expires_at,
    )


def _is_alive(key: ApiKey, *_where: object) -> None:
    if refusal := key.refusal():
        raise Unauthenticated(refusal)


def _is_in_network(
    key: ApiKey, _account: str, address: networks.Address | None, _origin: str | None
) -> None:
    if key.networks and not networks.is_within(address, key.networks):
        raise NetworkNotAllowed("This API key is not allowed from your network.")


def _is_of_account(key: ApiKey, account: str, *_where: object) -> None:
    owner = key.account
    if owner.slug != account or owner.status == AccountStatus.DELETED:
        raise NotFound
    require_active(owner)


def _is_from_its_page(
    key: ApiKey, _account: str, _address: networks.Address | None, origin: str | None
) -> None:
    """A publishable key comes from a listed origin's page."""
    if key.kind == KeyKind.PUBLISHABLE and (origin is None or origin not in key.origins):
        raise OriginNotAllowed("This publishable key is not allowed from this origin.")


# In this order, and the first failure answers; accounts/auth/explain.py shows staff each of them.
KEY_CHECKS: tuple[KeyCheck, ...] = (_is_alive, _is_in_network, _is_of_account, _is_from_its_page)


async def _token_caller(request: HttpRequest, text: str, account: str) -> Caller:
    """Return the visitor who holds the token; raises a Problem."""
    token = visitor_tokens.read_token(text)
    key = await _keys.get_or_load(find_api_key, token.key_id)
    if key is not None:
        note_presented(request, key, CallerKind.VISITOR)
    if key is None or not still_vouches(key):
        raise Unauthenticated(visitor_tokens.ENDED_TOKEN)
    try:
        _is_of_account(key, account)
    except NotFound:
        key = await _read_again(key, account)
        _is_of_account(key, account)
    _require_origin(request, token, key)
    if key.instance_ids and token.instance_id not in key.instance_ids:
        raise NotFound
    return _visitor(request, token, key)


def still_vouches(key: ApiKey) -> bool:
    """Return whether the key's visitors may still call; rotating the key does not end them."""
    if key.revoked_at is not None or Scope.VISITORS_WRITE not in key.scopes:
        return False
    return key.rotated_at is not None or key.refusal() is None


def _require_origin(request: HttpRequest, token: visitor_tokens.VisitorToken, key: ApiKey) -> None:
    if token.origin is None:
        return
    delisted = key.kind == KeyKind.PUBLISHABLE and token.origin not in key.origins
    if delisted or request.headers.get("Origin") != token.origin:
        raise OriginNotAllowed("This visitor token is not allowed from this origin.")


def _visitor(request: HttpRequest, token: visitor_tokens.VisitorToken, key: ApiKey) -> Caller:
    session_key = token.session_key
    if session_key:
        subject = f"visitor:{session_key[:32]}"
    else:
        # Hashed: what the account calls its end users stays in their sessions.
        end_user = sha256(f"{key.account_id}/{token.end_user}".encode()).hexdigest()
        subject = f"end-user:{end_user[:32]}"
    return Caller(
        account_id=key.account_id,
        account_slug=key.account.slug,
        scopes=VISITOR_SCOPES,
        subject=subject,
        session_key=session_key,
        end_user=token.end_user,
        instance_ids=frozenset({token.instance_id}),
        is_test=key.mode == KeyMode.TEST,
        network=networks.client_network(request),
        key_id=key.key_id,
        expires_at=token.expires_at,
    )


async def _note_use(key: ApiKey) -> None:
    """Store that the key was used, at most once a minute."""
    now = datetime.now(UTC)
    if key.last_used_at is None or now - key.last_used_at >= LAST_USED_STEP:
        first = now if key.last_used_at is None else None
        key.last_used_at = now
        await in_database(_store_use, key, now, first)


def _store_use(key: ApiKey, now: datetime, first: datetime | None) -> None:
    with tenant_context(key.account_id):
        ApiKey.objects.filter(pk=key.pk).update(
            last_used_at=now, first_used_at=Coalesce("first_used_at", Value(first, DateTimeField()))
        )
