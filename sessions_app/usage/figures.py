"""The accounts of the day in figures, for /metrics: the busiest ones by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from django.conf import settings

from accounts.models import Account
from accounts.tenancy.context import platform_context
from salient.observability.stored import Figure, stored_figures
from sessions_app.usage.queries import Days, Figures, figures_by, today

# No slug has brackets: an account may be called “other”.
OTHER: Final = "(other)"
type Value = Callable[[Figures], int | Decimal]

FIGURES: Final[Mapping[str, tuple[str, Value]]] = {
    "account_turns_today": ("Turns of an account since midnight UTC.", lambda f: f.requests),
    "account_failed_turns_today": ("Those that failed.", lambda f: f.failed),
    "account_tokens_today": ("Tokens read and written since midnight UTC.", lambda f: f.tokens),
    "account_cost_usd_today": ("Known cost since midnight UTC, US dollars.", lambda f: f.cost),
}


@stored_figures
def accounts_today() -> Iterator[Figure]:
    """Give METRICS_ACCOUNTS accounts a label each, those with the most turns; the rest has one."""
    most = settings.METRICS_ACCOUNTS
    if not most:
        return
    now = today()
    with platform_context():
        found = figures_by("account_id", days=Days(now, now))
        ranked = sorted(found.items(), key=lambda each: (-each[1].requests, each[0]))
        named = [key for key, _ in ranked[:most]]
        slugs = dict(Account.objects.filter(pk__in=named).values_list("pk", "slug"))
    labelled = [(slugs.get(key, OTHER), figures) for key, figures in ranked]
    for name, (text, value) in FIGURES.items():
        yield Figure(name, text, ("account",), _summed(labelled, value))


def _summed(labelled: list[tuple[str, Figures]], value: Value) -> dict[tuple[str, ...], float]:
    sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for label, figures in labelled:
        sums[label,] += float(value(figures))
    return dict(sums)
