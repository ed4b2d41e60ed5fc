"""From which sites' pages an agent may be called: what its instance and its web keys list."""

from __future__ import annotations

import logging

from django.db import InterfaceError, OperationalError

from accounts.keys.services import publishable_origins
from accounts.models.slugs import is_slug
from accounts.tenancy.context import tenant_context
from accounts.tenancy.lookups import find_active_account
from agents.instances.services import find_active_instance
from salient.ttl import TTLCache

logger = logging.getLogger(__name__)

_origins: TTLCache[tuple[str, str], frozenset[str]] = TTLCache()


async def may_call_from(origin: str, *, account: str, instance: str, **_path: str) -> bool:
    """Tell whether the origin is listed; nothing is, where there is no such active instance."""
    try:
        origins = await _origins.get_or_load(origins_of, account, instance)
    except (OperationalError, InterfaceError) as error:
        logger.error("The database did not answer about origins: %s", error)  # noqa: TRY400 - expected, and its line says all
        return False
    return origins is not None and origin in origins


def origins_of(account: str, instance: str) -> frozenset[str]:
    owner = find_active_account(account) if is_slug(instance) else None
    if owner is None:
        return frozenset()
    with tenant_context(owner.pk):
        agent = find_active_instance(owner.pk, instance)
        if agent is None:
            return frozenset()
        return frozenset(agent.allowed_origins).union(*publishable_origins(agent.pk))
