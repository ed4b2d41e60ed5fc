"""The admin site: Django's own, inside the platform's door."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.admin.auditors import reading_auditors
from accounts.auth import attempts
from accounts.members.passwords import AdminLogInForm, AdminOwnPasswordForm
from accounts.models import User
from accounts.tenancy.context import platform_context
from salient.actors import Actor, set_transaction_actor

type AdminView = Callable[..., HttpResponseBase]
type Page = dict[str, Any]

# The pages by the job that they are for, in this order; what is named nowhere is the system's.
GROUPS = {
    "Tenants": (
        *("accounts.Account", "agents.AgentInstance", "agents.ProviderConnection"),
        *("accounts.ApiKey", "accounts.Membership", "accounts.Invitation"),
        *("accounts.Budget", "accounts.AccountLimits"),
    ),
    "Conversations": (
        *("sessions_app.Session", "sessions_app.Message", "sessions_app.LLMRequest"),
        *("sessions_app.MessageFeedback", "sessions_app.SavedChat", "sessions_app.Profile"),
    ),
    "System": ("accounts.AuditEntry", "accounts.SupportAccess", "accounts.User", "auth.Group"),
}
OTHERS = "System"
_GROUP = {name: group for group, names in GROUPS.items() for name in names}


class SalientAdminSite(admin.AdminSite):
    site_header = site_title = "Salient"
    index_title = "Overview"
    index_template = "admin/overview.html"
    # The log-in page stays outside of the door as well: Django does not wrap it by admin_view.
    login_form = AdminLogInForm
    password_change_form = AdminOwnPasswordForm
    # sessions_app registers what is shown (sessions_app/admin/overview/page.py).
    overview: ClassVar[Callable[[HttpRequest], Page]] = staticmethod(lambda _request: {})

    # Pages of the rooms above that belong to no model.
    own_pages: ClassVar[list[Any]] = []

    def get_urls(self) -> list[Any]:
        return [*self.own_pages, *super().get_urls()]

    def each_context(self, request: HttpRequest) -> Page:
        return super().each_context(request) | {"environment": environment()}

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Page]:
        """Give the pages grouped by job; an app's own page shows the groups that it is in."""
        found = {
            f"{app['app_label']}.{model['object_name']}": model
            for app in super().get_app_list(request)
            for model in app["models"]
        }
        groups = grouped(found)
        if app_label is None:
            return groups
        return [group for group in groups if app_label in group["apps"]]

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: Page | None = None
    ) -> Any:
        """Name the page by the groups that it shows: an app may be of several."""
        title = ", ".join(group["name"] for group in self.get_app_list(request, app_label))
        return super().app_index(request, app_label, {"title": title} | (extra_context or {}))

    def index(self, request: HttpRequest, extra_context: Page | None = None) -> Any:
        may_see = request.user.has_perm("accounts.view_account")
        shown = type(self).overview(request) if may_see else {}
        return super().index(request, shown | (extra_context or {}))

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """No form here looks rows up while one types, so nothing is searched beside the lists."""
        raise Http404("Nothing is looked up here.")

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Put the door around all of it: also who may enter is read from the database."""
        if view == self.password_change:
            # It hashes, which takes long, and opens the door only to save.
            return super().admin_view(view, cacheable)
        return in_platform_context(super().admin_view(reading_auditors(named(view)), cacheable))

    def password_change(self, request: HttpRequest, extra_context: Page | None = None) -> Any:
        """Count an attempt: whoever took over a session learns the password nowhere."""
        if request.method == "POST" and isinstance(request.user, User):
            attempts.try_login(request, request.user.email)
        return super().password_change(request, extra_context)


def environment() -> Page:
    """Name what staff work on, so that nobody takes production for a playground."""
    if settings.DEMO:
        return {"name": "demo", "state": "info"}
    if settings.DEBUG:
        return {"name": "development", "state": "ok"}
    return {"name": "production", "state": "bad"}


def group_of(label: str) -> str:
    """Name the group of a model's pages, by the model's label."""
    return _GROUP.get(label, OTHERS)


def grouped(found: dict[str, Page]) -> list[Page]:
    order = {name: place for place, name in enumerate(_GROUP)}
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in sorted(found, key=lambda name: order.get(name, len(order))):
        groups[group_of(name)].append(name)
    return [
        {
            "name": group,
            "app_label": group.lower(),
            "apps": {name.partition(".")[0] for name in names},
            "app_url": "",
            "has_module_perms": True,
            "models": [found[name] for name in names],
        }
        for group, names in groups.items()
        if names
    ]


def named(view: AdminView) -> AdminView:
    """Tell the audit log whose page it is, before the page writes anything."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and isinstance(request.user, User):
            set_transaction_actor(Actor("staff", str(request.user.pk), request.user.email))
        return view(request, *args, **kwargs)

    return wrapper


def in_platform_context(view: AdminView) -> AdminView:
    """Open the door for the view and for its template, which reads rows as well."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with platform_context():
            response = view(request, *args, **kwargs)
            render = getattr(response, "render", None)
            return render() if callable(render) else response

    return wrapper
