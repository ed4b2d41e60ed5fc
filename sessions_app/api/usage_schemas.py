"""The API's shapes for what an account used."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from salient.api.problems import FieldError
from salient.api.schemas import Day, In, Out
from salient.formatting import dollars
from sessions_app.usage.queries import Days, Figures

MOST_DAYS, DEFAULT_DAYS = 366, 30


class By(StrEnum):
    DAY = "day"
    MODEL = "model"
    INSTANCE = "instance"


class UsageIn(In):
    """From which to which day (UTC, both included; default: the last 30), and what a row sums."""

    first: Annotated[Day | None, Field(alias="from")] = None
    last: Annotated[Day | None, Field(alias="to")] = None
    by: By = By.DAY

    @model_validator(mode="after")
    def in_order(self) -> Self:
        try:
            days = self.days()
        except OverflowError:
            raise FieldError("from", "no calendar has these days") from None
        if days.last < days.first:
            raise FieldError("to", "this day is before “from”")
        if len(days) > MOST_DAYS:
            raise FieldError("from", f"ask for at most {MOST_DAYS} days")
        return self

    def days(self) -> Days:
        default = Days.until_today(DEFAULT_DAYS)
        last = self.last or max(default.last, self.first or default.last)
        return Days(self.first or last - (default.last - default.first), last)


class FiguresOut(BaseModel):
    """Sums. `cost` is of the requests whose cost is known, null when none is; US dollars."""

    requests: int
    failed: int
    cancelled: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: str | None
    # The number of requests whose cost is not in `cost`.
    unknown_cost: int
    latency_p50_ms: int | None
    latency_p95_ms: int | None

    @classmethod
    def of(cls, figures: Figures, **more: Any) -> Self:
        cost = figures.known_cost
        same = ("requests", "failed", "cancelled", "input_tokens", "cached_tokens", "output_tokens")
        return cls(
            **{name: getattr(figures, name) for name in same},
            cost=None if cost is None else dollars(cost),
            unknown_cost=figures.unpriced,
            latency_p50_ms=figures.percentile(0.5),
            latency_p95_ms=figures.percentile(0.95),
            **more,
        )


class RowOut(FiguresOut):
    """One day, model or agent: `key` is the date, "provider:model" or the agent's slug."""

    key: str


class UsageOut(Out):
    """What was used, and what budgets have left now."""

    model_config = ConfigDict(populate_by_name=True)

    first: Annotated[date, Field(serialization_alias="from")]
    last: Annotated[date, Field(serialization_alias="to")]
    by: By
    rows: list[RowOut]
    total: FiguresOut
    budgets: list[dict[str, Any]]
