"""The API's shapes for what an account used."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from salient.api.problems import FieldError
from salient.api.schemas import Day, In, Out, Printable
from salient.formatting import dollars
from sessions_app.api.session_schemas import LONGEST_NOTE_NAME, EndUser
from sessions_app.usage.queries import Days, Figures

MOST_DAYS, DEFAULT_DAYS = 366, 30
MOST_DAYS_OF_REQUESTS = 92


class By(StrEnum):
    DAY = "day"
    MODEL = "model"
    INSTANCE = "instance"
    KEY = "key"
    END_USER = "end_user"
    TAG = "tag"


class UsageFormat(StrEnum):
    JSON = "json"
    CSV = "csv"


# The daily sums have these; of the others each request is read.
SUMMED = frozenset({By.DAY, By.MODEL, By.INSTANCE})


class UsageIn(In):
    """From which to which day (UTC, both included; default: the last 30), and what a row sums.

    `then_by` divides each row further. `tag` is the name in the sessions' metadata whose values
    `by=tag` sums. The others narrow what is summed: `agent` is a slug, `model` “provider:model”,
    `key` the id of an API key.
    """

    first: Annotated[Day | None, Field(alias="from")] = None
    last: Annotated[Day | None, Field(alias="to")] = None
    by: By = By.DAY
    then_by: By | None = None
    tag: Annotated[Printable, Field(min_length=1, max_length=LONGEST_NOTE_NAME)] | None = None
    agent: Annotated[Printable, Field(min_length=1, max_length=63)] | None = None
    model: Annotated[Printable, Field(min_length=1, max_length=306)] | None = None
    key: UUID | None = None
    end_user: EndUser | None = None
    # JSON unless the header Accept prefers text/csv.
    format: UsageFormat | None = None

    @model_validator(mode="after")
    def in_order(self) -> Self:
        try:
            days = self.days()
        except OverflowError:
            raise FieldError("from", "no calendar has these days") from None
        if days.last < days.first:
            raise FieldError("to", "this day is before “from”")
        if len(days) > self.most_days:
            raise FieldError("from", f"ask for at most {self.most_days} days")
        if self.then_by == self.by:
            raise FieldError("then_by", "it is the same as “by”")
        if (self.tag is not None) != (By.TAG in self.dimensions):
            raise FieldError("tag", "give it with “by=tag” or “then_by=tag”, and only there")
        return self

    @property
    def dimensions(self) -> tuple[By, ...]:
        return (self.by,) if self.then_by is None else (self.by, self.then_by)

    @property
    def reads_requests(self) -> bool:
        """Whether the daily sums do not tell it."""
        filtered = self.key is not None or self.end_user is not None
        return filtered or not SUMMED.issuperset(self.dimensions)

    @property
    def reads_sessions(self) -> bool:
        """Whether it tells something about conversations: whose they are, how they are tagged."""
        return self.end_user is not None or not {By.END_USER, By.TAG}.isdisjoint(self.dimensions)

    @property
    def most_days(self) -> int:
        return MOST_DAYS_OF_REQUESTS if self.reads_requests else MOST_DAYS

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
    """What `by`, and `then_by` if given, divide: `key` and `then_key` say which part it is.

    A key is the date, “provider:model”, the agent's slug, the id of the API key, the end user or
    the tag's value; null where no API key called, or the session has no end user or no such tag.
    `name` is the API key's, for callers with the scope `keys:read`.
    """

    key: str | None
    then_key: str | None
    name: str | None


class AccountUsageOut(Out):
    """What was used, and what budgets have left now."""

    model_config = ConfigDict(populate_by_name=True)

    first: Annotated[date, Field(serialization_alias="from")]
    last: Annotated[date, Field(serialization_alias="to")]
    by: By
    then_by: By | None
    tag: str | None
    rows: list[RowOut]
    total: FiguresOut
    budgets: list[dict[str, Any]]
