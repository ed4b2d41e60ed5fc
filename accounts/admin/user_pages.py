"""How the staff's pages show people: what they are to the platform, and where they are members."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin.base import PlatformModelAdmin
from accounts.models import Membership, User

# More of a person's accounts than these are told as a number in the list.
NAMED = 3
MEMBER_OF = "member_of"
KINDS = {
    "superuser": Q(is_superuser=True),
    "staff": Q(is_staff=True, is_superuser=False, is_auditor=False),
    "auditor": Q(is_auditor=True),
    "member": Q(is_staff=False),
    "inactive": Q(is_active=False),
}


class KindFilter(admin.SimpleListFilter):
    title, parameter_name = "who", "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        told = {"staff": "other staff", "member": "not of the staff", "inactive": "inactive"}
        return [(name, told.get(name, f"{name}s")) for name in KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        chosen = KINDS.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen)


class UserPages(PlatformModelAdmin[User]):
    """The list of people, and each one's places in accounts."""

    ordering = ["email"]
    list_display = ["email", "name", "rights", MEMBER_OF, "last_login"]
    list_filter = [KindFilter]
    search_fields = ["email", "first_name", "last_name"]
    search_help_text = "An e-mail address, a name, or the slug of an account."

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        places = Membership.objects.select_related("account").order_by("account__slug")
        return super().get_queryset(request).prefetch_related(Prefetch("memberships", places))

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Search by account, too, for who may see whose account a person is in."""
        more = ["memberships__account__slug"] if _may_see(request) else []
        return [*self.search_fields, *more]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [name for name in self.list_display if name != MEMBER_OF or _may_see(request)]

    def places_fieldsets(self, request: HttpRequest) -> list[Any]:
        """The part of a person's page that names their accounts, for who may see them."""
        return [("Member of", {"fields": ["places"]})] if _may_see(request) else []

    @admin.display(description="name", ordering="first_name")
    def name(self, user: User) -> str:
        return user.get_full_name()

    @admin.display(description="is")
    def rights(self, user: User) -> SafeString:
        kinds = [
            ("bad", "inactive", not user.is_active),
            ("warn", "superuser", user.is_superuser),
            ("info", "auditor", user.is_auditor),
            ("ok", "staff", user.is_staff and not (user.is_superuser or user.is_auditor)),
        ]
        shown = [(state, word) for state, word, is_so in kinds if is_so]
        return format_html_join(" ", '<span class="badge {}">{}</span>', shown)

    @admin.display(description="member of")
    def member_of(self, user: User) -> SafeString:
        places = list(user.memberships.all())
        links = format_html_join(", ", '<a href="{}">{}</a>', map(_link, places[:NAMED]))
        more = len(places) - NAMED
        return format_html("{} and {} more", links, more) if more > 0 else links

    @admin.display(description="accounts")
    def places(self, user: User) -> SafeString | str:
        rows = [(*_link(place), place.get_role_display()) for place in user.memberships.all()]
        item = '<li><a href="{}">{}</a> <span class="quiet">{}</span></li>'
        found = format_html_join("", item, rows)
        return format_html('<ul class="plain">{}</ul>', found) if rows else "no account"


def _link(place: Membership) -> tuple[str, str]:
    return reverse("admin:accounts_membership_change", args=[place.pk]), place.account.slug


def _may_see(request: HttpRequest) -> bool:
    return request.user.has_perm("accounts.view_membership")
