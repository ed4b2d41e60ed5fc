"""The list of what people thought of answers."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.platform_admin import RecordAdmin
from sessions_app.admin.links import page_link
from sessions_app.models import MessageFeedback


@admin.register(MessageFeedback)
class MessageFeedbackAdmin(RecordAdmin[MessageFeedback]):
    list_display = ["created_at", "rating", "beginning", "account", "agent_instance"]
    list_select_related = ["account", "agent_instance"]
    list_filter = ["rating", "account"]
    fields = [
        ("account", "agent_instance"),
        ("session_page", "message_page"),
        ("rating", "created_at"),
        "comment",
        "caller",
    ]
    readonly_fields = ["session_page", "message_page"]

    @admin.display(description="comment")
    def beginning(self, feedback: MessageFeedback) -> str:
        return Truncator(feedback.comment).chars(80)

    @admin.display(description="session")
    def session_page(self, feedback: MessageFeedback) -> SafeString:
        return page_link("session", feedback.session_id)

    @admin.display(description="message")
    def message_page(self, feedback: MessageFeedback) -> SafeString:
        return page_link("message", feedback.message_id)
