"""Test chats in the admin: the list, and the form of one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from accounts.admin.base import Extra
from accounts.admin.formatting import badge, link
from accounts.members import support_access
from sessions_app.admin.conversations.texts import HeldRowsAdmin, hidden_chats, note_chat
from sessions_app.admin.evals.forms import PARTS, TURNS, SavedChatForm
from sessions_app.admin.evals.pages import EvalPages
from sessions_app.models import SavedChat, SavedChatRun

# The form offers so many blank turns below those in use.
MORE_TURNS = 3


@admin.register(SavedChat)
class SavedChatAdmin(HeldRowsAdmin[SavedChat]):
    """A test chat belongs to one agent for good, because its runs do."""

    menu_group, menu_place = "Conversations", 5
    nothing_yet = "No test chats yet: add one here, or make one of a conversation."
    form = SavedChatForm
    support_may = frozenset({"view", "add", "change"})
    change_form_template = "admin/playground/test_chat.html"
    list_display = ["name", "agent", "turns", "is_gate", "last_run", "updated_at"]
    list_filter = ["is_gate", "account"]
    list_select_related = ["account", "agent_instance"]
    search_fields = ["name", "agent_instance__instance_slug", "account__slug"]
    search_help_text = "A part of a name, or of an agent's or account's slug."
    list_numbers = ("turns",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedChat]:
        runs = SavedChatRun.objects.filter(
            account_id=OuterRef("account_id"), saved_chat_id=OuterRef("pk")
        )
        newest = runs.order_by("-created_at").values("passed")[:1]
        return super().get_queryset(request).annotate(_passed=Subquery(newest))

    def get_urls(self) -> list[URLPattern]:
        return [*EvalPages(self).urls(), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: SavedChat | None = None) -> list[str]:
        return ["agent", "results", "hidden_texts"] if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: SavedChat | None = None) -> Any:
        about = ["agent_instance", "name", "is_gate"]
        if obj is not None:
            about = ["agent", "name", "is_gate", "results"]
        if obj is not None and self._hides(request, obj):
            return [(None, {"fields": [*about, "hidden_texts"]})]
        turns = len(obj.messages) if obj else 1
        return [
            (None, {"fields": about}),
            *(_fieldset(number, turns) for number in TURNS[: turns + MORE_TURNS]),
        ]

    def has_change_permission(self, request: HttpRequest, obj: SavedChat | None = None) -> bool:
        """Refuse who may not read the words."""
        may = super().has_change_permission(request, obj)
        return may and (obj is None or not self._hides(request, obj))

    def _hides(self, request: HttpRequest, chat: SavedChat) -> bool:
        return bool(hidden_chats(request, [chat]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        """Show a form for a reason in place of words copied from a conversation."""
        chat = self.get_object(request, unquote(object_id))
        shown: dict[str, Any] = {}
        if chat is not None and self.has_view_permission(request, chat):
            if self._hides(request, chat):
                reason = support_access.inline_form(request, chat.account)
                shown = {"hides": True, "reason": reason}
            elif chat.session_id is not None:
                note_chat(request, chat)
        return super().change_view(request, object_id, form_url, shown | (extra_context or {}))

    @admin.display(description="the user says")
    def hidden_texts(self, chat: SavedChat) -> str:
        characters = sum(map(len, chat.messages))
        return f"{len(chat.messages)} messages of {characters} characters; hidden"

    def save_model(self, request: HttpRequest, obj: SavedChat, form: Any, change: Any) -> None:
        if not change:
            obj.account_id = obj.agent_instance.account_id
        super().save_model(request, obj, form, change)

    @admin.display(description="agent", ordering="agent_instance")
    def agent(self, chat: SavedChat) -> str:
        return f"{chat.account.slug}/{chat.agent_instance.instance_slug}"

    @admin.display(description="turns")
    def turns(self, chat: SavedChat) -> int:
        return len(chat.messages)

    @admin.display(description="last run")
    def last_run(self, chat: Any) -> SafeString:
        if chat._passed is None:
            return badge("not run", "info")
        return badge("passed", "ok") if chat._passed else badge("failed", "bad")

    @admin.display(description="results")
    def results(self, chat: SavedChat) -> SafeString:
        address = reverse("admin:saved-chats", args=[chat.agent_instance_id])
        return link(f"{address}#chat-{chat.pk}", "Run it, and see the results")


def _fieldset(number: int, turns: int) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = {"fields": [f"{part}_{number}" for part in PARTS]}
    # Unused turns are folded.
    return f"Turn {number}", fields | ({} if number <= max(turns, 1) else {"classes": ["collapse"]})
