"""Messages in the admin: the list and a message's page, with words for who may read them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models.functions import Length, Substr
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.admin.formatting import row_link
from accounts.admin.lists.filters import FilterForm
from accounts.admin.lists.keyset import KeysetAdmin
from salient.formatting import count
from sessions_app.admin.badges import with_origin
from sessions_app.admin.conversations.texts import HidingChangeList, hidden, require_texts
from sessions_app.admin.filters import MessageFilters
from sessions_app.conversations import csv_columns
from sessions_app.conversations.origins import origin_of
from sessions_app.models import LLMRequest, Message, Session

SHOWN = 80


@admin.register(Message)
class MessageAdmin(KeysetAdmin[Message]):
    menu_group, menu_place = "Conversations", 2
    nothing_yet = "No messages yet."
    changelist_class = HidingChangeList
    filter_form = MessageFilters
    export_columns = csv_columns.MESSAGE_COLUMNS
    list_display = ["created_at", "said_by", "beginning", "length", "agent", "session_page"]
    fields = [
        ("account", "agent_instance"),
        ("session_page", "request_page"),
        "config_version",
        ("said_by", "created_at"),
        "content",
        "meta",
    ]
    readonly_fields = ["said_by", "session_page", "request_page"]
    list_select_related = ["account", "agent_instance"]
    list_defer = ("content", "meta")

    list_numbers = ("length",)

    def list_annotations(self) -> dict[str, Any]:
        """Read the beginnings of the messages instead of the whole texts."""
        return {
            "length": Length("content"),
            "start": Substr("content", 1, SHOWN + 1),
            "origin": origin_of(pk="llm_request_id"),
        }

    def refuse_row(self, request: HttpRequest, row: Message) -> HttpResponse | None:
        return require_texts(request, row.account_id, "sessions", row.session_id, "a message")

    def refuse_export(self, request: HttpRequest, form: FilterForm) -> HttpResponse | None:
        if form.account is None:
            text = "Messages are exported of one account: choose it first."
            messages.warning(request, text)
            return HttpResponseRedirect(f"../{form.address()}")
        label = "CSV export of messages"
        return require_texts(request, form.account.pk, "messages", "export", label)

    def texts_of(self, form: FilterForm) -> UUID | None:
        return form.account.pk if form.account else None

    @admin.display(description="role")
    def said_by(self, message: Message) -> str:
        return message.role_name

    @admin.display(description="content")
    def beginning(self, message: Any) -> str | SafeString:
        if message.is_hidden:
            return hidden()
        return Truncator(message.start).chars(SHOWN)

    @admin.display(description="characters")
    def length(self, message: Any) -> str:
        return count(message.length)

    @admin.display(description="agent")
    def agent(self, message: Message) -> SafeString:
        return with_origin(
            f"{message.account.slug}/{message.agent_instance.instance_slug}", message
        )

    @admin.display(description="session")
    def session_page(self, message: Message) -> SafeString:
        return row_link(Session, message.session_id)

    @admin.display(description="LLM request")
    def request_page(self, message: Message) -> SafeString | None:
        key = message.llm_request_id
        return row_link(LLMRequest, key) if key else None
