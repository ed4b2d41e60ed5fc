"""What the API tells a caller about itself."""

from __future__ import annotations

from accounts.api.schemas import MeOut
from accounts.auth.caller import Caller, CallerKind
from accounts.limits.status import limit_status
from accounts.models import Account, ApiKey
from accounts.tenancy.context import tenant_context

_SEES_LIMITS = {CallerKind.SECRET_KEY, CallerKind.MEMBER}


def describe(caller: Caller) -> MeOut:
    with tenant_context(caller.account_id):
        key = ApiKey.objects.filter(pk=caller.api_key_id).first() if caller.api_key_id else None
        agents = _agents(caller)
    return MeOut(
        account=caller.account_slug,
        kind=caller.kind,
        name=key.name if key else None,
        role=caller.role,
        mode="test" if caller.is_test else "live",
        scopes=sorted(caller.scopes),
        agents=agents,
        networks=(key.networks if key else None) or None,
        expires_at=caller.expires_at,
        limits=limit_status(caller).as_dict() if caller.kind in _SEES_LIMITS else None,
    )


def _agents(caller: Caller) -> list[str] | None:
    """Return the slugs of the caller's instances, None for all of the account."""
    if not caller.instance_ids:
        return None
    instances = Account(pk=caller.account_id).agent_instances.filter(pk__in=caller.instance_ids)
    return sorted(instances.values_list("instance_slug", flat=True))
