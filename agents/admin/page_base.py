"""What the pages below an agent instance's own page are made of, and what other apps add."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.html import format_html

from accounts.admin.base import PlatformModelAdmin
from accounts.admin.registry import PageRegistry, RowRegistry
from accounts.models import User
from accounts.tenancy.accounts import StatusChange
from agents.config.versions.faults import fault_of, faults_of
from agents.instances.services import instance_with_account
from agents.models import AgentInstance, ConfigVersion

FAULT_BADGE = "admin/instance/fault_badge.html"

type Page = Callable[..., HttpResponseBase]

# What sessions_app adds: to an instance's page, to the review of a draft, to rows of instances.
instance_page = PageRegistry[[HttpRequest, AgentInstance]]()
review_page = PageRegistry[[HttpRequest, AgentInstance]]()
# To the comparison of two versions, the older one first.
compare_page = PageRegistry[[HttpRequest, AgentInstance, ConfigVersion, ConfigVersion]]()
instance_rows = RowRegistry[[HttpRequest, UUID]]()


class InstancePage:
    """Pages below an instance's own page, for the model admin that they belong to."""

    def __init__(self, model_admin: PlatformModelAdmin[AgentInstance]) -> None:
        self.admin = model_admin

    def wrapped(self, page: Page) -> Any:
        """Find the instance, and check the right to view or to change it, before the page runs."""

        @wraps(page)
        def view(request: HttpRequest, object_id: UUID, **more: Any) -> HttpResponseBase:
            instance = instance_with_account(object_id)
            reads = request.method in {"GET", "HEAD"}
            may = self.admin.has_view_permission if reads else self.admin.has_change_permission
            if not may(request, instance):
                raise PermissionDenied
            if not reads and request.method != "POST":
                return HttpResponseNotAllowed(["GET", "POST"])
            if instance is None:
                raise Http404("There is no such agent.")
            return page(request, instance, **more)

        return self.admin.admin_site.admin_view(view)

    def page(
        self, request: HttpRequest, instance: AgentInstance, name: str, title: str, **context: Any
    ) -> TemplateResponse:
        may_change = self.admin.has_change_permission(request, instance)
        shared: dict[str, Any] = {
            "instance": instance,
            "folder": "/".join(instance.folder),
            "fault": fault_of(instance),
            "may_change": may_change,
        }
        # Who may only look gets no form to send.
        hidden = {} if may_change else {"form": None, "sent": None}
        template = f"admin/instance/{name}.html"
        return self.admin.render_page(request, template, title, **(shared | context | hidden))


def person(request: HttpRequest) -> User:
    return cast(User, request.user)


def ask_about_status(
    model_admin: PlatformModelAdmin[AgentInstance],
    request: HttpRequest,
    instances: list[AgentInstance],
    change: StatusChange,
    **sent: str,
) -> TemplateResponse:
    """Ask before agents are activated, deactivated or archived; they have their accounts."""
    faults = faults_of(instances)

    def said_of(instance: AgentInstance) -> str:
        fault = {"fault": faults.get(instance.pk)}
        badge = render_to_string(FAULT_BADGE, fault) if fault["fault"] else ""
        return format_html("of {}, now {} {}", instance.account.slug, instance.status, badge)

    of = str(instances[0]) if len(instances) == 1 else f"{len(instances)} agents"
    return model_admin.ask_about(
        request,
        f"{change.verb} {of}?",
        [(each, said_of(each)) for each in instances],
        sent=sent,
        verb=change.verb,
        means=change.means,
        is_dangerous=change.dangerous,
    )
