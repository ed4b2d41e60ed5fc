"""The admin site: Django's own, inside the platform's door."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.auditors import reading_auditors
from accounts.tenancy import platform

type AdminView = Callable[..., HttpResponseBase]


class SalientAdminSite(admin.AdminSite):
    site_header = site_title = "Salient"
    index_title = "Overview"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002
        return super().admin_view(behind_platform_door(reading_auditors(view)), cacheable)


def behind_platform_door(view: AdminView) -> AdminView:
    """Open the door for the view and for its template, which reads rows as well."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with platform():
            response = view(request, *args, **kwargs)
            render = getattr(response, "render", None)
            return render() if callable(render) else response

    return wrapper
