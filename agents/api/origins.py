"""From which sites' pages an agent may be called: what its instance and its web keys list."""

from __future__ import annotations

import logging

from django.db import InterfaceError, OperationalError

from accounts.keys.services import publishable_origins
from accounts.models import AccountStatus
from accounts.models.slugs import is_slug
from accounts.tenancy.context import tenant_context
from accounts.tenancy.lookups import find_account
from agents.instances.services import find_active_instance
from salient.database import in_database_once
from salient.ttl import TTLCache

logger = logging.getLogger(__name__)

CACHE_TTL = 5

_believed: TTLCache[tuple[str, str], frozenset[str]] = TTLCache(seconds=CACHE_TTL)


async def may_call_from(origin: str, *, account: str, instance: str, **_path: str) -> bool:
    """Tell whether the origin is listed; nothing is, where there is no such active instance."""
    origins = _believed.get((account, instance))
    if origins is None:
        try:
            origins = await in_database_once(origins_of, account, instance)
        except (OperationalError, InterfaceError) as error:
            logger.error("The database did not answer about origins: %s", error)  # noqa: TRY400 - expected, and its line says all
            return False
        _believed.put((account, instance), origins)
    return origin in origins


def origins_of(account: str, instance: str) -> frozenset[str]:
    if not (is_slug(account) and is_slug(instance)):
        return frozenset()
    owner = find_account(account)
    if owner is None or owner.status != AccountStatus.ACTIVE:
        return frozenset()
    with tenant_context(owner.pk):
        agent = find_active_instance(owner.pk, instance)
        if agent is None:
            return frozenset()
        return frozenset(agent.allowed_origins).union(*publishable_origins(agent.pk))
