"""Finds the instance that a person named on the command line, or says what was probably meant."""

from accounts.models import Account
from accounts.tenancy.context import tenant_context
from agents.instances import services
from agents.models import AgentInstance
from salient.management.base import Refused, did_you_mean


def find_instance(account: Account, slug: str) -> AgentInstance:
    """Return the account's instance, whatever its status; raises Refused."""
    with tenant_context(account.pk):
        instance = services.find_instance(account.pk, slug)
        known = services.slugs_of([account.pk]).values()
    if instance is None:
        hint = did_you_mean(slug, known)
        raise Refused(f"Account “{account.slug}” has no agent “{slug}”.{hint}")
    return instance
