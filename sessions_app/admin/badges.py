"""How lists show a status, a rating, and rows that no customer caused."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.formatting import badge
from sessions_app.conversations.transcript import STATES
from sessions_app.models import FeedbackStatus, MessageFeedback

FEEDBACK_STATES: dict[str, str] = {FeedbackStatus.FIXED: "ok", FeedbackStatus.NO_FAULT: ""}


def with_origin(text: str, row: Any) -> SafeString:
    """Add a badge to what staff, their test chats or test keys caused; customers need none.

    `row.origin` is what conversations/origins.py reads.
    """
    origin = row.origin or {"caller": "", "is_test": False, "chat": None}
    if origin["chat"]:
        name = "test chat"
    elif origin["caller"].startswith("staff:"):
        name = "playground"
    else:
        name = "test key" if origin["is_test"] else ""
    return format_html("{} {}", text, badge(name, "info")) if name else format_html("{}", text)


def status_badge(status: str) -> SafeString | str:
    return badge(status, STATES.get(status, "")) if status else ""  # type: ignore[call-overload]


def rating_badge(rating: int | None) -> SafeString | str:
    if rating is None:
        return ""
    return badge("good", "ok") if rating > 0 else badge("bad", "bad")


def status_name(status: str) -> str:
    """Say what came of feedback."""
    return FeedbackStatus(status).label.lower() if status else "open"


def feedback_badge(feedback: MessageFeedback) -> SafeString | str:
    """Show what came of a rating; a good one that nobody decided on needs nothing."""
    if feedback.status:
        return badge(status_name(feedback.status), FEEDBACK_STATES[feedback.status])
    return badge("open", "warn") if feedback.rating < 0 else ""
