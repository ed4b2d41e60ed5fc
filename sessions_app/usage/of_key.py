"""What an API key was used for: requests, spend, and the agents that it called."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import ApiKey
from accounts.tenancy.agents import agent_slugs
from salient.api.problems import Invalid
from sessions_app.usage.months import MOST_REQUESTS
from sessions_app.usage.queries import Days, Figures, total
from sessions_app.usage.requests import Column, Which, requests_by

# An account with too many requests to be looked through has its key's last days shown.
RANGES = (30, 7, 1)


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The key's own requests of these days, by the slug of the agent, the dearest first."""

    days: Days
    agents: list[tuple[str, Figures]]

    @property
    def total(self) -> Figures:
        return total(dict(self.agents))


def use_of(key: ApiKey) -> KeyUse | None:
    """Return the use of the last days, None where they hold too many requests; in a context."""
    for count in RANGES:
        which = Which(account_id=key.account_id, days=Days.until_today(count), key=key.pk)
        try:
            found = requests_by([Column.AGENT], which, most=MOST_REQUESTS)
        except Invalid:
            continue
        slugs = agent_slugs(key.account_id)
        rows = [(slugs.get(agent, str(agent)), figures) for (agent,), figures in found.items()]
        return KeyUse(which.days, sorted(rows, key=lambda row: (-row[1].cost, row[0])))
    return None
