"""The staff's pages for conversations: to be read, never to be changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.admin import PlatformModelAdmin, RecordAdmin, pretty_json
from sessions_app.models import LLMRequest, Message, Profile, Session

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


@admin.register(Session)
class SessionAdmin(RecordAdmin[Session]):
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
    fields = [
        ("account", "agent_instance"),
        ("created_at", "last_activity_at"),
        ("user", "email", "is_anonymous"),
        "meta",
    ]
    list_select_related = ["account", "agent_instance"]
    inlines = [Transcript]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        # The key is what a visitor's cookie is told by; no page needs it.
        return super().get_queryset(request).defer("session_key")


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


@admin.register(LLMRequest)
class LLMRequestAdmin(RecordAdmin[LLMRequest]):
    list_display = [
        "created_at",
        "agent",
        "model_name",
        "completion_status",
        "tokens",
        "cost",
        "latency_ms",
    ]
    list_filter = ["completion_status", "cost_source", "account"]
    list_select_related = ["account", "agent_instance"]
    search_fields = ["id__exact", "session__id__exact"]
    search_help_text = "A whole id of a request or of a session."
    fields = [
        ("account", "agent_instance", "agent_type"),
        ("session_page", "config_version"),
        ("model_name", "requests"),
        ("completion_status", "error_code"),
        ("created_at", "settled_at"),
        ("latency_ms", "time_to_first_token_ms"),
        ("prompt_tokens", "cached_tokens", "completion_tokens", "total_tokens", "tokens_estimated"),
        ("cost", "prompt_cost", "completion_cost", "cost_source"),
        "asked",
        "answered",
    ]
    readonly_fields = ["session_page", "model_name", "cost", "asked", "answered"]

    @admin.display(description="agent")
    def agent(self, request: LLMRequest) -> str:
        return f"{request.account_slug}/{request.agent_instance_slug}"

    @admin.display(description="tokens", ordering="total_tokens")
    def tokens(self, request: LLMRequest) -> str | None:
        if request.total_tokens is None:
            return None
        written = "?" if request.completion_tokens is None else request.completion_tokens
        about = "about " if request.tokens_estimated else ""
        return f"{about}{request.prompt_tokens} in, {written} out"

    @admin.display(description="model", ordering="model")
    def model_name(self, request: LLMRequest) -> str:
        return f"{request.provider}:{request.model}"

    @admin.display(description="cost", ordering="total_cost")
    def cost(self, request: LLMRequest) -> str:
        if request.total_cost is None:
            return "unknown"
        if not request.total_cost:
            return "free"
        return f"${request.total_cost.normalize():f}"

    @admin.display(description="session")
    def session_page(self, request: LLMRequest) -> SafeString:
        return page_link("session", request.session_id)

    @admin.display(description="request")
    def asked(self, request: LLMRequest) -> SafeString:
        return pretty_json(request.request_body)

    @admin.display(description="response")
    def answered(self, request: LLMRequest) -> SafeString:
        return pretty_json(request.response_body)


@admin.register(Profile)
class ProfileAdmin(PlatformModelAdmin[Profile]):
    """What was noted may be corrected and erased; it is never made up by hand."""

    list_display = ["id", "customer_name", "email", "phone", "account", "updated_at"]
    list_display_links = ["id", "customer_name"]
    list_select_related = ["account"]
    list_filter = ["account"]
    search_fields = ["email__exact", "customer_name"]
    exclude = ["session"]
    readonly_fields = ["account", "session_page", "updated_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="session")
    def session_page(self, profile: Profile) -> SafeString:
        return page_link("session", profile.session_id)


def page_link(model: str, key: object) -> SafeString:
    return format_html(
        '<a href="{}">{}</a>', reverse(f"admin:sessions_app_{model}_change", args=[key]), key
    )
