"""The admin site: Django's own, inside the platform's door."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator

from accounts.auditors import reading_auditors
from accounts.models import User
from accounts.tenancy import platform
from salient.actors import Actor, tell_open_door

type AdminView = Callable[..., HttpResponseBase]


class SalientAdminSite(admin.AdminSite):
    site_header = site_title = "Salient"
    index_title = "Overview"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Put the door around all of it: also who may enter is read from the database."""
        return behind_platform_door(super().admin_view(reading_auditors(named(view)), cacheable))

    # The one page that Django does not wrap by admin_view.
    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return behind_platform_door(super().login)(request, extra_context)


def named(view: AdminView) -> AdminView:
    """Tell the audit log whose page it is, before the page writes anything."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and isinstance(request.user, User):
            tell_open_door(Actor("staff", str(request.user.pk), request.user.email))
        return view(request, *args, **kwargs)

    return wrapper


def behind_platform_door(view: AdminView) -> AdminView:
    """Open the door for the view and for its template, which reads rows as well."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with platform():
            response = view(request, *args, **kwargs)
            render = getattr(response, "render", None)
            return render() if callable(render) else response

    return wrapper
