"""The list of messages, and one message's page."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.platform_admin import RecordAdmin
from sessions_app.admin.links import page_link
from sessions_app.models import Message


@admin.register(Message)
class MessageAdmin(RecordAdmin[Message]):
    list_display = ["created_at", "role", "beginning", "account", "agent_instance"]
    list_select_related = ["account", "agent_instance"]
    list_filter = ["role", "account"]
    search_fields = ["id__exact", "session__id__exact"]
    search_help_text = "A whole id of a message or of a session."
    fields = [
        ("account", "agent_instance"),
        ("session_page", "request_page"),
        "config_version",
        ("role", "created_at"),
        "content",
        "meta",
    ]
    readonly_fields = ["session_page", "request_page"]
    ordering = ["-created_at", "-id"]

    @admin.display(description="content")
    def beginning(self, message: Message) -> str:
        return Truncator(message.content).chars(80)

    @admin.display(description="session")
    def session_page(self, message: Message) -> SafeString:
        return page_link("session", message.session_id)

    @admin.display(description="LLM request")
    def request_page(self, message: Message) -> SafeString | None:
        key = message.llm_request_id
        return page_link("llmrequest", key) if key else None
