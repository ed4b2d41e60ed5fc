"""The newest turns that failed, without any text of their conversations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sessions_app.models import CompletionStatus, LLMRequest
from sessions_app.usage.error_help import help_with
from sessions_app.usage.queries import DAY, Days, Figures, by_day, start_of

MOST = 8
FAILING = (CompletionStatus.ERROR, CompletionStatus.PARTIAL)


@dataclass(frozen=True, slots=True)
class Failure:
    """A turn that failed; the fields are columns of llm_requests."""

    id: UUID
    created_at: datetime
    account_id: UUID
    account_slug: str
    agent_instance_slug: str
    completion_status: str
    error_code: str

    @property
    def meaning(self) -> str:
        found = help_with(self.error_code)
        return found.meaning if found else ""


def latest_failures(
    found: Mapping[date, Figures], days: Days, account_id: UUID | None = None
) -> list[Failure]:
    """Return the newest failures; the roll-up's figures say how far back to look for them."""
    since = _first_day(found, days)
    if since is None:
        return []
    # A turn counts on the day on which it was settled, and may have begun on the day before.
    begin = start_of(since - DAY)
    rows = LLMRequest.objects.filter(completion_status__in=FAILING, created_at__gte=begin)
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    newest = rows.order_by("-created_at", "-id").values_list(*Failure.__slots__)[:MOST]
    return [Failure(*row) for row in newest]


def _first_day(found: Mapping[date, Figures], days: Days) -> date | None:
    """Return the last day since which MOST turns failed, or else the first day with a failure."""
    first, seen = None, 0
    for day, figures in reversed(by_day(found, days)):
        if figures.failed:
            first, seen = day, seen + figures.failed
        if seen >= MOST:
            break
    return first
