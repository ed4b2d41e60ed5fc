"""Profiles in the admin: what conversations revealed about people, to be corrected and erased."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from accounts.admin.base import Extra
from accounts.admin.formatting import row_link
from accounts.admin.lists.private import SearchedList
from sessions_app.admin.conversations.texts import (
    HeldRowsAdmin,
    hidden,
    mark_hidden,
    note_list,
    open_accounts,
    require_texts,
)
from sessions_app.models import Profile, Session

PERSONAL_FIELDS = [
    "customer_name",
    "phone",
    "email",
    "address_street",
    "address_city",
    "address_state",
    "address_zip",
    "products_of_interest",
    "services_of_interest",
    "preferences",
]


class ProfileChangeList(SearchedList):
    """Marks the profiles that this person may not read, and notes whose are shown."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        mark_hidden(request, self.opts, self.result_list)


@admin.register(Profile)
class ProfileAdmin(HeldRowsAdmin[Profile]):
    menu_group, menu_place = "Conversations", 6
    nothing_yet = "No profiles: they are from before accounts, and none are made today."
    forbidden = frozenset({"add"})
    changelist_class = ProfileChangeList
    list_display = ["id", "person", "known", "account", "updated_at"]
    list_display_links = ["id", "person"]
    list_select_related = ["account"]
    list_filter = ["account"]
    search_fields = ["email__exact"]
    search_help_text = "An e-mail address, in the accounts whose texts you may read now."
    exclude = ["session"]
    readonly_fields = ["account", "session_page", "updated_at"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Profile], search_term: str
    ) -> tuple[QuerySet[Profile], bool]:
        """Search in readable accounts only, and note it, because no result says something too."""
        if search_term:
            readable = open_accounts(request)
            queryset = queryset.filter(account_id__in=readable)
            note_list(request, self.opts, readable)
        return super().get_search_results(request, queryset, search_term)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is not None and self.has_view_permission(request, row):
            refused = require_texts(request, row.account_id, "profiles", row.pk, "a profile")
            if refused is not None:
                return refused
        return super().change_view(request, object_id, form_url, extra_context)

    @admin.display(description="person")
    def person(self, profile: Any) -> str | SafeString:
        if profile.is_hidden:
            return hidden()
        return profile.customer_name or profile.email or profile.phone or ""

    @admin.display(description="known of them")
    def known(self, profile: Profile) -> str:
        filled = sum(bool(getattr(profile, name)) for name in PERSONAL_FIELDS)
        return f"{filled} of {len(PERSONAL_FIELDS)}"

    @admin.display(description="session")
    def session_page(self, profile: Profile) -> SafeString:
        return row_link(Session, profile.session_id)
