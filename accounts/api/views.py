"""The API for a caller about itself: what it may do, and the rotation of its key."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from accounts.api import me
from accounts.api.schemas import MeOut, RotatedOut, RotateIn
from accounts.auth.decorators import ANY, ApiRequest, CallerKind, api_view
from accounts.keys import services
from accounts.keys.services import AlreadyRotated
from accounts.limits.registry import Rates
from salient.api.problems import Forbidden
from salient.database import in_database


@api_view("GET", scope=ANY, answer=MeOut)
async def who_am_i(request: ApiRequest) -> MeOut:
    """Tell a key, member or visitor token what it may do."""
    return await in_database(me.describe, request.caller)


@api_view(
    "POST",
    scope=ANY,
    rate=Rates.MINT,
    body=RotateIn,
    answer=RotatedOut,
    status=HTTPStatus.CREATED,
    problems=(AlreadyRotated,),
)
async def rotate_key(request: ApiRequest, *, body: RotateIn) -> RotatedOut:
    """Rotate the secret key of this call; a key rotates itself and no other."""
    caller = request.caller
    if caller.kind != CallerKind.SECRET_KEY or caller.api_key_id is None:
        raise Forbidden("Only a secret key rotates itself.")
    rotated = await in_database(
        services.rotate_api_key,
        caller.account_id,
        caller.api_key_id,
        timedelta(seconds=body.overlap_seconds),
    )
    return RotatedOut(
        id=rotated.key.pk,
        created_at=rotated.key.created_at,
        key=rotated.text,
        expires_at=rotated.key.expires_at,
        old_key_expires_at=rotated.old_expires_at,
    )
