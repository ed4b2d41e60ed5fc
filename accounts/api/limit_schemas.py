"""The API's shapes for limits and budgets; US dollars are exact decimals, written as texts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from accounts.limits.own import OwnBudget, OwnLimit
from accounts.limits.periods import current_period
from accounts.models import BudgetPeriod
from salient.api.schemas import In, ListOut, Out
from salient.formatting import dollars

type Count = Annotated[int, Field(ge=1)]
type Dollars = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=8, allow_inf_nan=False)]
type Percents = Annotated[list[int], Field(max_length=20)]


class LimitsIn(In):
    """The limits to set; null puts one back to what the platform grants."""

    requests_per_minute: Count | None = None
    requests_per_minute_per_key: Count | None = None
    requests_per_minute_per_visitor: Count | None = None
    requests_per_minute_per_network: Count | None = None
    reads_per_minute: Count | None = None
    writes_per_minute: Count | None = None
    heavy_calls_per_minute: Count | None = None
    visitor_tokens_per_minute: Count | None = None
    new_secrets_per_minute: Count | None = None
    sends_per_minute: Count | None = None
    concurrent_turns: Count | None = None
    message_bytes: Count | None = None
    history_messages: Count | None = None
    output_tokens: Count | None = None


class LimitOut(Out):
    """A limit: what holds (null: what an agent's configuration says), the most that may be set."""

    id: str
    unit: str
    limit: int | None
    most: int

    @classmethod
    def of(cls, own: OwnLimit) -> Self:
        known = own.registered
        return cls(id=known.name, unit=known.unit, limit=own.limit, most=own.most)


class LimitsOut(ListOut[LimitOut]):
    """All limits of the account; there is always one page."""


class BudgetIn(In):
    """A new budget, of the whole account or of one agent."""

    # A slug; null: the whole account.
    agent: str | None = None
    period: BudgetPeriod
    limit: Dollars
    # The owners get an e-mail at these percentages; left out: 80 and 100.
    alert_percents: Percents | None = None


class BudgetChangeIn(In):
    """What is to change of a budget."""

    limit: Dollars | None = None
    alert_percents: Percents | None = None


class BudgetOut(Out):
    """A budget now. `agent` null: the whole account. `granted`: what the platform has set."""

    id: UUID
    agent: str | None
    period: BudgetPeriod
    limit: str
    granted: str | None
    spent: str
    reserved: str
    remaining: str
    resets_at: datetime
    alert_percents: list[int]
    updated_at: datetime

    @classmethod
    def of(cls, own: OwnBudget) -> Self:
        budget, current = own.budget, current_period(own.budget)
        return cls.of_row(
            budget,
            agent=own.agent,
            limit=dollars(budget.limit),
            granted=None if budget.granted is None else dollars(budget.granted),
            spent=dollars(current.spent),
            reserved=dollars(budget.reserved),
            remaining=dollars(current.remaining),
            resets_at=current.resets_at,
        )


class BudgetsOut(ListOut[BudgetOut]):
    """The account's budgets; there is always one page."""
