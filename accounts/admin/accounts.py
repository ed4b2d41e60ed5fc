"""Accounts in the admin: the list, an account's page, and changes of status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.admin import registry
from accounts.admin.base import Extra
from accounts.admin.changes.renames import RenamableAdmin
from accounts.admin.changes.suspensions import ReasonForm, save_typed
from accounts.admin.formatting import badge, link, list_address, quiet, row_address
from accounts.admin.lists.key_states import key_badge
from accounts.admin.lists.private import SearchedList
from accounts.audit import timeline
from accounts.audit.log import newest_entries, shown
from accounts.keys.services import keys_of
from accounts.limits.overview import account_bars, budget_bars, limits_of
from accounts.members.invitations import open_invitations
from accounts.members.members import people_of
from accounts.models import Account, AccountStatus, FormerSlug
from accounts.tenancy import renames
from accounts.tenancy.accounts import (
    CHANGES,
    NAMES,
    StatusChange,
    changes_for,
    find_accounts,
    set_status,
    status_badge,
)
from accounts.tenancy.suspensions import suspension_of
from salient.ids import parse_uuid

# So many accounts change their status in one step.
MOST_AT_ONCE = 200
MOST_ROWS, MOST_ENTRIES = 20, 8


class StatusFilter(admin.SimpleListFilter):
    """Names each status as its badge does."""

    title, parameter_name = "state", "status__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, NAMES.get(status, status.value)) for status in AccountStatus]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Account]) -> QuerySet[Account]:
        return queryset.filter(status=self.value()) if self.value() else queryset


class AccountList(SearchedList):
    """Adds each account's figures, in as many queries for fifty accounts as for one."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        accounts = list(self.result_list)
        ids = [account.pk for account in accounts]
        bars, figures = account_bars(ids), registry.account_rows.figures(ids)
        for account in accounts:
            account.bar, account.figures = bars.get(account.pk), figures.get(account.pk, {})
        self.result_list = accounts


@admin.register(Account)
class AccountAdmin(RenamableAdmin[Account]):
    """Accounts are suspended or archived; no button erases one."""

    menu_group, menu_place = "Tenants", 1
    nothing_yet = "No accounts yet: “Onboard a customer” makes the first one."
    renamed = "account"
    forbidden = frozenset({"delete"})
    changelist_class = AccountList
    list_display = [
        "title",
        "state",
        "instances",
        "requests",
        "spend",
        "budget",
        "trend",
        "last_activity",
    ]
    list_numbers = ("instances", "requests", "spend")
    list_filter = [StatusFilter, "subscription_tier"]
    search_fields = ["slug", "name"]
    search_help_text = "A part of a name or of a slug."
    fields = ["slug", "name", "subscription_tier", "created_at", "updated_at"]
    actions = ["suspend", "reactivate", "archive"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.status_view)
        return [path("status/<str:change>/", view, name="account-status"), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> list[str]:
        # The slug has a page of its own: URLs, cookies and configuration folders contain it.
        return ["created_at", "updated_at", *(["slug"] if obj else [])]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        account: Account | None = kwargs.get("obj")
        if account is not None:
            context |= {"title": account.name, "subtitle": None, "account": account}
            if account.status == AccountStatus.SUSPENDED:
                context["suspension"] = suspension_of(account)
            context |= page_of(account) | registry.account_page.context(request, account)
        return super().render_change_form(request, context, *args, **kwargs)

    def slug_of(self, row: Account) -> str:
        return row.slug

    def rename(self, row: Account, slug: str) -> None:
        renames.rename_account(row.pk, slug)

    def former_slugs(self, row: Account) -> list[FormerSlug]:
        return renames.former_slugs_of(row.pk)

    def release(self, row: Account, slug: str) -> bool:
        return renames.release_slug(row.pk, slug)

    def changelist_view(self, request: HttpRequest, extra_context: Extra = None) -> Any:
        links = {"links": registry.accounts_list.context(request)["links"]}
        return super().changelist_view(request, links | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: Any) -> None:
        if change:
            save_typed(obj, form)
        else:
            super().save_model(request, obj, form, change)

    def history_sources(self, request: HttpRequest, row: Account) -> Iterable[timeline.Source]:
        """Return the account's whole log, for who may read it; else what is about the account."""
        if request.user.has_perm("accounts.view_auditentry"):
            return timeline.account_sources(row.pk)
        return super().history_sources(request, row)

    def status_view(self, request: HttpRequest, change: str) -> HttpResponse:
        """Show what the change means, and make it by POST."""
        wanted = CHANGES.get(change)
        if wanted is None:
            raise Http404("There is no such change.")
        if not self.has_change_permission(request):
            raise PermissionDenied
        source = request.POST if request.method == "POST" else request.GET
        keys = [parse_uuid(text) for text in source.getlist("id")[:MOST_AT_ONCE]]
        if None in keys:
            raise Http404("There is no such account.")
        chosen = find_accounts([key for key in keys if key is not None])
        is_sent = request.method == "POST" and bool(chosen)
        form = ReasonForm(request.POST if is_sent else None) if wanted.needs_reason else None
        if is_sent and (form is None or form.is_valid()):
            reason = form.cleaned_data["reason"] if form else ""
            return self._change(request, chosen, wanted, reason)
        title = f"{wanted.verb} {_names(chosen)}"
        return self.ask_about(
            request,
            title,
            [(each, f"{each.name}, now {status_badge(each)['name']}") for each in chosen],
            key="id",
            verb=wanted.verb,
            means=wanted.means,
            is_dangerous=wanted.dangerous,
            form=form if chosen else None,
        )

    def _change(
        self, request: HttpRequest, chosen: list[Account], wanted: StatusChange, reason: str
    ) -> HttpResponse:
        if set_status([account.pk for account in chosen], wanted, reason):
            self.message_user(request, f"{_names(chosen)}: {wanted.done}.", messages.SUCCESS)
        else:
            text = f"{_names(chosen)}: nothing to change."
            self.message_user(request, text, messages.WARNING)
        if len(chosen) == 1:
            return redirect(row_address(chosen[0]))
        return redirect("admin:accounts_account_changelist")

    def _confirm(self, chosen: QuerySet[Account], change: str) -> HttpResponse:
        ids = [("id", str(key)) for key in chosen.values_list("pk", flat=True)[:MOST_AT_ONCE]]
        return redirect(f"{reverse('admin:account-status', args=[change])}?{urlencode(ids)}")

    @admin.action(description="Suspend selected accounts…", permissions=["change"])
    def suspend(self, _request: HttpRequest, chosen: QuerySet[Account]) -> HttpResponse:
        return self._confirm(chosen, "suspend")

    @admin.action(description="Resume selected accounts…", permissions=["change"])
    def reactivate(self, _request: HttpRequest, chosen: QuerySet[Account]) -> HttpResponse:
        return self._confirm(chosen, "reactivate")

    @admin.action(description="Archive selected accounts…", permissions=["change"])
    def archive(self, _request: HttpRequest, chosen: QuerySet[Account]) -> HttpResponse:
        return self._confirm(chosen, "archive")

    @admin.display(description="account", ordering="slug")
    def title(self, account: Account) -> SafeString:
        return format_html("{}<br>{}", account.name, quiet(account.slug))

    @admin.display(description="state", ordering="status")
    def state(self, account: Account) -> SafeString:
        shown = status_badge(account)
        reason = quiet(account.suspended_reason)
        return format_html("{} {}", badge(shown["name"], shown["state"]), reason)

    @admin.display(description="agents")
    def instances(self, account: Any) -> SafeString:
        figures = account.figures
        return link(figures.get("agents_page", ""), figures.get("instances", ""))

    @admin.display(description="requests, month")
    def requests(self, account: Any) -> str:
        return str(account.figures.get("requests", "0"))

    @admin.display(description="spend, month")
    def spend(self, account: Any) -> str:
        return str(account.figures.get("spend", "0"))

    @admin.display(description="budget now")
    def budget(self, account: Any) -> str:
        return render_to_string("admin/budget_bar.html", {"bar": account.bar})

    @admin.display(description="last 30 days")
    def trend(self, account: Any) -> str:
        return render_to_string("admin/spark.html", account.figures)

    @admin.display(description="last activity")
    def last_activity(self, account: Any) -> Any:
        return account.figures.get("last_used_at")


def page_of(account: Account) -> dict[str, Any]:
    """Return what the page shows of the account itself: keys, people, limits, budgets, changes."""
    own_limits, limits = limits_of(account.pk)
    return {
        "badge": status_badge(account),
        "status_changes": changes_for(account),
        "keys": [(key, key_badge(key)) for key in keys_of(account.pk)[:MOST_ROWS]],
        "keys_page": list_address("accounts_apikey", account__id__exact=account.pk),
        "members": list(people_of(account.pk)[:MOST_ROWS]),
        "invited": open_invitations(account.pk)[:MOST_ROWS],
        "members_page": list_address("accounts_membership", account__id__exact=account.pk),
        "limits": limits,
        "has_limits": own_limits is not None,
        "budgets": budget_bars(account.pk),
        "unknown_price": settings.UNKNOWN_PRICE_PER_MTOK,
        "audited": [shown(entry) for entry in newest_entries(account.pk, MOST_ENTRIES)],
        "audit_page": list_address("accounts_auditentry", account__id__exact=account.pk),
    }


def _names(accounts: list[Account]) -> str:
    few = 3
    names = ", ".join(account.slug for account in accounts[:few])
    more = len(accounts) - few
    return f"{names} and {more} more" if more > 0 else names or "no account"
