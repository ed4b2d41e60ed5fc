"""The staff's pages for tenants: how they fare, and how they are suspended."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import Account
from accounts.platform_admin import PlatformModelAdmin


@admin.register(Account)
class AccountAdmin(PlatformModelAdmin[Account]):
    """Accounts are suspended or marked as deleted; erasing one is not a click."""

    list_display = ["slug", "name", "status", "subscription_tier", "created_at"]
    list_filter = ["status", "subscription_tier"]
    search_fields = ["slug", "name"]
    fields = ["slug", "name", "status", "subscription_tier", "created_at", "updated_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> list[str]:
        # URLs, cookies and configuration folders have the slug in them.
        return ["created_at", "updated_at", *(["slug"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        return False
