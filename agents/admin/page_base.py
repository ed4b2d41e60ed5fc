"""What the pages below an agent instance's own page are made of, and what other apps add."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.admin.base import PlatformModelAdmin
from accounts.admin.registry import PageRegistry, RowRegistry
from accounts.models import User
from agents.config.versions.faults import fault_of
from agents.instances.services import instance_with_account
from agents.models import AgentInstance, ConfigVersion

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
        shared: dict[str, Any] = {
            "instance": instance,
            "folder": "/".join(instance.folder),
            "fault": fault_of(instance),
            "may_change": self.admin.has_change_permission(request, instance),
        }
        template = f"admin/instance/{name}.html"
        return self.admin.render_page(request, template, title, **(shared | context))


def person(request: HttpRequest) -> User:
    return cast(User, request.user)


def home(instance: AgentInstance) -> str:
    return reverse("admin:agents_agentinstance_change", args=[instance.pk])
