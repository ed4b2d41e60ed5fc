"""Refused calls on the account's page, to who may see the account's requests."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from accounts.admin import registry
from accounts.models import Account
from sessions_app.admin.overview.page import chosen, may_see
from sessions_app.usage.queries import Days
from sessions_app.usage.refused import refused_of_account


def of_account(request: HttpRequest, account: Account) -> dict[str, Any]:
    if not may_see(request):
        return {}
    days = Days.until_today(chosen(request))
    return {"refusals": refused_of_account(account.pk, days), "refusal_days": len(days)}


registry.account_page.add(of_account, panel="admin/overview/refusals.html")
