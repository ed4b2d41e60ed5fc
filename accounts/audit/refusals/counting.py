"""Counts refused calls in memory; every few seconds one statement adds them to the daily sums.

A refusal costs a look-up in a dict and no statement. What a caller can make up (keys, agents,
names of accounts) is bounded: of one account's many callers the rest is summed as “other”.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import IntegrityError
from django.http import HttpRequest
from django.utils import timezone

from accounts.audit.refusals.days import add
from accounts.auth.caller import Caller, CallerKind
from accounts.models import ApiKey, KeyKind
from salient.api.handler import on_refusal
from salient.api.lifespan import in_rounds, on_stop
from salient.api.problems import Problem
from salient.database import first_line, in_database, is_unavailable

logger = logging.getLogger(__name__)

WRITE_SECONDS = 5.0
# How many different refusals of an account are told apart between two writes.
MOST_OF_ACCOUNT = 200
# How many names of accounts from callers without a valid key: most of them may not exist.
MOST_NAMES = 1_000
# Who called, where it is no CallerKind: without a valid key or token, or many callers together.
UNKNOWN: Final = "unknown"
OTHER: Final = "other"

# An account's id; its name from the address where nobody vouches for the caller.
type Whose = UUID | str


class Refusal(NamedTuple):
    """What is told apart; `agent` is a slug as it was sent."""

    day: date
    status: int
    code: str
    caller: str
    key_id: str
    agent: str

    def folded(self) -> Refusal:
        """Return it without what the caller chose."""
        return self._replace(caller=OTHER, key_id="", agent="")


@dataclass(slots=True)
class Times:
    """How often, and when last."""

    number: int
    last: datetime


type Counts = dict[Whose, dict[Refusal, Times]]


@dataclass
class RefusalCounter:
    """The refusals of this process that are not written yet."""

    counts: Counts = field(default_factory=dict)
    names: int = 0
    # Refusals of names that were too many, since the last write.
    lost: int = 0

    def add(self, whose: Whose, refusal: Refusal, times: Times) -> None:
        if (known := self.counts.get(whose)) is None:
            if isinstance(whose, str):
                if self.names >= MOST_NAMES:
                    self.lost += times.number
                    return
                self.names += 1
            known = self.counts[whose] = {}
        if refusal not in known and len(known) >= MOST_OF_ACCOUNT:
            refusal = refusal.folded()
        before = known.get(refusal)
        if before is None:
            known[refusal] = Times(times.number, times.last)
        else:
            before.number += times.number
            before.last = max(before.last, times.last)

    def take(self) -> Counts:
        """Return all counts, and begin anew."""
        if self.lost:
            logger.warning("%s refusals named too many accounts to be counted.", self.lost)
        taken, self.counts, self.names, self.lost = self.counts, {}, 0, 0
        return taken

    def put_back(self, counts: Counts) -> None:
        for whose, refusals in counts.items():
            for refusal, times in refusals.items():
                self.add(whose, refusal, times)


_counter = RefusalCounter()
_rounds: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}


def note_presented(request: HttpRequest, key: ApiKey, kind: CallerKind | None = None) -> None:
    """Remember whose key or token was sent, in case that it is refused: its account is told."""
    if kind is None:
        is_public = key.kind == KeyKind.PUBLISHABLE
        kind = CallerKind.PUBLISHABLE_KEY if is_public else CallerKind.SECRET_KEY
    request.presented = (key, kind.value)  # type: ignore[attr-defined]


@on_refusal
def count_refusal(request: HttpRequest, path: Mapping[str, str], problem: Problem) -> None:
    """Count the answer if it is a refusal; `path` has the names in the address.

    Where no view saw the call, nobody has looked at its key: the caller is unknown.

    A turn that began and failed is a request with its own row.
    """
    if not is_refusal(problem):
        return
    now = timezone.now()
    whose, caller, key_id, agent = _who(request, path)
    refusal = Refusal(now.date(), int(problem.status), problem.code[:50], caller, key_id, agent)
    _counter.add(whose, refusal, Times(1, now))
    loop = asyncio.get_running_loop()
    if loop not in _rounds:
        _rounds[loop] = in_rounds(_write_in_rounds)


def is_refusal(problem: Problem) -> bool:
    status = problem.status
    is_ours = status < HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.SERVICE_UNAVAILABLE
    return is_ours and "session_id" not in problem.members


def _who(request: Any, path: Mapping[str, str]) -> tuple[Whose, str, str, str]:
    account, agent = path.get("account", ""), path.get("instance", "")[:63]
    caller: Caller | None = getattr(request, "caller", None)
    if caller is not None:
        return caller.account_id, caller.kind.value, caller.key_id, agent
    key: ApiKey | None
    key, kind = getattr(request, "presented", (None, UNKNOWN))
    if key is None:
        return account[:63], UNKNOWN, "", agent
    # Whoever called another account has called no agent of this one.
    return key.account_id, kind, key.key_id, agent if key.account.slug == account else ""


async def _write_in_rounds() -> None:
    try:
        while _counter.counts:
            await asyncio.sleep(WRITE_SECONDS)
            await write_refusals()
    finally:
        _rounds.pop(asyncio.get_running_loop(), None)


@on_stop
async def write_refusals() -> None:
    """Add what was counted to the daily sums; what the database does not take now stays."""
    counts = _counter.take()
    if not counts:
        return
    try:
        await in_database(add, _rows(counts))
    except Exception as error:
        if not (is_unavailable(error) or isinstance(error, IntegrityError)):
            logger.exception("Refusals could not be counted")
            return
        logger.warning("Refusals are counted later: %s", first_line(error))
        _counter.put_back(counts)


def _rows(counts: Counts) -> list[dict[str, Any]]:
    return [
        {
            "account": str(whose) if isinstance(whose, UUID) else None,
            "name": whose if isinstance(whose, str) else None,
            **refusal._asdict(),
            "day": refusal.day.isoformat(),
            "times": times.number,
            "last": times.last.isoformat(),
        }
        for whose, refusals in counts.items()
        for refusal, times in refusals.items()
    ]


def forget_refusals() -> None:
    """Forget what is not written; tests start with it."""
    _counter.take()
