"""What each of the staff's pages below an agent instance's own is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse

from accounts.models import User
from agents.models import AgentInstance

type Page = Callable[..., HttpResponseBase]


class InstancePage:
    """Pages below an instance's own page, for the model admin that they belong to."""

    def __init__(self, model_admin: admin.ModelAdmin[AgentInstance]) -> None:
        self.admin = model_admin

    def wrapped(self, page: Page) -> Any:
        """Find the instance and ask for the right first: to look, or to change."""

        @wraps(page)
        def view(request: HttpRequest, object_id: UUID, **more: Any) -> HttpResponseBase:
            instance = self._instance(object_id)
            may = self.admin.has_view_permission
            if request.method not in {"GET", "HEAD"}:
                may = self.admin.has_change_permission
            if not may(request, instance):
                raise PermissionDenied
            if request.method not in {"GET", "HEAD", "POST"}:
                return HttpResponseNotAllowed(["GET", "POST"])
            if instance is None:
                raise Http404("There is no such agent instance.")
            return page(request, instance, **more)

        return self.admin.admin_site.admin_view(view)

    def _instance(self, pk: UUID) -> AgentInstance | None:
        found: AgentInstance | None = (
            AgentInstance.objects.select_related("account").filter(pk=pk).first()
        )
        return found

    def page(
        self, request: HttpRequest, instance: AgentInstance, name: str, title: str, **context: Any
    ) -> TemplateResponse:
        return TemplateResponse(
            request,
            f"admin/instance/{name}.html",
            {
                **self.admin.admin_site.each_context(request),
                "opts": self.admin.opts,
                "instance": instance,
                "folder": f"{instance.account.slug}/{instance.instance_slug}",
                "title": title,
                "may_change": self.admin.has_change_permission(request, instance),
                **context,
            },
        )


def person(request: HttpRequest) -> User:
    return cast(User, request.user)


def home(instance: AgentInstance) -> str:
    return reverse("admin:agents_agentinstance_change", args=[instance.pk])


def link(name: str, *arguments: object) -> str:
    """Return the address of a page of the rooms above this one; nothing where it is not there."""
    try:
        return reverse(f"admin:{name}", args=arguments)
    except NoReverseMatch:
        return ""
