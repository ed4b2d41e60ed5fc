"""The API for an account's keys: list, make, rotate, revoke."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from django.http import HttpResponse

from accounts.api.key_schemas import (
    KeyIn,
    KeyOut,
    KeysIn,
    KeysOut,
    NewKeyOut,
    RevokedOut,
    RevokeIn,
    SuccessorOut,
)
from accounts.api.schemas import RotateIn
from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.keys import managed
from accounts.models import Scope
from salient.api.schemas import path_uuid
from salient.database import in_database


# openapi: answer=KeysOut
@api_view("GET", scope=Scope.KEYS_READ, query=KeysIn)
async def key_list(request: ApiRequest) -> HttpResponse:
    """List the account's keys, the newest first, ended ones too; never a secret."""
    page = KeysIn.of_query(request)
    account_id = request.caller.account_id
    keys, following, slugs = await in_database(
        managed.keys_page, account_id, page.cursor, page.limit
    )
    data = [KeyOut.of(key, slugs) for key in keys]
    return KeysOut(data=data, has_more=following is not None, next_cursor=following).as_response()


# openapi: body=KeyIn, answer=NewKeyOut, status=201, problems=(ExceedsCaller, TooManyKeys)
@api_view("POST", scope=Scope.KEYS_WRITE)
async def key_make(request: ApiRequest) -> HttpResponse:
    """Make a key with at most the caller's rights; its secret is shown only here."""
    wanted = KeyIn.of_body(request)
    key, text, slugs = await in_database(
        managed.make_key, request.caller, agents=wanted.agents or [], **wanted.wanted()
    )
    response = NewKeyOut.made(key, text, slugs).as_response()
    response.status_code = HTTPStatus.CREATED
    return response


# openapi: answer=KeyOut
@api_view("GET", scope=Scope.KEYS_READ)
async def one_key(request: ApiRequest, key_id: str) -> HttpResponse:
    """Describe one key."""
    found, slugs = await in_database(managed.one_key, request.caller.account_id, path_uuid(key_id))
    return KeyOut.of(found, slugs).as_response()


# openapi: body=RotateIn, answer=SuccessorOut, status=201,
# problems=(KeyEnded, AlreadyRotated, ShownToStaff, ExceedsCaller)
@api_view("POST", scope=Scope.KEYS_WRITE)
async def key_rotate(request: ApiRequest, key_id: str) -> HttpResponse:
    """Make a key's successor, whose secret is shown only here; the old one works on for a time."""
    wanted = RotateIn.of_body(request, may_be_empty=True)
    overlap = timedelta(seconds=wanted.overlap_seconds)
    rotated, slugs = await in_database(
        managed.rotate_key, request.caller, path_uuid(key_id), overlap
    )
    response = SuccessorOut.rotated(rotated, slugs).as_response()
    response.status_code = HTTPStatus.CREATED
    return response


# openapi: body=RevokeIn, answer=RevokedOut
@api_view("POST", scope=Scope.KEYS_WRITE)
async def key_revoke(request: ApiRequest, key_id: str) -> HttpResponse:
    """End a key at once, with its successors, its visitors and the keys that it made."""
    RevokeIn.of_body(request, may_be_empty=True)
    wanted = path_uuid(key_id)
    ended = await in_database(managed.revoke_key, request.caller, wanted)
    return RevokedOut(id=wanted, revoked=ended).as_response()


all_keys = by_method(key_list, key_make)
