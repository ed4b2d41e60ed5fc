"""Counts calls of rates in one process alone: without a statement, and unseen by the others."""

from __future__ import annotations

import time
from collections.abc import Hashable

from msgspec.structs import replace

from accounts.limits.rates import WINDOW_SECONDS, Rate
from salient.ttl import TTLCache


class ProcessCounters[K: Hashable]:
    """How much of each rate is used up, by whose it is; for the event loop."""

    def __init__(self, *, size: int = 50_000) -> None:
        # When all calls so far would be allowed, in microseconds of this process's clock. After a
        # window without a call, all of a rate is free again.
        self._arrivals: TTLCache[K, int] = TTLCache(
            seconds=WINDOW_SECONDS, size=size, of_rows=False
        )

    def now(self, whose: K, rate: Rate) -> Rate:
        """Return the rate as the next call finds it."""
        now = time.monotonic_ns() // 1000
        return replace(rate, ahead=max(0, (self._arrivals.get(whose) or now) - now))

    def put(self, whose: K, rate: Rate) -> None:
        """Store the rate as a call leaves it."""
        self._arrivals.put(whose, time.monotonic_ns() // 1000 + rate.ahead)
