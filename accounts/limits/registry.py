"""The limits of an account: settings, forms, commands and pages read their names and bounds here.

A limit is a column of account_limits. What a column leaves empty is the installation's default.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from accounts.limits.rates import MICROSECONDS, WINDOW_SECONDS

# The longest message that the API takes from anybody.
MAX_MESSAGE_BYTES = 32 * 1024
# One call in each microsecond: a rate cannot count more.
_MOST_CALLS = WINDOW_SECONDS * MICROSECONDS


class Rates(StrEnum):
    """The kinds of calls, each with a rate of its own; a route's decorator names its kind.

    A turn counts in the transaction that opens it, everything else before its view runs
    (accounts/limits/call_rates.py).
    """

    TURN = "turns"
    READ = "reads"
    WRITE = "writes"
    # What keeps the server busy for long: exports, tables, checks of configurations.
    HEAVY = "heavy_calls"
    VISITOR_TOKEN = "visitor_tokens"  # noqa: S105 - a kind, no secret
    # New secrets: keys, their successors, the secrets of webhooks.
    MINT = "new_secrets"
    # What reaches others: e-mails to invited people, tests of webhooks.
    SEND = "sends"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit.

    `label` and `unit` are for people. `highest` is where something else limits the account anyway:
    the API's longest message, or the longest history and answer of a configuration. `default`,
    `least` and `most` are of the installation's setting; without a default it has none. A rate of
    turns has the `policy` that the RateLimit headers name, any other rate the `calls` it is for.
    """

    name: str
    label: str
    unit: str
    highest: int
    default: int | None = None
    least: int = 1
    most: int = 2**31 - 1
    policy: str = ""
    calls: Rates | None = None

    @property
    def setting(self) -> str:
        return f"LIMIT_{self.name.upper()}"

    @property
    def option(self) -> str:
        return f"--{self.name.replace('_', '-')}"


def _rate(calls: Rates, default: int, unit: str) -> Limit:
    """Return the rate of a kind of calls, whose name it has."""
    return Limit(
        f"{calls}_per_minute",
        f"{calls.replace('_', ' ')} a minute",
        f"{unit} a minute of the whole account",
        highest=_MOST_CALLS,
        default=default,
        calls=calls,
    )


LIMITS = {
    limit.name: limit
    for limit in [
        Limit(
            "requests_per_minute",
            "requests a minute",
            "calls a minute of the whole account",
            highest=_MOST_CALLS,
            default=600,
            policy="account",
        ),
        Limit(
            "requests_per_minute_per_key",
            "requests a minute and key",
            "calls a minute of one secret key",
            highest=_MOST_CALLS,
            default=600,
            policy="key",
        ),
        Limit(
            "requests_per_minute_per_visitor",
            "requests a minute and visitor",
            "calls a minute of one visitor, end user or member",
            highest=_MOST_CALLS,
            default=30,
            policy="visitor",
        ),
        Limit(
            "requests_per_minute_per_network",
            "requests a minute and network",
            "calls a minute of people in one network (/24 or /64)",
            highest=_MOST_CALLS,
            default=120,
            policy="network",
        ),
        _rate(Rates.READ, 3000, "calls that read"),
        _rate(Rates.WRITE, 600, "calls that change something"),
        _rate(Rates.HEAVY, 60, "exports, tables and checks of configurations"),
        _rate(Rates.VISITOR_TOKEN, 1200, "visitors' tokens"),
        _rate(Rates.MINT, 60, "new keys and secrets"),
        _rate(Rates.SEND, 60, "invitations and tests of webhooks"),
        Limit(
            "concurrent_turns",
            "turns at once",
            "turns that run at once",
            highest=2**31 - 1,
            default=500,
        ),
        Limit(
            "message_bytes",
            "bytes of a message",
            "bytes of a message in UTF-8",
            highest=MAX_MESSAGE_BYTES,
            default=MAX_MESSAGE_BYTES,
            most=MAX_MESSAGE_BYTES,
        ),
        Limit(
            "history_messages",
            "messages of history",
            "earlier messages that a model is sent",
            highest=200,
            default=200,
            least=0,
            most=10_000,
        ),
        Limit(
            "output_tokens",
            "tokens of an answer",
            "tokens that a model may write in one call",
            highest=1_000_000,
        ),
    ]
}
RATES = {limit.policy: limit for limit in LIMITS.values() if limit.policy}
CALL_RATES = {limit.calls: limit for limit in LIMITS.values() if limit.calls is not None}
