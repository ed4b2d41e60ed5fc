"""What the worker does for agents and their accounts: it releases former slugs."""

from __future__ import annotations

from datetime import timedelta

from accounts.tenancy import renames as accounts
from agents.instances import renames as agents
from salient.tasks.jobs import job


@job(every=timedelta(days=1))
def forget_former_slugs() -> int:
    """Delete the slugs that lead nowhere any more; return how many they were."""
    return accounts.forget_expired_slugs() + agents.forget_expired_slugs()
