"""The verbs of agents: list and make instances."""

from __future__ import annotations

from uuid import UUID

from accounts.models import Account
from accounts.tenancy import tenant
from agents.models import AgentInstance


def active_instances(account_id: UUID) -> list[AgentInstance]:
    with tenant(account_id):
        return list(AgentInstance.objects.active().order_by("instance_slug"))


def active_instance(account_slug: str, slug: str) -> AgentInstance | None:
    """Return the instance, with its account, when both are active."""
    account = Account.objects.active().filter(slug=account_slug).first()
    if account is None:
        return None
    with tenant(account.pk):
        found: AgentInstance | None = (
            AgentInstance.objects.active()
            .select_related("account")
            .filter(instance_slug=slug)
            .first()
        )
    return found


def create_instance(
    account: Account, slug: str, *, display_name: str = "", agent_type: str = "simple_chat"
) -> AgentInstance:
    """Make an instance; raises ValidationError for a bad or taken slug."""
    instance = AgentInstance(
        account=account,
        instance_slug=slug,
        agent_type=agent_type,
        display_name=display_name or slug.replace("-", " ").replace("_", " ").title(),
    )
    with tenant(account.pk):
        instance.full_clean()
        instance.save(force_insert=True)
    return instance
