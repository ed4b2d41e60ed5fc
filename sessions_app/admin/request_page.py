"""One LLM request's page: what was sent, what came back, what it cost."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from accounts.platform_admin import RecordAdmin, pretty_json
from sessions_app.admin.links import page_link
from sessions_app.models import LLMRequest


class RequestPage(RecordAdmin[LLMRequest]):
    """What the page of one request shows; its list is in requests.py."""

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

    @admin.display(description="model")
    def model_name(self, request: LLMRequest) -> str:
        return f"{request.provider}:{request.model}"

    @admin.display(description="cost")
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
