"""What the worker does, in the admin: webhooks, what was sent to them, and tasks.

Staff make no webhook: the secret of an endpoint is its account's, which makes it by the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django_tasks_db.admin  # noqa: F401 - it registers its own page, which ours replaces
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django_tasks_db.models import DBTaskResult

from accounts.admin.base import RecordAdmin
from accounts.admin.registry import account_page
from accounts.models import Account, WebhookDelivery, WebhookEndpoint
from accounts.webhooks import log
from accounts.webhooks.endpoints import WebhookDisabled


# Titles name a task by what it does; the package names it by its id.
def _task_name(task: Any) -> str:
    return str(task.task_path)


DBTaskResult.__str__ = _task_name  # type: ignore[method-assign]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(RecordAdmin[WebhookEndpoint]):
    menu_group, menu_place = "Tenants", 4
    nothing_yet = "None: accounts make their webhooks by the API."
    list_display = ["url", "account", "is_enabled", "failing_since", "created_at"]
    list_select_related = ["account"]
    list_filter = ["account", "is_enabled"]
    search_fields = ["url", "account__slug"]
    search_help_text = "A part of an address, or of an account's slug."
    fields = [
        "account",
        "url",
        "description",
        "events",
        "is_enabled",
        "disabled_reason",
        "failing_since",
        "previous_secret_expires_at",
        "created_at",
        "updated_at",
    ]


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(RecordAdmin[WebhookDelivery]):
    menu_group, menu_place = "Tenants", 5
    nothing_yet = "Nothing was sent yet: deliveries begin with an account's first webhook."
    list_display = [
        "event",
        "account",
        "url",
        "state",
        "tries",
        "status",
        "error",
        "next_try_at",
        "created_at",
    ]
    list_select_related = ["account", "endpoint"]
    list_filter = ["account", "state", "event"]
    search_fields = ["message_id", "endpoint__url"]
    search_help_text = "A webhook-id, or a part of an address; choose the account first."
    fields = [
        "account",
        "endpoint",
        "message_id",
        "event",
        "data",
        "state",
        "tries",
        "status",
        "error",
        "duration_ms",
        "created_at",
        "last_tried_at",
        "next_try_at",
        "delivered_at",
    ]
    actions = ["send_again"]

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_webhookdelivery")

    @admin.display(description="webhook")
    def url(self, delivery: WebhookDelivery) -> str:
        return delivery.endpoint.url

    @admin.action(description="Send again", permissions=["resend"])
    def send_again(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> None:
        """Send them anew under their ids; those of a disabled endpoint are left out."""
        sent = 0
        for delivery in deliveries.select_related("endpoint"):
            try:
                log.renew(delivery)
            except WebhookDisabled:
                continue
            sent += 1
        self.message_user(request, f"{sent} are sent again.", messages.SUCCESS)


def _of_account(_request: HttpRequest, account: Account) -> Mapping[str, Any]:
    found = log.of_account(account.pk)
    return {"webhooks": found} if found else {}


account_page.add(_of_account, panel="admin/webhook/account_panel.html")


admin.site.unregister(DBTaskResult)


@admin.register(DBTaskResult)
class TaskAdmin(RecordAdmin["DBTaskResult[..., Any]"]):
    nothing_yet = "No job has run yet: the worker runs them."
    list_display = ["task_path", "status", "run_after", "started_at", "finished_at"]
    list_filter = ["status"]
    search_fields = ["task_path"]
    search_help_text = "A part of a task's name."
    ordering = ["-run_after"]
    fields = [
        "task_path",
        "status",
        "args_kwargs",
        "run_after",
        "enqueued_at",
        "started_at",
        "finished_at",
        "return_value",
        "exception_class_path",
        "traceback",
    ]
