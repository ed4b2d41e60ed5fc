"""How lists show a status and a thumb."""

from __future__ import annotations

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
