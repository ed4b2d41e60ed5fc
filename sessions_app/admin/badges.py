"""How lists show a status, a thumb, and that no customer was at work."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sessions_app.models import LLMRequest

STATES = {
    "running": "info",
    "complete": "ok",
    "partial": "warn",
    "cancelled": "warn",
    "error": "bad",
}


# Who asked, as the lists' rows have it: `origin`.
ORIGIN = JSONObject(caller="caller", is_test="is_test", chat="request_body__test_chat")


def origin_of(**request: str) -> Subquery:
    """Find who asked for a row's LLM request, by its column and the row's: of many, any will do."""
    found = LLMRequest.objects.filter(**{name: OuterRef(own) for name, own in request.items()})
    return Subquery(found.order_by().values(told=ORIGIN)[:1])


def origin_badge(row: Any) -> SafeString | str:
    """Tell what staff, their test chats and test keys caused; what customers do needs no word."""
    origin = row.origin or {"caller": "", "is_test": False, "chat": None}
    is_staff = origin["caller"].startswith("staff:")
    for name, is_so in (
        ("test chat", origin["chat"]),
        ("playground", is_staff),
        ("test key", origin["is_test"]),
    ):
        if is_so:
            return format_html(' <span class="badge info">{}</span>', name)
    return ""


def with_badge(text: str, row: Any) -> SafeString:
    return format_html("{}{}", text, origin_badge(row))


def status_badge(status: str) -> SafeString | str:
    if not status:
        return ""
    return format_html('<span class="badge {}">{}</span>', STATES.get(status, ""), status)


def thumb(rating: int | None) -> SafeString | str:
    if rating is None:
        return ""
    state, word = ("ok", "good") if rating > 0 else ("bad", "bad")
    return format_html('<span class="badge {}">{}</span>', state, word)
