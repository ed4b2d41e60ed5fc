"""The staff's pages for people, tenants and keys."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group

from accounts import (
    account_admin,
    audit_admin,
    key_admin,
    limit_admin,
    member_admin,
    support_admin,
    user_admin,
)
from accounts.platform_admin import PlatformModelAdmin, RecordAdmin, pretty_json
from accounts.user_admin import CHECKBOXES

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
class GroupAdmin(DjangoGroupAdmin):
    filter_horizontal = ()
    formfield_overrides = CHECKBOXES
