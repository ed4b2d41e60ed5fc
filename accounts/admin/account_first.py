"""Forms of new rows whose choices depend on the account, which is asked for first."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from accounts.admin.base import Extra, PlatformModelAdmin, chosen_account
from accounts.tenancy.accounts import active_accounts


class AccountFirstAdmin[M: Model](PlatformModelAdmin[M]):
    """Asks for the account, unless the address names it, and then shows the form."""

    # The title of the page that asks.
    whose = ""

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        account = chosen_account(request)
        if account is None:
            return self.render_page(
                request, "admin/whose.html", self.whose, accounts=active_accounts()
            )
        title = f"New {self.opts.verbose_name} for {account.name}"
        return super().add_view(request, form_url, {"title": title} | (extra_context or {}))
