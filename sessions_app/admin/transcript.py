"""One session's page: what was said, as people read it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest

from accounts.platform_admin import RecordAdmin
from sessions_app.models import Message, Session

NEWEST_MESSAGES = 200


class NewestMessages(BaseInlineFormSet[Message, Session, Any]):
    """A long conversation shows its end: the whole of it would be a page of megabytes."""

    def get_queryset(self) -> Any:
        if not hasattr(self, "_newest"):
            rows = Message.objects.filter(session_id=self.instance.pk).select_related("llm_request")
            newest = rows.order_by("-created_at", "-id")[:NEWEST_MESSAGES]
            self._newest = list(reversed(newest))
        return self._newest


class Transcript(admin.StackedInline[Message, Session]):
    model = Message
    formset = NewestMessages
    template = "admin/transcript.html"
    fields = readonly_fields = ("role", "content", "created_at")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        return False


class SessionPage(RecordAdmin[Session]):
    """What the page of one session shows; its list is in sessions.py."""

    fields = [
        ("account", "agent_instance"),
        ("created_at", "last_activity_at"),
        ("user", "email", "is_anonymous"),
        "meta",
    ]
    inlines = [Transcript]
