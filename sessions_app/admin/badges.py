"""How lists show a status, a thumb and a cost."""

from __future__ import annotations

from decimal import Decimal

from django.utils.html import format_html
from django.utils.safestring import SafeString

STATES = {
    "running": "info",
    "complete": "ok",
    "partial": "warn",
    "cancelled": "warn",
    "error": "bad",
}


def status_badge(status: str) -> SafeString | str:
    if not status:
        return ""
    return format_html('<span class="badge {}">{}</span>', STATES.get(status, ""), status)


def thumb(rating: int | None) -> SafeString | str:
    if rating is None:
        return ""
    state, word = ("ok", "good") if rating > 0 else ("bad", "bad")
    return format_html('<span class="badge {}">{}</span>', state, word)


def dollars(cost: Decimal | None) -> str:
    """Unknown is not free."""
    if cost is None:
        return "unknown"
    if not cost:
        return "free"
    return f"${cost:.4f}" if cost >= Decimal("0.0001") else f"${cost.normalize():f}"
