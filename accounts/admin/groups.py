"""The staff's pages for people, tenants and keys."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import (
    account_admin,
    audit_admin,
    key_admin,
    limit_admin,
    member_admin,
    support,
    support_admin,
    user_admin,
)
from accounts.platform_admin import PlatformModelAdmin, RecordAdmin, pretty_json
from accounts.user_admin import GivesRights

# The other rooms make their pages of these.
__all__ = [
    "PlatformModelAdmin",
    "RecordAdmin",
    "account_admin",
    "audit_admin",
    "key_admin",
    "limit_admin",
    "member_admin",
    "pretty_json",
    "support_admin",
    "user_admin",
]


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(GivesRights, PlatformModelAdmin[Group], DjangoGroupAdmin):
    """Who loses the right to read texts with a group has no access any more."""

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        super().delete_model(request, obj)
        support.end_of_who_may_not()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        super().delete_queryset(request, queryset)
        support.end_of_who_may_not()
