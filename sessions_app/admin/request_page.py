"""One LLM request's page: what was sent, what came back, what it took and cost."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.admin.base import RecordAdmin, pretty_json
from accounts.members import support_access
from accounts.models import ApiKey
from salient.formatting import money
from salient.ids import parse_uuid
from sessions_app.conversations.transcript import Work
from sessions_app.models import LLMRequest, Message
from sessions_app.turns import prompts

# What the page tells in words of its own; the rest is shown as it was stored.
_TOLD_BODY = {"sections"}
_RELATED = ("account", "agent_instance", "session", "config_version")

_UNUSED = ("session__session_key", "agent_instance__override", "config_version__content")


class RequestPage(RecordAdmin[LLMRequest]):
    """What the page of one request shows; its list is in requests.py."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self._row(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined, no-any-return]
                request, self.opts, object_id
            )
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        work, sections = Work.of(row), prompts.read_sections(row)
        context = {
            **self.admin_site.each_context(request),
            "title": "LLM request",
            "subtitle": str(row.pk),
            "opts": self.opts,
            "asked": row,
            "work": work,
            "caller": caller_of(row),
            "costs": costs_of(row),
            "sections": sections,
            "told": sum(section.tokens for section in sections),
            "largest": max((section.bytes for section in sections), default=1) or 1,
            "messages_said": list(Message.objects.filter(llm_request_id=row.pk)),
            "request_body": pretty_json(_rest(row.request_body)),
            "response_body": pretty_json(row.response_body),
            **self._texts(request, row),
            **(extra_context or {}),
        }
        return TemplateResponse(
            request, "admin/llm_request/page.html", context, headers={"Cache-Control": "no-store"}
        )

    def _row(self, request: HttpRequest, object_id: str) -> LLMRequest | None:
        rows = self.get_queryset(request).select_related(*_RELATED).defer(*_UNUSED)
        try:
            found: LLMRequest | None = rows.filter(pk=unquote(object_id)).first()
        except ValidationError:
            return None
        return found

    def _texts(self, request: HttpRequest, row: LLMRequest) -> dict[str, Any]:
        """Let the words be shown under a support access alone, and note who reads them."""
        access = support_access.current_access(request.user, row.account_id)
        if access is not None:
            support_access.note_reading(access, "llm_requests", row.pk, str(row))
            return {"access": access}
        return {"access": None, "reason": support_access.inline_form(request, row.account)}

    @admin.display(description="model", ordering="model")
    def model_name(self, request: LLMRequest) -> str:
        return f"{request.provider}:{request.model}"

    @admin.display(description="cost", ordering="total_cost")
    def cost(self, request: LLMRequest) -> str:
        return costs_of(request)["total"]


def caller_of(row: LLMRequest) -> dict[str, str]:
    """Say who asked; a key is linked."""
    kind, _, name = row.caller.partition(":")
    told = {"kind": kind.replace("-", " ") or "unknown", "name": name, "address": ""}
    if kind != "key":
        return told
    mine = ApiKey.objects.filter(account_id=row.account_id)
    key_id = parse_uuid(name)
    key = mine.filter(pk=key_id).first() if key_id else None
    if key is None:
        return told
    address = reverse("admin:accounts_apikey_change", args=[key.pk])
    return told | {"kind": "API key", "name": key.name, "address": address}


def costs_of(row: LLMRequest) -> dict[str, str]:
    """Say what it cost and what counted against budgets; unknown is no zero."""
    free = row.total_cost is not None and not row.total_cost
    return {
        "total": "free" if free else money(row.total_cost),
        "prompt": money(row.prompt_cost),
        "completion": money(row.completion_cost),
        "reserved": money(row.reserved_cost),
        "charged": money(row.charged_cost),
    }


def _rest(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    return {name: value for name, value in body.items() if name not in _TOLD_BODY}
