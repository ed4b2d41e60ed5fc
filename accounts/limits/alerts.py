"""Mails an account's owners how much of a budget is spent; a turn never waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from django.core.mail import send_mail

from accounts.limits.periods import next_start
from accounts.models import Account, BudgetPeriod, Membership
from accounts.tenancy.context import platform_context
from salient.api.lifespan import in_background
from salient.database import in_database
from salient.formatting import moment

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alert:
    """A budget has passed one of its percentages; the database reports it once a period."""

    account_id: UUID
    instance_id: UUID | None
    period: BudgetPeriod
    percent: int
    limit: Decimal
    spent: Decimal
    resets_at: datetime

    @classmethod
    def of(cls, account_id: UUID, facts: dict[str, Any]) -> Self:
        period = BudgetPeriod(facts["period"])
        return cls(
            account_id=account_id,
            instance_id=None if facts["instance"] is None else UUID(facts["instance"]),
            period=period,
            percent=facts["percent"],
            limit=Decimal(facts["limit"]),
            spent=Decimal(facts["spent"]),
            resets_at=next_start(period, datetime.fromisoformat(facts["period_start"])),
        )

    @property
    def whose(self) -> str:
        return "the account" if self.instance_id is None else f"the agent {self.instance_id}"

    def text(self) -> str:
        return (
            f"{self.percent} % of this {self.period}'s budget of {self.whose} is spent: "
            f"${self.spent:.2f} of ${self.limit:.2f}. "
            f"The next {self.period} begins at {moment(self.resets_at)}."
        )


def send_in_background(alerts: Iterable[Alert]) -> None:
    """Send them without waiting for the mail server."""
    for alert in alerts:
        in_background(_send_from_loop(alert))


def send(alerts: Iterable[Alert]) -> None:
    """Log each alert and mail it to the account's owners and admins; nothing is raised."""
    for alert in alerts:
        try:
            _send(alert, _addressees(alert))
        except Exception:
            logger.exception("An alert of account %s could not be sent", alert.account_id)


async def _send_from_loop(alert: Alert) -> None:
    try:
        addressees = await in_database(_addressees, alert)
        # Not in a thread of the database: a slow mail server would block it.
        await asyncio.to_thread(_send, alert, addressees)
    except Exception:
        logger.exception("An alert of account %s could not be sent", alert.account_id)


def _addressees(alert: Alert) -> tuple[str, list[str]]:
    """Return the account's slug and the addresses to write to."""
    with platform_context():
        slug = Account.objects.values_list("slug", flat=True).get(pk=alert.account_id)
        people = Membership.objects.managers().filter(account_id=alert.account_id)
        return slug, people.addresses()


def _send(alert: Alert, addressees: tuple[str, list[str]]) -> None:
    slug, people = addressees
    logger.warning("Budget alert of account %s: %s", slug, alert.text())
    if people:
        subject = f"{slug}: {alert.percent} % of the {alert.period}'s budget is spent"
        send_mail(subject, alert.text(), None, people)
