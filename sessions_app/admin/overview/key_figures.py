"""An API key's page: what the key was used for, from where it may be, and how it was refused."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.http import HttpRequest

from accounts.admin import registry
from accounts.admin.formatting import list_address
from accounts.models import ApiKey
from salient.formatting import count, day, moment, share, spend
from sessions_app.admin.overview.page import Tile, may_see
from sessions_app.usage.of_key import KeyUse, use_of
from sessions_app.usage.queries import NOTHING, Days, Figures
from sessions_app.usage.refused import RefusalRow, refused_of_key

DAYS = 30


def figures(request: HttpRequest, key: ApiKey) -> dict[str, Any]:
    if not may_see(request):
        return {}
    days = Days.until_today(DAYS)
    use, refusals = use_of(key), refused_of_key(key, days)
    shown = use.days if use else days
    page = requests_of(key, shown)
    return {
        "tiles": tiles(key, use, refusals, page),
        "agents": [] if use is None else [_row(*agent) for agent in use.agents],
        "agent_days": len(shown),
        "requests_page": page,
        "refusals": refusals,
        "refusal_days": len(days),
    }


def requests_of(key: ApiKey, days: Days) -> str:
    """Return the address of the key's requests in these days."""
    which = {"account__id__exact": key.account_id, "key": key.pk}
    return list_address("sessions_app_llmrequest", **which, **{"from": days.first, "to": days.last})


def tiles(key: ApiKey, use: KeyUse | None, refusals: list[RefusalRow], page: str) -> list[Tile]:
    used = use.total if use else NOTHING
    span = f"in {len(use.days)} days" if use else "too many of the account to be summed"
    times = sum(row.sum.times for row in refusals)
    last = max((row.sum.last_at for row in refusals), default=None)
    networks = ", ".join(key.networks)
    failed = f"{share(used.error_rate)} failed" if used.requests else ""
    return [
        Tile("Requests", count(used.requests), span, failed, page),
        Tile("Spend", spend(used.cost, used.unpriced), span, ""),
        Tile(
            "Refused", count(times), f"in {DAYS} days",
            f"last on {moment(last)}" if last else "", "#refusals",
        ),
        Tile("Networks", count(len(key.networks)) if networks else "any", networks, ""),
        Tile(
            "Last used", day(key.last_used_at) if key.last_used_at else "never",
            f"{key.last_used_at.astimezone(UTC):%H:%M} UTC" if key.last_used_at else "",
            f"first on {moment(key.first_used_at)}" if key.first_used_at else "",
        ),
    ]  # fmt: skip


def _row(slug: str, used: Figures) -> tuple[str, str, str, str]:
    cost = spend(used.cost, used.unpriced)
    return slug, count(used.requests), share(used.error_rate), cost


registry.key_page.add(
    figures, figures="admin/overview/key.html", panel="admin/overview/refusals.html"
)
