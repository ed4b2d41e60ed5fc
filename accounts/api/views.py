"""The API for a caller about itself and its account: rights, its key's rotation, the slug."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from accounts.api.schemas import AccountChangeIn, AccountOut, MeOut, RotatedOut, RotateIn
from accounts.auth.decorators import ANY, ApiRequest, Caller, CallerKind, api_view
from accounts.keys import services
from accounts.keys.services import AlreadyRotated, find_key
from accounts.limits.quotas import SEES_AMOUNTS
from accounts.limits.registry import Rates
from accounts.limits.status import limit_status
from accounts.members.members import current_role
from accounts.models import Scope
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context
from accounts.tenancy.renames import SlugTaken, change_account, former_slugs_of
from salient.api.problems import Forbidden
from salient.database import in_database


@api_view("GET", scope=ANY, answer=MeOut)
async def who_am_i(request: ApiRequest) -> MeOut:
    """Tell a key, member or visitor token what it may do."""
    return await in_database(describe, request.caller)


def describe(caller: Caller) -> MeOut:
    with tenant_context(caller.account_id):
        key = find_key(caller.api_key_id, caller.account_id) if caller.api_key_id else None
        slugs = agent_slugs(caller.account_id) if caller.instance_ids else {}
    agents = sorted(slugs[pk] for pk in caller.instance_ids if pk in slugs)
    return MeOut(
        account=caller.account_slug,
        kind=caller.kind,
        name=key.name if key else None,
        role=caller.role,
        mode="test" if caller.is_test else "live",
        scopes=sorted(caller.scopes),
        agents=agents if caller.instance_ids else None,
        networks=(key.networks if key else None) or None,
        expires_at=caller.expires_at,
        limits=limit_status(caller).as_dict() if caller.kind in SEES_AMOUNTS else None,
    )


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
    """Rotate the secret key of this call; a key can rotate only itself."""
    caller = request.caller
    if caller.kind != CallerKind.SECRET_KEY or caller.api_key_id is None:
        raise Forbidden("Only a secret key rotates itself.")
    rotated = await in_database(
        services.rotate_api_key,
        caller.account_id,
        caller.api_key_id,
        timedelta(seconds=body.overlap_seconds),
    )
    ends = rotated.old_expires_at
    return RotatedOut.of_row(rotated.key, key=rotated.text, old_key_expires_at=ends)


@api_view(
    "PATCH",
    scope=Scope.MEMBERS_WRITE,
    body=AccountChangeIn,
    answer=AccountOut,
    problems=(SlugTaken,),
)
async def account_change(request: ApiRequest, *, body: AccountChangeIn) -> AccountOut:
    """Rename the account, or change how people call it."""
    return await in_database(_change, request.caller, body)


def _change(caller: Caller, wanted: AccountChangeIn) -> AccountOut:
    account_id = caller.account_id
    if caller.user_id is not None:
        # The caller's may be some seconds old.
        with tenant_context(account_id):
            current_role(caller, Scope.MEMBERS_WRITE)
    changed = change_account(account_id, **wanted.model_dump(exclude_unset=True))
    with tenant_context(account_id):
        return AccountOut.of(changed, former_slugs_of(account_id))
