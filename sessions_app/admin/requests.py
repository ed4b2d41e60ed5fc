"""The list of LLM requests, and the export of what they come to by day."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from accounts.admin.lists.csv_export import csv_response, note_export
from accounts.admin.lists.filters import ACCOUNT, FROM, TO
from accounts.admin.lists.keyset import KeysetAdmin, KeysetChangeList
from salient.formatting import duration, money
from sessions_app.admin.badges import ORIGIN, status_badge, with_badge
from sessions_app.admin.filters import RequestFilters, UsageFilters
from sessions_app.admin.request_page import RequestPage
from sessions_app.conversations import csv_columns
from sessions_app.models import LLMRequest, UsageDay


class RequestChangeList(KeysetChangeList):
    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Model, Model]:
        found: QuerySet[Model, Model] = super().get_queryset(request).annotate(origin=ORIGIN)
        return found


@admin.register(LLMRequest)
class LLMRequestAdmin(KeysetAdmin[LLMRequest], RequestPage):
    filter_form = RequestFilters
    export_columns = csv_columns.REQUEST_COLUMNS
    list_defer = ("request_body", "response_body")
    change_list_template = "admin/request_list.html"
    list_display = [
        "created_at",
        "agent",
        "model_name",
        "status",
        "tokens",
        "list_cost",
        "latency",
        "first_token",
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return RequestChangeList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_safe(self.usage_view))
        return [path("usage/", view, name="usage_export"), *super().get_urls()]

    def usage_view(self, request: HttpRequest) -> HttpResponseBase:
        """Send usage by day as CSV, of the account and the days that the list is narrowed to."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = {name: request.GET[name] for name in (ACCOUNT, FROM, TO) if name in request.GET}
        form = UsageFilters(chosen, model=UsageDay, moment="day")
        if not form.is_valid():
            return HttpResponseRedirect(f"../{form.address()}")
        note_export(request, form.account, "usage_days", form.told())
        rows, right = UsageDay.objects.all, self.export_right(request, form)
        return csv_response(csv_columns.USAGE, lambda: form.narrow(rows()), right)

    @admin.display(description="agent")
    def agent(self, request: LLMRequest) -> SafeString:
        return with_badge(f"{request.account_slug}/{request.agent_instance_slug}", request)

    @admin.display(description="status")
    def status(self, request: LLMRequest) -> SafeString | str:
        return status_badge(request.completion_status)

    @admin.display(description="tokens")
    def tokens(self, request: LLMRequest) -> str | None:
        if request.total_tokens is None:
            return None
        written = "?" if request.completion_tokens is None else request.completion_tokens
        about = "about " if request.tokens_estimated else ""
        return f"{about}{request.prompt_tokens} in, {written} out"

    @admin.display(description="cost")
    def list_cost(self, request: LLMRequest) -> str:
        return money(request.total_cost)

    @admin.display(description="latency")
    def latency(self, request: LLMRequest) -> str:
        return duration(request.latency_ms)

    @admin.display(description="first token")
    def first_token(self, request: LLMRequest) -> str:
        return duration(request.time_to_first_token_ms)
