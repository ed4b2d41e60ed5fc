"""Feedback in the admin: what people thought of answers, with comments for who may read texts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.admin.formatting import row_link
from accounts.admin.lists.keyset import KeysetAdmin
from sessions_app.admin.badges import rating_badge
from sessions_app.admin.filters import FeedbackFilters
from sessions_app.admin.texts import HidingChangeList, hidden, require_texts
from sessions_app.conversations import csv_columns
from sessions_app.models import MessageFeedback

SHOWN = 80


class FeedbackChangeList(HidingChangeList):
    words = "comment"


@admin.register(MessageFeedback)
class MessageFeedbackAdmin(KeysetAdmin[MessageFeedback]):
    menu_group, menu_place = "Conversations", 4
    changelist_class = FeedbackChangeList
    filter_form = FeedbackFilters
    export_columns = csv_columns.FEEDBACK_COLUMNS
    list_display = ["created_at", "thumb", "beginning", "agent", "session_page"]
    list_select_related = ["account", "agent_instance"]
    fields = [
        ("account", "agent_instance"),
        ("session_page", "message_page"),
        ("rating", "created_at"),
        "comment",
        "caller",
    ]
    readonly_fields = ["session_page", "message_page"]

    def refuse_row(self, request: HttpRequest, row: MessageFeedback) -> HttpResponse | None:
        return require_texts(request, row.account_id, "sessions", row.session_id, "a comment")

    @admin.display(description="rating")
    def thumb(self, feedback: MessageFeedback) -> SafeString | str:
        return rating_badge(feedback.rating)

    @admin.display(description="comment")
    def beginning(self, feedback: Any) -> str | SafeString:
        if not feedback.comment:
            return ""
        if feedback.is_hidden:
            return hidden()
        return Truncator(feedback.comment).chars(SHOWN)

    @admin.display(description="agent")
    def agent(self, feedback: MessageFeedback) -> str:
        return f"{feedback.account.slug}/{feedback.agent_instance.instance_slug}"

    @admin.display(description="session")
    def session_page(self, feedback: MessageFeedback) -> SafeString:
        return row_link("sessions_app_session", feedback.session_id)

    @admin.display(description="message")
    def message_page(self, feedback: MessageFeedback) -> SafeString:
        return row_link("sessions_app_message", feedback.message_id)
