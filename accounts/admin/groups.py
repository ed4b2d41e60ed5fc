"""The staff's pages for groups of people."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin.base import PlatformModelAdmin
from accounts.admin.users import GivesRights
from accounts.members import support_access

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(GivesRights, PlatformModelAdmin[Group], DjangoGroupAdmin):
    """Who loses the right to read texts with a group has no access any more."""

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        super().delete_model(request, obj)
        support_access.end_of_who_may_not()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        super().delete_queryset(request, queryset)
        support_access.end_of_who_may_not()
