"""What is left for a caller: of its rates, its account's budgets and its running turns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from django.utils import timezone
from msgspec.structs import replace

from accounts.auth.caller import Caller
from accounts.limits import quotas
from accounts.limits.budgets import usable_budgets
from accounts.limits.periods import current_period
from accounts.limits.rates import MICROSECONDS, WINDOW_SECONDS, Rate
from accounts.limits.registry import RATES
from accounts.models import AccountLimits, Budget, RateState
from accounts.tenancy.context import tenant_context
from salient.formatting import dollars, utc


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget now; `agent` is None for the whole account's."""

    agent: str | None
    period: str
    limit: Decimal
    spent: Decimal
    reserved: Decimal
    remaining: Decimal
    resets_at: datetime

    @classmethod
    def of(cls, row: Budget, agent: str | None, now: datetime) -> Self:
        current = current_period(row, now)
        return cls(
            agent=agent,
            period=row.period,
            limit=row.limit,
            spent=current.spent,
            reserved=row.reserved,
            remaining=current.remaining,
            resets_at=current.resets_at,
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "period": self.period,
            "limit": dollars(self.limit),
            "spent": dollars(self.spent),
            "reserved": dollars(self.reserved),
            "remaining": dollars(self.remaining),
            "resets_at": utc(self.resets_at),
        }


@dataclass(frozen=True, slots=True)
class LimitStatus:
    rates: tuple[Rate, ...]
    budgets: tuple[BudgetStatus, ...]
    running: int
    concurrent_turns: int
    caps: quotas.Caps

    def as_dict(self) -> dict[str, Any]:
        """Return it as GET /me shows it; dollars are exact decimals."""
        return {
            "rates": [
                {
                    "policy": rate.policy,
                    "limit": rate.quota,
                    "window_seconds": WINDOW_SECONDS,
                    "remaining": rate.remaining,
                    "reset_seconds": rate.reset_seconds,
                }
                for rate in self.rates
            ],
            "turns": {"running": self.running, "limit": self.concurrent_turns},
            "message_bytes": self.caps.message_bytes,
            "history_messages": self.caps.history_messages,
            "output_tokens": self.caps.output_tokens,
            "budgets": [budget.as_dict() for budget in self.budgets],
        }


def limit_status(caller: Caller, *, at: datetime | None = None) -> LimitStatus:
    """Read what is left now, without taking anything or waiting for a lock."""
    with tenant_context(caller.account_id):
        return limit_status_in_context(caller, at or timezone.now())


def limit_status_in_context(caller: Caller, now: datetime) -> LimitStatus:
    """Do what limit_status does, inside the tenant context."""
    row = quotas.own_limits(caller.account_id)
    return LimitStatus(
        rates=tuple(_rates(caller, row, now)),
        budgets=tuple(BudgetStatus.of(*each, now) for each in usable_budgets(caller)),
        running=row.running if row else 0,
        concurrent_turns=quotas.limit_of(row, "concurrent_turns"),
        caps=quotas.caps_of(caller.account_id),
    )


def _rates(caller: Caller, row: AccountLimits | None, now: datetime) -> Iterable[Rate]:
    subjects = quotas.subjects_of(caller)
    states = RateState.objects.filter(
        account_id=caller.account_id, subject__in=list(subjects.values())
    )
    arrivals = dict(states.values_list("subject", "arrival"))
    for policy, subject in subjects.items():
        quota = quotas.limit_of(row, RATES[policy].name)
        ahead = (arrivals.get(subject, now) - now).total_seconds()
        yield replace(Rate.of(policy, quota), ahead=max(0, round(ahead * MICROSECONDS)))
