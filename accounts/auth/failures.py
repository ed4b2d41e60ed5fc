"""Wrong keys and forged tokens, counted by the address that they come from.

Beyond its rate an address gets 429 instead of 401, and its unknown keys are no longer looked up. A
right key is refused nowhere else for that, nor there if it came from there before. Expired and
revoked keys do not count: the successor of a key comes from the same address.
"""

from __future__ import annotations

import logging

from django.conf import settings

from accounts.auth.attempts import TooManyAttempts
from accounts.auth.networks import Address, network_of
from accounts.limits.call_rates import ProcessCounters
from accounts.limits.rates import Rate
from salient.api.problems import Problem
from salient.ttl import TTLCache

logger = logging.getLogger(__name__)
REFUSAL = "Too many calls from your address had no valid key or token."
REMEMBERED_SECONDS = 24 * 3600

_failures: ProcessCounters[str] = ProcessCounters(size=10_000)
# The addresses from which a key was right, with its id.
_right: TTLCache[tuple[str, str], str] = TTLCache(seconds=REMEMBERED_SECONDS, of_rows=False)


def may_look_up(address: Address | None, key_id: str) -> bool:
    """Return whether a key that this process does not know may be looked up for this address."""
    where = _where(address)
    return not _failures.now(where, _rate()).wait or (where, key_id) in _right


def note_right(address: Address | None, key_id: str) -> None:
    """Remember that the key was right at this address."""
    if (where_and_key := (_where(address), key_id)) not in _right:
        _right.put(where_and_key, key_id)


def counted(address: Address | None, problem: Problem) -> Problem:
    """Count a failure; return its problem, or TooManyAttempts where there were too many."""
    if address is None:
        return problem
    where = _where(address)
    found = _failures.now(where, _rate())
    if found.wait:
        return TooManyAttempts(REFUSAL, found.wait_seconds)
    _failures.put(where, after := found.after_calls())
    if after.wait:
        logger.warning("Too many wrong keys and tokens come from %s: they are refused.", where)
    return problem


def _rate() -> Rate:
    return Rate.of("failures", settings.LIMIT_WRONG_KEYS_PER_MINUTE_PER_ADDRESS)


def _where(address: Address | None) -> str:
    """Return an address, of IPv6 its /64: whoever has one of those has them all."""
    if address is None:
        return ""
    return str(address) if address.version == 4 else network_of(address)  # noqa: PLR2004
