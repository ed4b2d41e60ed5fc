"""Rate limits: how much is left, and the response headers for it.

They are our own because a call counts in the transaction of its turn; libraries count in a cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Self

import msgspec

WINDOW_SECONDS = 60
MICROSECONDS = 1_000_000


class Rate(msgspec.Struct, frozen=True):
    """One rate limit after a call, by GCRA (ITU-T I.371) in whole microseconds.

    Each call adds `step` to `ahead`, which falls with the clock and may be `quota` steps at most.
    """

    policy: str
    quota: int
    step: int
    ahead: int = 0

    @classmethod
    def of(cls, policy: str, quota: int) -> Self:
        """Return the limit before any call."""
        return cls(policy, quota, -(-WINDOW_SECONDS * MICROSECONDS // max(quota, 1)))

    @property
    def remaining(self) -> int:
        """How many calls are allowed now."""
        return max(0, (self.quota * self.step - self.ahead) // self.step)

    @property
    def wait(self) -> int:
        """Microseconds until the next call is allowed."""
        return max(0, self.ahead + self.step - self.quota * self.step)

    @property
    def wait_seconds(self) -> int:
        return ceil(self.wait / MICROSECONDS)

    @property
    def reset_seconds(self) -> int:
        """Seconds until the whole quota is free again; with none left, until one call is."""
        return self.wait_seconds if self.wait else ceil(self.ahead / MICROSECONDS)

    def after_calls(self, calls: int = 1) -> Rate:
        return Rate(self.policy, self.quota, self.step, self.ahead + calls * self.step)

    def after_time(self, microseconds: int) -> Rate:
        return Rate(self.policy, self.quota, self.step, max(0, self.ahead - microseconds))


def tightest(rates: Iterable[Rate]) -> Rate:
    """Return the limit that refuses first."""
    return min(rates, key=lambda rate: (rate.remaining, -rate.reset_seconds))


def headers(rates: Sequence[Rate]) -> dict[str, str]:
    """Return `RateLimit-Policy` for all limits and `RateLimit` for the tightest.

    They are structured fields of draft-ietf-httpapi-ratelimit-headers.
    """
    if not rates:
        return {}
    least = tightest(rates)
    policies = (f'"{rate.policy}";q={rate.quota};w={WINDOW_SECONDS}' for rate in rates)
    return {
        "RateLimit-Policy": ", ".join(policies),
        "RateLimit": f'"{least.policy}";r={least.remaining};t={least.reset_seconds}',
    }
