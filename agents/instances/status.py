"""Activating, deactivating and archiving agent instances: what each means, and doing it."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models.functions import Now

from accounts.tenancy.accounts import StatusChange
from agents.api import decorators
from agents.models import AgentInstance, InstanceStatus

CHANGES = {
    change.status: change
    for change in (
        StatusChange(
            InstanceStatus.ACTIVE,
            "Activate",
            "activated",
            "It answers again, at its API address and on its chat page.",
            dangerous=False,
        ),
        StatusChange(
            InstanceStatus.INACTIVE,
            "Deactivate",
            "deactivated",
            "Every call of it answers 404 within 5 seconds, running answers are stopped, and its "
            "chat page is gone. Nothing is deleted, and it can be activated again.",
        ),
        StatusChange(
            InstanceStatus.ARCHIVED,
            "Archive",
            "archived",
            "Every call of it answers 404 within 5 seconds, and running answers are stopped. Its "
            "conversations, costs and publications are kept, and no other agent can have its name.",
        ),
    )
}


def set_status(instances: Iterable[AgentInstance], status: str) -> int:
    """Give the instances a status, and return how many had another one."""
    others = [instance for instance in instances if instance.status != status]
    rows = AgentInstance.objects.filter(pk__in=[instance.pk for instance in others])
    rows.update(status=status, updated_at=Now())
    for instance in others:
        instance.status = status
        decorators.forget_after_commit(instance)
    return len(others)
