"""The staff's pages for members and invitations: through the services, so the last owner stays."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import invitations
from accounts.invitations import Invited
from accounts.member_views import site_address
from accounts.members import discharge, set_role, take_turns
from accounts.models import Account, Invitation, MemberRole, Membership, User
from accounts.platform_admin import PlatformModelAdmin
from salient.problems import Invalid, Problem

logger = logging.getLogger(__name__)
STATES = {"open": "info", "accepted": "ok", "withdrawn": "bad", "expired": "warn"}


class RoleForm(forms.ModelForm[Membership]):
    """Another role; that an owner stays is tried before anything is saved."""

    class Meta:
        model = Membership
        fields = ("role",)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if "role" in values:
            try:
                # A copy: the form's own row already has the new role.
                take_turns(self.instance.account_id)
                set_role(Membership.objects.get(pk=self.instance.pk), MemberRole(values["role"]))
            except Problem as problem:
                raise ValidationError(problem.detail) from problem
        return values


@admin.register(Membership)
class MembershipAdmin(PlatformModelAdmin[Membership]):
    """A person's place in an account: another role, or none. People are invited, not added."""

    form = RoleForm
    list_display = ["user", "account", "role", "created_at"]
    list_select_related = ["user", "account"]
    list_filter = ["role", "account"]
    search_fields = ["user__email", "account__slug"]
    fields = ["user", "account", "role", "created_at", "updated_at"]
    readonly_fields = ["user", "account", "created_at", "updated_at"]
    change_list_template = "admin/member/list.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_actions(
        self, request: HttpRequest, action_location: ActionLocation = ActionLocation.CHANGE_LIST
    ) -> dict[str, Any]:
        """Many at once would end at the first last owner."""
        offered = super().get_actions(request, action_location)
        return {name: told for name, told in offered.items() if name != "delete_selected"}

    def save_model(
        self,
        request: HttpRequest,
        obj: Membership,
        form: Any,
        change: bool,  # noqa: FBT001
    ) -> None:
        """The form has done it, under the account's turn."""

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            with transaction.atomic():
                return super().delete_view(request, object_id, extra_context)
        except Problem as problem:
            messages.error(request, problem.detail)
            return redirect("admin:accounts_membership_change", object_id)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        take_turns(obj.account_id)
        discharge(obj)


class InviteForm(forms.ModelForm[Invitation]):
    """Whom to invite, where, as what."""

    account = forms.ModelChoiceField(Account.objects.active())

    class Meta:
        model = Invitation
        fields = ("account", "email", "role")

    invited: Invited | None = None
    # Of whoever fills the form in.
    by = ""

    def clean_email(self) -> str:
        return User.objects.normalize_email(self.cleaned_data["email"])

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if not self.errors:
            account, role = values["account"], MemberRole(values["role"])
            take_turns(account.pk)
            try:
                self.invited = invitations.offer(
                    account, email=values["email"], role=role, invited_by=self.by
                )
            except Problem as problem:
                self.add_error("email", problem.detail)
        return values

    def validate_constraints(self) -> None:
        """The offer is made already; an open one to the same address was renewed."""

    def save(self, commit: bool = True) -> Invitation:  # noqa: FBT001, FBT002
        assert self.invited is not None  # noqa: S101 - the form is valid
        self.instance = self.invited.invitation
        self.save_m2m = lambda: None  # type: ignore[method-assign]
        return self.instance


@admin.register(Invitation)
class InvitationAdmin(PlatformModelAdmin[Invitation]):
    """An offer goes out by e-mail; its link is shown to nobody else, staff neither."""

    form = InviteForm
    list_display = ["email", "account", "role", "state", "invited_by", "expires_at"]
    list_select_related = ["account"]
    list_filter = ["role", "account"]
    search_fields = ["email", "account__slug"]
    told = [
        *("email", "role", "account", "invited_by", "state", "created_at", "expires_at"),
        *("accepted_at", "revoked_at"),
    ]
    change_form_template = "admin/member/invitation.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.withdraw_view)
        ours = path("<uuid:object_id>/withdraw/", view, name="invitation-withdraw")
        return [ours, *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> list[Any]:
        return list(self.told if obj else InviteForm.Meta.fields)

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Invitation | None = None) -> list[str]:
        return self.told if obj else []

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, *args, **kwargs)
        form.by = getattr(request.user, "email", "")
        return form

    def save_model(
        self,
        request: HttpRequest,
        obj: Invitation,
        form: Any,
        change: bool,  # noqa: FBT001
    ) -> None:
        """Send the mail when the offer stands: a slow mail server keeps no transaction open."""
        try:
            site = site_address(request)
        except Invalid as problem:
            raise PermissionDenied(problem.detail) from problem
        transaction.on_commit(partial(_send, request, form.invited, site))

    def withdraw_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        if not request.user.has_perm("accounts.change_invitation"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        found = get_object_or_404(Invitation, pk=object_id)
        pending: QuerySet[Invitation] = Invitation.objects.pending().filter(pk=found.pk)
        if pending.update(revoked_at=timezone.now()):
            messages.success(request, f"The invitation of {found.email} has been withdrawn.")
        else:
            messages.warning(request, f"The invitation of {found.email} was not open any more.")
        return redirect("admin:accounts_invitation_change", found.pk)

    @admin.display(description="state")
    def state(self, invitation: Invitation) -> SafeString:
        state = state_of(invitation)
        return format_html('<span class="badge {}">{}</span>', STATES[state], state)


def state_of(invitation: Invitation) -> str:
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.revoked_at is not None:
        return "withdrawn"
    return "open" if invitation.expires_at > timezone.now() else "expired"


def _send(request: HttpRequest, invited: Invited, site: str) -> None:
    try:
        invitations.send(invited, site)
    except OSError as error:
        # SMTP errors are OSErrors; their text may hold the message.
        logger.error("An invitation was not sent: %s", type(error).__name__)  # noqa: TRY400
        messages.error(request, "The e-mail could not be sent; invite once more.")
