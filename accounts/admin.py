"""The staff's pages for people, tenants and keys."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ActionLocation, ShowFacets
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts import account_admin, audit_admin, keys, limit_admin, support_admin
from accounts.models import ApiKey, Invitation, Membership, Scope, User
from accounts.platform_admin import HistoryAdmin, PlatformModelAdmin, RecordAdmin, pretty_json
from accounts.services import end_keys

# The other rooms make their pages of these.
__all__ = [
    "PlatformModelAdmin",
    "RecordAdmin",
    "account_admin",
    "audit_admin",
    "limit_admin",
    "pretty_json",
    "support_admin",
]


class UserCreationForm(AdminUserCreationForm[User]):
    """A new person: e-mail address and password."""

    class Meta:
        model = User
        fields = ("email",)


# What only a superuser gives.
RIGHTS = ["is_staff", "is_auditor", "is_superuser", "groups", "user_permissions"]


@admin.register(User)
class UserAdmin(HistoryAdmin[User], DjangoUserAdmin[User]):
    add_form = UserCreationForm
    ordering = ["email"]
    list_display = ["email", "first_name", "last_name", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff", "is_auditor", "is_superuser"]
    search_fields = ["email", "first_name", "last_name"]
    show_facets = ShowFacets.NEVER
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
        return ["last_login", "date_joined", *([] if may_grant else RIGHTS)]

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


@admin.register(Membership)
class MembershipAdmin(RecordAdmin[Membership]):
    """Roles are given by the account's owners, or by the command add_member."""

    list_display = ["user", "account", "role", "created_at"]
    list_select_related = ["user", "account"]
    list_filter = ["role", "account"]
    search_fields = ["user__email"]
    fields = ["user", "account", "role", "created_at", "updated_at"]


@admin.register(Invitation)
class InvitationAdmin(RecordAdmin[Invitation]):
    list_display = ["email", "account", "role", "expires_at", "accepted_at", "revoked_at"]
    list_select_related = ["account"]
    list_filter = ["role", "account"]
    search_fields = ["email"]
    fields = [
        ("email", "role"),
        ("account", "invited_by"),
        ("created_at", "expires_at"),
        ("accepted_at", "revoked_at"),
    ]


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """A key with its scopes as check boxes."""

    scopes = forms.MultipleChoiceField(
        choices=Scope,
        initial=Scope.values,
        widget=forms.CheckboxSelectMultiple,
        help_text="What the key may do. It can not be changed later.",
    )

    class Meta:
        model = ApiKey
        fields = ["account", "name", "scopes", "expires_at"]


@admin.register(ApiKey)
class ApiKeyAdmin(PlatformModelAdmin[ApiKey]):
    """A key is shown once, on the page that answers the form that made it."""

    form = ApiKeyForm
    list_display = ["name", "shown_id", "account", "state", "last_used_at", "expires_at"]
    list_select_related = ["account"]
    list_filter = ["account"]
    search_fields = ["name", "key_id"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[Any]:
        asked = ["account", "name", "scopes", "expires_at"]
        known = ["shown_id", "state", "created_at", "last_used_at", "revoked_at"]
        return asked + known if obj else asked

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        if obj is None:
            return []
        known = ["shown_id", "state", "created_at", "last_used_at", "revoked_at"]
        # A revoked key stays as it was.
        return ["account", "scopes", *known, *(["name", "expires_at"] if obj.revoked_at else [])]

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: FBT001
        if not change:
            text = keys.new_key()
            obj.key_id, obj.secret_hash = text.key_id, text.secret_hash
            request.new_key_text = text.text  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key in the answer itself: neither a cookie nor a session ever holds it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "API key made",
            "key": obj,
            "text": request.new_key_text,  # type: ignore[attr-defined]
            "root": request.build_absolute_uri("/").rstrip("/"),
        }
        return TemplateResponse(
            request, "admin/key_made.html", context, headers={"Cache-Control": "no-store, private"}
        )

    @admin.display(description="key")
    def shown_id(self, key: ApiKey) -> str:
        return f"sal_sk_{key.key_id}_…"

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        if key.refusal() is None:
            return "active"
        return "revoked" if key.revoked_at else "expired"

    @admin.action(
        description="Revoke key",
        description_plural="Revoke selected keys",
        permissions=["change"],
        location=[ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM],
    )
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> None:
        ended = end_keys(chosen)
        text = f"{len(ended)} revoked, successors included ({', '.join(ended) or 'none'}); "
        text += "every server refuses them within 5 seconds."
        self.message_user(request, text, messages.SUCCESS if ended else messages.WARNING)
