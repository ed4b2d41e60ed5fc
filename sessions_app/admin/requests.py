"""The list of LLM requests."""

from __future__ import annotations

from django.contrib import admin

from sessions_app.admin.request_page import RequestPage
from sessions_app.models import LLMRequest


@admin.register(LLMRequest)
class LLMRequestAdmin(RequestPage):
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
