"""The staff's pages for tenants: how they fare, and how they are suspended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.admin.account.page import filtered, page_of, rows_of
from accounts.admin.account.status import CHANGES, StatusChange, badge, set_status
from accounts.admin.base import PlatformModelAdmin
from accounts.models import Account

type Facts = Mapping[str, Any]
MOST_AT_ONCE = 200


class AccountList(ChangeList):
    """Gives each account of the page its figures, in a fixed number of queries."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        accounts = list(self.result_list)
        ids = [account.pk for account in accounts]
        rows, figures = rows_of(ids), AccountAdmin.row_figures(ids)
        for account in accounts:
            account.row, account.figures = rows[account.pk], figures.get(account.pk, {})
        self.result_list = accounts


@admin.register(Account)
class AccountAdmin(PlatformModelAdmin[Account]):
    """Accounts are suspended or archived; erasing one is not a click."""

    list_display = [
        *("title", "state", "instances", "requests", "spend", "budget", "trend", "last_activity")
    ]
    list_filter = ["status", "subscription_tier"]
    search_fields = ["slug", "name"]
    search_help_text = "A part of a name or of a slug."
    fields = ["slug", "name", "subscription_tier", "created_at", "updated_at"]
    actions = ["suspend", "reactivate", "archive"]
    # sessions_app registers what was used (sessions_app/admin/overview/page.py).
    row_figures: ClassVar[Callable[[Collection[UUID]], Mapping[UUID, Facts]]] = staticmethod(
        lambda _ids: {}
    )
    page_figures: ClassVar[Callable[[HttpRequest, Account], Facts]] = staticmethod(
        lambda _request, _account: {}
    )

    def get_changelist(self, request: HttpRequest, **_more: Any) -> type[ChangeList]:
        return AccountList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.status_view)
        return [path("status/<str:change>/", view, name="account-status"), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> list[str]:
        # URLs, cookies and configuration folders have the slug in them.
        return ["created_at", "updated_at", *(["slug"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        return False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        account: Account | None = kwargs.get("obj")
        if account is not None:
            context |= {"title": account.name, "subtitle": None, "account": account}
            context |= page_of(account)
            figures = AccountAdmin.page_figures(request, account)
            used = figures.get("agent_figures", {})
            context |= figures
            context["agents"] = [(agent, used.get(agent.pk, {})) for agent in context["agents"]]
        return super().render_change_form(request, context, *args, **kwargs)

    def status_view(self, request: HttpRequest, change: str) -> HttpResponse:
        """Ask before it is done, and say what it means; nothing is changed by GET."""
        wanted = CHANGES.get(change)
        if wanted is None:
            raise Http404("There is no such change.")
        if not self.has_change_permission(request):
            raise PermissionDenied
        source = request.POST if request.method == "POST" else request.GET
        chosen = self._chosen(source.getlist("id"))
        if request.method == "POST" and chosen:
            return self._change(request, chosen, wanted)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{wanted.verb} {_names(chosen)}",
            "opts": self.opts,
            "accounts": chosen,
            "change": wanted,
        }
        return TemplateResponse(request, "admin/account_status.html", context)

    def _chosen(self, ids: list[str]) -> list[Account]:
        try:
            keys = [UUID(text) for text in ids[:MOST_AT_ONCE]]
        except ValueError:
            raise Http404("There is no such account.") from None
        return list(Account.objects.filter(pk__in=keys))

    def _change(
        self, request: HttpRequest, chosen: list[Account], wanted: StatusChange
    ) -> HttpResponse:
        changed = set_status([account.pk for account in chosen], wanted)
        text = f"{_names(chosen)}: {wanted.done}."
        if not changed:
            text = f"{_names(chosen)}: nothing to change."
        self.message_user(request, text, messages.SUCCESS if changed else messages.WARNING)
        if len(chosen) == 1:
            return redirect("admin:accounts_account_change", chosen[0].pk)
        return redirect("admin:accounts_account_changelist")

    def _ask(self, chosen: QuerySet[Account], change: str) -> HttpResponse:
        ids = [("id", str(key)) for key in chosen.values_list("pk", flat=True)[:MOST_AT_ONCE]]
        return redirect(f"{reverse('admin:account-status', args=[change])}?{urlencode(ids)}")

    @admin.action(description="Suspend selected accounts…", permissions=["change"])
    def suspend(self, _request: HttpRequest, chosen: QuerySet[Account]) -> HttpResponse:
        return self._ask(chosen, "suspend")

    @admin.action(description="Reactivate selected accounts…", permissions=["change"])
    def reactivate(self, _request: HttpRequest, chosen: QuerySet[Account]) -> HttpResponse:
        return self._ask(chosen, "reactivate")

    @admin.action(description="Archive selected accounts…", permissions=["change"])
    def archive(self, _request: HttpRequest, chosen: QuerySet[Account]) -> HttpResponse:
        return self._ask(chosen, "archive")

    @admin.display(description="account", ordering="slug")
    def title(self, account: Account) -> SafeString:
        return format_html('{} <span class="quiet">{}</span>', account.name, account.slug)

    @admin.display(description="state", ordering="status")
    def state(self, account: Account) -> SafeString:
        return format_html('<span class="badge {state}">{name}</span>', **badge(account))

    @admin.display(description="agents")
    def instances(self, account: Any) -> SafeString:
        address = filtered("agents_agentinstance", account)
        return format_html('<a href="{}">{}</a>', address, account.row.instances)

    @admin.display(description="requests, month")
    def requests(self, account: Any) -> SafeString:
        return figure(account.figures.get("requests"))

    @admin.display(description="spend, month")
    def spend(self, account: Any) -> SafeString:
        return figure(account.figures.get("spend"))

    @admin.display(description="budget now")
    def budget(self, account: Any) -> str:
        return render_to_string("admin/budget_bar.html", {"bar": account.row.bar})

    @admin.display(description="last 30 days")
    def trend(self, account: Any) -> str:
        return render_to_string("admin/spark.html", account.figures)

    @admin.display(description="last activity")
    def last_activity(self, account: Any) -> Any:
        return account.row.last_used_at


def figure(value: str | None) -> SafeString:
    return format_html('<span class="num">{}</span>', value or "0")


def _names(accounts: list[Account]) -> str:
    few = 3
    names = ", ".join(account.slug for account in accounts[:few])
    more = len(accounts) - few
    return f"{names} and {more} more" if more > 0 else names or "no account"
