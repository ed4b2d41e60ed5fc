"""The list of what people thought of answers; a comment is shown to who may read texts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.admin.lists.keyset import KeysetAdmin, KeysetChangeList
from sessions_app.admin.badges import thumb
from sessions_app.admin.filters import FeedbackFilters
from sessions_app.admin.links import page_link
from sessions_app.admin.texts import HIDDEN, HidingChangeList, ask_for_texts
from sessions_app.conversations import csv_columns
from sessions_app.models import MessageFeedback

SHOWN = 80


class FeedbackChangeList(HidingChangeList):
    def has_words(self, row: Any) -> bool:
        return bool(row.comment)


@admin.register(MessageFeedback)
class MessageFeedbackAdmin(KeysetAdmin[MessageFeedback]):
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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return FeedbackChangeList

    def refuse_row(self, request: HttpRequest, row: MessageFeedback) -> HttpResponse | None:
        return ask_for_texts(request, row.account_id, "sessions", row.session_id, "a comment")

    @admin.display(description="rating")
    def thumb(self, feedback: MessageFeedback) -> SafeString | str:
        return thumb(feedback.rating)

    @admin.display(description="comment")
    def beginning(self, feedback: Any) -> str | SafeString:
        if not feedback.comment:
            return ""
        if feedback.is_hidden:
            return format_html('<span class="quiet">{}</span>', HIDDEN)
        return Truncator(feedback.comment).chars(SHOWN)

    @admin.display(description="agent")
    def agent(self, feedback: MessageFeedback) -> str:
        return f"{feedback.account.slug}/{feedback.agent_instance.instance_slug}"

    @admin.display(description="session")
    def session_page(self, feedback: MessageFeedback) -> SafeString:
        return page_link("session", feedback.session_id)

    @admin.display(description="message")
    def message_page(self, feedback: MessageFeedback) -> SafeString:
        return page_link("message", feedback.message_id)
