"""LLM requests in the admin: the list, a request's page, and the export of usage by day."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from accounts.admin.formatting import pretty_json, quiet, row_address
from accounts.admin.lists.filters import ACCOUNT, FROM, TO
from accounts.admin.lists.keyset import KeysetAdmin, KeysetChangeList
from accounts.audit.csv_export import csv_response, note_export
from accounts.keys.services import find_key
from salient.formatting import count, duration, money
from salient.ids import parse_uuid
from sessions_app.admin.badges import status_badge, with_origin
from sessions_app.admin.conversations.texts import access_to, open_accounts
from sessions_app.admin.filters import UsageFilters
from sessions_app.admin.request_filters import RequestFilters
from sessions_app.conversations import csv_columns
from sessions_app.conversations.origins import ORIGIN
from sessions_app.conversations.transcript import Work, messages_of, sent_messages
from sessions_app.models import LLMRequest, UsageDay
from sessions_app.turns import prompts
from sessions_app.usage.orders import DEAREST, SLOWEST, greatest
from sessions_app.usage.queries import all_days


class RequestList(KeysetChangeList):
    """Also shows the slowest or the dearest rows of the days, without pages."""

    form: RequestFilters

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Any, Any]:
        rows = super().get_queryset(request, exclude_parameters)
        if not request.user.has_perm("accounts.view_apikey"):
            self.form.hide_key_names()
        return rows

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        orders = (("Newest", ""), ("Slowest", SLOWEST), ("Most expensive", DEAREST))
        self.orders = [(name, self.form.with_order(order)) for name, order in orders]

    def read_page(self, query: QueryDict) -> list[Any]:
        order = self.form.cleaned_data.get("order") if self.form.is_valid() else ""
        if not order:
            return super().read_page(query)
        found = self.in_time(greatest(self.queryset, order, self.list_per_page + 1))
        self.has_newer = self.has_older = False
        self.is_cut = len(found) > self.list_per_page
        return found[: self.list_per_page]


@admin.register(LLMRequest)
class LLMRequestAdmin(KeysetAdmin[LLMRequest]):
    menu_group, menu_place = "Conversations", 3
    nothing_yet = "No agent has been called yet."
    filter_form = RequestFilters
    changelist_class = RequestList
    export_columns = csv_columns.REQUEST_COLUMNS
    list_defer = ("request_body", "response_body")
    change_list_template = "admin/request_list.html"
    detail_template = "admin/llm_request/page.html"
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

    list_numbers = ("tokens", "list_cost", "latency", "first_token")

    def list_annotations(self) -> dict[str, Any]:
        return {"origin": ORIGIN}

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
        note_export(request, form.account, "usage_days", form.for_audit_log())
        right = self.export_right(request, form)
        return csv_response(csv_columns.USAGE, lambda: form.queryset(all_days()), right)

    def detail_rows(self, request: HttpRequest) -> QuerySet[LLMRequest]:
        rows = self.get_queryset(request)
        rows = rows.select_related("account", "agent_instance", "session", "config_version")
        return rows.defer(
            "session__session_key", "agent_instance__override", "config_version__content"
        )

    def detail(self, request: HttpRequest, row: LLMRequest) -> dict[str, Any]:
        sections = prompts.read_sections(row)
        return {
            "title": "LLM request",
            "subtitle": str(row),
            "llm_request": row,
            "work": Work.of(row),
            "caller": caller_of(row),
            "costs": costs_of(row),
            "sections": sections,
            "prompt_tokens": sum(section.tokens for section in sections),
            "largest": max((section.bytes for section in sections), default=1) or 1,
            "messages_said": messages_of(row),
            "response_body": pretty_json(row.response_body),
            **access_to(request, row.account, "llm_requests", row.pk, str(row)),
            **self._as_sent(request, row, sections),
        }

    def _as_sent(
        self, request: HttpRequest, row: LLMRequest, sections: list[prompts.PromptPart]
    ) -> dict[str, Any]:
        """Return what the model was sent, for those who may read the account's texts."""
        if row.account_id not in open_accounts(request):
            return {}
        # The sections have a table of their own, and the caller's texts are among the messages.
        named = (row.request_body or {}).items()
        body = {name: value for name, value in named if name not in {"sections", "response"}}
        return {"sent": sent_messages(row, sections), "request_body": pretty_json(body)}

    @admin.display(description="agent")
    def agent(self, request: LLMRequest) -> SafeString:
        return with_origin(f"{request.account_slug}/{request.agent_instance_slug}", request)

    @admin.display(description="model", ordering="model")
    def model_name(self, request: LLMRequest) -> str:
        return f"{request.provider}:{request.model}"

    @admin.display(description="status")
    def status(self, request: LLMRequest) -> SafeString | str:
        shown = status_badge(request.completion_status)
        if not (code := request.error_code):
            return shown
        # A code is one long word: it may be broken between its parts.
        parts = format_html_join(mark_safe("_<wbr>"), "{}", ((part,) for part in code.split("_")))
        return format_html("{} {}", shown, quiet(parts))

    @admin.display(description="tokens")
    def tokens(self, request: LLMRequest) -> str | None:
        if request.total_tokens is None:
            return None
        read, written = (
            "?" if number is None else count(number)
            for number in (request.prompt_tokens, request.completion_tokens)
        )
        about = "about " if request.tokens_estimated else ""
        return f"{about}{read} in, {written} out"

    @admin.display(description="cost")
    def list_cost(self, request: LLMRequest) -> str:
        return money(request.total_cost)

    @admin.display(description="latency")
    def latency(self, request: LLMRequest) -> str:
        return duration(request.latency_ms)

    @admin.display(description="first token")
    def first_token(self, request: LLMRequest) -> str:
        return duration(request.time_to_first_token_ms)


def caller_of(row: LLMRequest) -> dict[str, str]:
    """Return who called: `kind`, `name`, and the `address` of an API key's page."""
    kind, _, name = row.caller.partition(":")
    key_id = parse_uuid(name) if kind == "key" else None
    key = find_key(key_id, row.account_id) if key_id else None
    if key is None:
        return {"kind": kind.replace("-", " ") or "unknown", "name": name, "address": ""}
    address = row_address(key)
    return {"kind": "API key", "name": key.name, "address": address}


def costs_of(row: LLMRequest) -> dict[str, str]:
    """Return the request's amounts; an unknown cost is never shown as zero."""
    return {
        "total": money(row.total_cost),
        "prompt": money(row.prompt_cost),
        "completion": money(row.completion_cost),
        "reserved": money(row.reserved_cost),
        "charged": money(row.charged_cost),
    }
