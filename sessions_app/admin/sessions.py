"""The list of conversations."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from sessions_app.admin.transcript import SessionPage
from sessions_app.models import Session


@admin.register(Session)
class SessionAdmin(SessionPage):
    list_display = [
        "id",
        "account_slug",
        "agent_instance_slug",
        "last_activity_at",
        "created_at",
        "email",
    ]
    list_filter = ["account"]
    search_fields = ["id__exact", "email__exact"]
    search_help_text = "A whole id or a whole e-mail address."
    list_select_related = ["account", "agent_instance"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        # The key is what a visitor's cookie is told by; no page needs it.
        return super().get_queryset(request).defer("session_key")
