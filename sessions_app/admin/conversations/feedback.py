"""Feedback in the admin: what people thought of answers, and what staff decided.

Comments are shown to who may read texts. What came of it is said by who works on agents.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.admin.base import way_back
from accounts.admin.formatting import link, row_link
from accounts.admin.lists.keyset import KeysetAdmin
from accounts.members.staff_roles import StaffRole, register_rights
from accounts.models import User
from sessions_app.admin.badges import feedback_badge, rating_badge, status_name
from sessions_app.admin.conversations.hits import message_address
from sessions_app.admin.conversations.texts import HidingChangeList, hidden, require_texts
from sessions_app.admin.filters import FeedbackFilters
from sessions_app.conversations import csv_columns
from sessions_app.conversations.feedback import decide
from sessions_app.models import FeedbackStatus, Message, MessageFeedback

SHOWN = 80
DECIDE = "sessions_app.change_messagefeedback"

for role in (StaffRole.OPERATOR, StaffRole.SUPPORT):
    register_rights(MessageFeedback, role, {"change"})


class FeedbackChangeList(HidingChangeList):
    words = "comment"


@admin.register(MessageFeedback)
class MessageFeedbackAdmin(KeysetAdmin[MessageFeedback]):
    menu_group, menu_place = "Conversations", 4
    nothing_yet = "Nobody has rated an answer yet."
    changelist_class = FeedbackChangeList
    filter_form = FeedbackFilters
    export_columns = csv_columns.FEEDBACK_COLUMNS
    list_display = ["created_at", "thumb", "result", "beginning", "agent", "session_page"]
    list_select_related = ["account", "agent_instance"]
    fields = [
        ("account", "agent_instance"),
        ("session_page", "message_page"),
        ("rating", "created_at"),
        ("result", "handled_by", "handled_at"),
        "comment",
        "caller",
    ]
    readonly_fields = ["session_page", "message_page", "result"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.status_view)
        ours = path("<uuid:object_id>/status/", view, name="feedback-status")
        return [ours, *super().get_urls()]

    def status_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Set what came of a rating, and lead back to the page with the button."""
        if not request.user.has_perm(DECIDE):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.get_object(request, str(object_id))
        status = request.POST.get("status", "")
        if row is None or status not in {"", *FeedbackStatus.values}:
            raise Http404("There is no such feedback, or no such status.")
        decide(row.account_id, row.pk, status, cast(User, request.user).email)
        self.message_user(
            request, f"The feedback is marked: {status_name(status)}.", messages.SUCCESS
        )
        return redirect(way_back(request, message_address(row.session_id, row.message_id)))

    def refuse_row(self, request: HttpRequest, row: MessageFeedback) -> HttpResponse | None:
        return require_texts(request, row.account_id, "sessions", row.session_id, "a comment")

    @admin.display(description="rating")
    def thumb(self, feedback: MessageFeedback) -> SafeString | str:
        return rating_badge(feedback.rating)

    @admin.display(description="status")
    def result(self, feedback: MessageFeedback) -> SafeString | str:
        return feedback_badge(feedback)

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
        return link(message_address(feedback.session_id, feedback.message_id), "the answer")

    @admin.display(description="message")
    def message_page(self, feedback: MessageFeedback) -> SafeString:
        return row_link(Message, feedback.message_id)
