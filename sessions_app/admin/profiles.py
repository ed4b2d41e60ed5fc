"""What conversations revealed about people: to be corrected and erased, never made up."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.platform_admin import PlatformModelAdmin
from sessions_app.admin.links import page_link
from sessions_app.models import Profile


@admin.register(Profile)
class ProfileAdmin(PlatformModelAdmin[Profile]):
    list_display = ["id", "customer_name", "email", "phone", "account", "updated_at"]
    list_display_links = ["id", "customer_name"]
    list_select_related = ["account"]
    list_filter = ["account"]
    search_fields = ["email__exact"]
    exclude = ["session"]
    readonly_fields = ["account", "session_page", "updated_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="session")
    def session_page(self, profile: Profile) -> SafeString:
        return page_link("session", profile.session_id)
