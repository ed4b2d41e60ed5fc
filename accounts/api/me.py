"""What the API tells a caller about itself."""

from __future__ import annotations

from accounts.api.schemas import MeOut
from accounts.auth.caller import Caller, CallerKind
from accounts.keys.services import find_key
from accounts.limits.status import limit_status
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context

_SEES_LIMITS = {CallerKind.SECRET_KEY, CallerKind.MEMBER}


def describe(caller: Caller) -> MeOut:
    with tenant_context(caller.account_id):
        key = find_key(caller.api_key_id, caller.account_id) if caller.api_key_id else None
        slugs = agent_slugs(caller.account_id) if caller.instance_ids else {}
    return MeOut(
        account=caller.account_slug,
        kind=caller.kind,
        name=key.name if key else None,
        role=caller.role,
        mode="test" if caller.is_test else "live",
        scopes=sorted(caller.scopes),
        agents=sorted(slugs[pk] for pk in caller.instance_ids if pk in slugs)
        if caller.instance_ids
        else None,
        networks=(key.networks if key else None) or None,
        expires_at=caller.expires_at,
        limits=limit_status(caller).as_dict() if caller.kind in _SEES_LIMITS else None,
    )
