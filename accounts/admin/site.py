"""The admin site: Django's own, inside the platform context."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import cached_property
from django.utils.text import capfirst

from accounts.admin import registry
from accounts.admin.changes.repeats import once
from accounts.auth import attempts
from accounts.members.passwords import AdminLogInForm, AdminOwnPasswordForm
from accounts.members.staff_roles import role_of
from accounts.models import User
from accounts.tenancy.context import platform_context
from salient.actors import Actor, set_transaction_actor
from salient.security.logs import without_secrets

type AdminView = Callable[..., HttpResponseBase]
type Page = dict[str, Any]

# The groups of pages in their order: one for each kind of work.
GROUPS = ["Tenants", "Conversations", "System"]
# The forms that an auditor may send: those about themselves. The access that they open to an
# account's texts is one of these, because the account reads it in its audit log. Searches change
# nothing.
AUDITORS_FORMS = {"logout", "password_change", "support-open", "support-end", "list-search", "find"}


class SalientAdminSite(admin.AdminSite):
    site_header = site_title = "Salient"
    index_title = "Overview"
    index_template = "admin/overview.html"
    # There is no other site: the product's first page is this one.
    site_url = None
    # Django does not wrap the log-in page by admin_view, so it opens no platform context.
    login_form = AdminLogInForm
    password_change_form = AdminOwnPasswordForm

    def get_urls(self) -> list[Any]:
        search = path("list-search/", self.admin_view(self.list_search), name="list-search")
        return [search, *registry.own_pages, *super().get_urls()]

    def each_context(self, request: HttpRequest) -> Page:
        context = super().each_context(request) | {"environment": environment()}
        if context["has_permission"]:
            context["frame"] = registry.frame.context(request)
        return context

    def menu_of(self, model: type[Model]) -> tuple[str, int]:
        """Return the menu group of the model's pages, and their place in it."""
        page: Any = self.get_model_admin(model)
        return page.menu_group, page.menu_place

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Page]:
        """Return the pages by group; for an app's own page, the groups that it is in."""
        groups: dict[str, Page] = {
            name: {"name": name, "app_label": name.lower(), "apps": set(), "models": []}
            for name in GROUPS
        }
        first = reverse("admin:index", current_app=self.name)
        for model, page in self._in_order:
            # As Django's route has it, whose reverse() takes long for all pages of the menu.
            address = f"{first}{model._meta.app_label}/{model._meta.model_name}/"
            if (shown := _in_menu(page, request, address)) is not None:
                group = groups[page.menu_group]
                group["apps"].add(model._meta.app_label)
                group["models"].append(shown)
        filled = [group for group in groups.values() if group["models"]]
        return [group for group in filled if app_label is None or app_label in group["apps"]]

    @cached_property
    def _in_order(self) -> list[tuple[type[Model], Any]]:
        """The models and their pages in the menu's order; all are registered before a request."""
        return sorted(self._registry.items(), key=lambda each: _place(*each))

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: Page | None = None
    ) -> Any:
        """Name the page by the groups that it shows: the pages of an app may be in several."""
        title = ", ".join(group["name"] for group in self.get_app_list(request, app_label))
        return super().app_index(request, app_label, {"title": title} | (extra_context or {}))

    def index(self, request: HttpRequest, extra_context: Page | None = None) -> Any:
        """Show what other apps registered for the overview, and links to all pages."""
        may_see = request.user.has_perm("accounts.view_account")
        shown = registry.overview.context(request) if may_see else {}
        role = role_of(request.user) if isinstance(request.user, User) else None
        context = {**shown, "role": role}
        return super().index(request, context | (extra_context or {}))

    def list_search(self, request: HttpRequest) -> HttpResponse:
        """Lead to a list with what its form searches for, without the secrets in it.

        The form is sent by POST, so that neither a key that was pasted nor what people wrote stands
        in an address or a log.
        """
        wanted = request.POST.get("list", "")
        lists: dict[str, Any] = {
            f"{model._meta.app_label}_{model._meta.model_name}": page
            for model, page in self._registry.items()
        }
        if request.method != "POST" or wanted not in lists:
            return redirect("admin:index")
        query = QueryDict(mutable=True)
        for name, texts in request.POST.lists():
            clean = [without_secrets(text.strip()) for text in texts]
            if name not in {"csrfmiddlewaretoken", "list"} and any(clean):
                query.setlist(name, clean)
        shown = lists[wanted].for_address(query)
        return redirect(f"{reverse(f'admin:{wanted}_changelist')}?{shown.urlencode()}")

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Refuse it: no form here looks rows up while one types, and the lists have their own."""
        raise Http404("Nothing is looked up here.")

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Open the platform context first: also who may enter is read from the database."""
        if view == self.password_change:
            # Hashing takes long, so this view opens the context itself, only to save.
            return super().admin_view(view, cacheable)
        return in_platform_context(
            super().admin_view(refuse_auditors_writes(with_actor(once(view))), cacheable)
        )

    def password_change(self, request: HttpRequest, extra_context: Page | None = None) -> Any:
        """Count each attempt, so that whoever took over a session cannot guess the password."""
        if request.method == "POST" and isinstance(request.user, User):
            attempts.try_login(request, request.user.email)
        return super().password_change(request, extra_context)


def _place(model: type[Model], page: Any) -> tuple[int, str, str]:
    app = str(model._meta.app_config.verbose_name).lower()
    return page.menu_place, app, _menu_name(model)


def _menu_name(model: type[Model]) -> str:
    return capfirst(str(model._meta.verbose_name_plural))


def _in_menu(page: Any, request: HttpRequest, address: str) -> Page | None:
    """Return what the menu shows of a model's pages; None for who has no right to any of them.

    Only the rights that decide something are asked for.
    """
    if not page.has_module_permission(request):
        return None
    may_see, may_add = page.has_view_or_change_permission(request), page.has_add_permission(request)
    if not (may_see or may_add or page.has_delete_permission(request)):
        return None
    return {
        "model": page.model,
        "name": _menu_name(page.model),
        "object_name": page.model._meta.object_name,
        "admin_url": address if may_see else None,
        "add_url": f"{address}add/" if may_add else None,
    }


def environment() -> Page:
    """Name the installation, so that staff do not mistake production for a test installation."""
    if settings.DEMO:
        return {"name": "demo", "state": "info"}
    if settings.DEBUG:
        return {"name": "development", "state": "ok"}
    return {"name": "production", "state": "bad"}


def with_actor(view: AdminView) -> AdminView:
    """Name the person for the audit log before their page writes anything."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and isinstance(request.user, User):
            set_transaction_actor(Actor("staff", str(request.user.pk), request.user.email))
        return view(request, *args, **kwargs)

    return wrapper


def refuse_auditors_writes(view: AdminView) -> AdminView:
    """Refuse what an auditor sends before the view runs, so that no page has to check it."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        page = request.resolver_match.url_name if request.resolver_match else None
        writes = request.method not in {"GET", "HEAD"} and page not in AUDITORS_FORMS
        if writes and getattr(request.user, "is_auditor", False):
            raise PermissionDenied("An auditor changes nothing.")
        return view(request, *args, **kwargs)

    return wrapper


def in_platform_context(view: AdminView) -> AdminView:
    """Run the view and render its template, which reads rows as well, in the platform context."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with platform_context():
            return rendered(view(request, *args, **kwargs))

    return in_frame(wrapper)


def own_page(view: AdminView) -> AdminView:
    """Wrap a page of our own that opens its contexts itself."""
    return in_frame(admin.AdminSite.admin_view(admin.site, refuse_auditors_writes(view)))


def in_frame(view: AdminView) -> AdminView:
    """Answer those who may not see the page, and a page that there is not, in the admin's frame."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except (PermissionDenied, Http404) as error:
            # What the view wrote is rolled back; the page is rendered in a context of its own.
            with platform_context():
                return rendered(refusal(request, error))

    return wrapper


def rendered(response: HttpResponseBase) -> HttpResponseBase:
    render = getattr(response, "render", None)
    return render() if callable(render) else response


def refusal(request: HttpRequest, error: PermissionDenied | Http404) -> HttpResponseBase:
    """Return the page that says why, with a way back; raises the error for who is no staff."""
    if not admin.site.has_permission(request) or not isinstance(request.user, User):
        raise error
    is_missing = isinstance(error, Http404)
    reason = "It needs a right that you do not have."
    if is_missing:
        reason = "The address may be wrong, or what it shows was removed."
    elif error.args:
        reason = str(error)
    context = {
        **admin.site.each_context(request),
        "title": "There is no such page" if is_missing else "You may not do this",
        "status": 404 if is_missing else 403,
        "reason": reason,
        "role": role_of(request.user),
    }
    return TemplateResponse(request, "admin/refused.html", context, status=context["status"])
