"""The API for an account's keys: list, make, rotate, revoke."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from accounts.api.key_schemas import (
    KeyIn,
    KeyOut,
    KeysOut,
    NewKeyOut,
    RevokedOut,
    RevokeIn,
    SuccessorOut,
)
from accounts.api.schemas import RotateIn
from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.keys import managed
from accounts.keys.managed import ExceedsCaller, KeyEnded, TooManyKeys
from accounts.keys.services import AlreadyRotated, ShownToStaff
from accounts.limits.registry import Rates
from accounts.models import Scope
from salient.api.schemas import PageIn, path_uuid
from salient.database import in_database


@api_view("GET", scope=Scope.KEYS_READ, query=PageIn, answer=KeysOut)
async def key_list(request: ApiRequest, *, query: PageIn) -> KeysOut:
    """List the account's keys, newest first, including ended ones; never their secrets."""
    account_id = request.caller.account_id
    keys, following, slugs = await in_database(
        managed.keys_page, account_id, query.cursor, query.limit
    )
    data = [KeyOut.of(key, slugs) for key in keys]
    return KeysOut.of_page(data, following)


@api_view(
    "POST",
    scope=Scope.KEYS_WRITE,
    rate=Rates.MINT,
    body=KeyIn,
    answer=NewKeyOut,
    status=HTTPStatus.CREATED,
    problems=(ExceedsCaller, TooManyKeys),
)
async def key_make(request: ApiRequest, *, body: KeyIn) -> NewKeyOut:
    """Make a key with at most the caller's rights; its secret is shown only here."""
    key, text, slugs = await in_database(
        managed.make_key, request.caller, agents=body.agents or [], **body.wanted()
    )
    return NewKeyOut.made(key, text, slugs)


@api_view("GET", scope=Scope.KEYS_READ, answer=KeyOut)
async def one_key(request: ApiRequest, key_id: str) -> KeyOut:
    """Describe one key."""
    found, slugs = await in_database(
        managed.one_key, request.caller.account_id, path_uuid(key_id, "key")
    )
    return KeyOut.of(found, slugs)


@api_view(
    "POST",
    scope=Scope.KEYS_WRITE,
    rate=Rates.MINT,
    body=RotateIn,
    answer=SuccessorOut,
    status=HTTPStatus.CREATED,
    problems=(KeyEnded, AlreadyRotated, ShownToStaff, ExceedsCaller),
)
async def key_rotate(request: ApiRequest, key_id: str, *, body: RotateIn) -> SuccessorOut:
    """Make a key's successor, shown only here; the old key keeps working for a time."""
    overlap = timedelta(seconds=body.overlap_seconds)
    rotated, slugs = await in_database(
        managed.rotate_key, request.caller, path_uuid(key_id, "key"), overlap
    )
    return SuccessorOut.rotated(rotated, slugs)


@api_view("POST", scope=Scope.KEYS_WRITE, body=RevokeIn, answer=RevokedOut)
async def key_revoke(request: ApiRequest, key_id: str, *, body: RevokeIn) -> RevokedOut:
    """End a key at once, with its successors, its visitors and the keys that it made."""
    wanted = path_uuid(key_id, "key")
    ended = await in_database(managed.revoke_key, request.caller, wanted)
    return RevokedOut(id=wanted, revoked=ended)


all_keys = by_method(key_list, key_make)
