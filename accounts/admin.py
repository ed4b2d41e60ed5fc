"""The staff's pages for people, tenants and keys."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group
from django.db.models import Field, ManyToManyField
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest

from accounts import (
    account_admin,
    audit_admin,
    key_admin,
    limit_admin,
    member_admin,
    support_admin,
)
from accounts.models import User
from accounts.platform_admin import PlatformModelAdmin, RecordAdmin, pretty_json
from accounts.user_pages import UserPages

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
]


class UserCreationForm(AdminUserCreationForm[User]):
    """A new person: e-mail address and password."""

    class Meta:
        model = User
        fields = ("email",)


# The pair of lists that Django has for these keeps screen readers out.
CHECKBOXES: dict[type[Field[Any, Any]], dict[str, Any]] = {
    ManyToManyField: {"widget": CheckboxSelectMultiple}
}
# What only a superuser gives.
RIGHTS = ["is_staff", "is_auditor", "is_superuser", "groups", "user_permissions"]


@admin.register(User)
class UserAdmin(UserPages, DjangoUserAdmin[User]):
    add_form = UserCreationForm
    filter_horizontal = ()
    formfield_overrides = CHECKBOXES
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        ("Name", {"fields": ["first_name", "last_name"]}),
        (
            "May do",
            {
                "fields": [
                    *("is_active", "is_staff", "is_auditor", "is_superuser"),
                    *("groups", "user_permissions"),
                ]
            },
        ),
        ("When", {"fields": ["last_login", "date_joined"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Who is not a superuser gives nobody rights, not even to themselves."""
        may_grant = cast(User, request.user).is_superuser
        return ["last_login", "date_joined", "places", *([] if may_grant else RIGHTS)]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_touch(request, obj) and super().has_delete_permission(request, obj)

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        """Keep superusers, and their passwords, out of others' reach."""
        return obj is None or not obj.is_superuser or cast(User, request.user).is_superuser

    add_fieldsets = [
        (
            None,
            {"classes": ["wide"], "fields": ["email", "usable_password", "password1", "password2"]},
        )
    ]


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin):
    filter_horizontal = ()
    formfield_overrides = CHECKBOXES
