"""Members and invitations in the admin: by the API's rules, so that the last owner stays.

A member can read the account's texts. So where an account has an owner who could invite, staff
need a support access to invite, and the owners get an e-mail.
"""

from __future__ import annotations

from collections.abc import Iterable
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
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.admin.base import Extra, PlatformModelAdmin, chosen_account
from accounts.admin.formatting import badge, row_address
from accounts.admin.lists.private import texts_in, without_texts
from accounts.members import invitations, support_access
from accounts.members.invitations import Invited
from accounts.members.members import change_role_of, remove_membership, take_turns
from accounts.members.search import find_invitations, find_memberships
from accounts.models import Account, Invitation, MemberRole, Membership, SupportAccess
from accounts.pages.mail import send_or_tell, site_of
from accounts.tenancy.accounts import active_accounts
from salient.api.problems import Problem

INVITING_NEEDS_ACCESS = (
    "{account} has an owner, who can invite people. A person whom staff invite can read the "
    "account's texts, as every member can, and its owners get an e-mail with the reason."
)
ROLE_NEEDS_ACCESS = (
    "{person} is one of the platform's staff: a role in {account} lets them read its texts."
)
STATES = {"open": "info", "accepted": "ok", "withdrawn": "bad", "expired": "warn"}


class RoleForm(forms.ModelForm[Membership]):
    """Another role; it is given while the form is checked, so that the form shows a refusal."""

    class Meta:
        model = Membership
        fields = ("role",)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if "role" in values:
            try:
                change_role_of(self.instance, MemberRole(values["role"]))
            except Problem as problem:
                raise ValidationError(problem.detail) from problem
        return values


@admin.register(Membership)
class MembershipAdmin(PlatformModelAdmin[Membership]):
    """A person's place in an account: its role can be changed, or it ends. People are invited."""

    menu_group, menu_place = "Tenants", 5
    nothing_yet = "No members yet: whoever accepts an invitation becomes one."
    forbidden = frozenset({"add"})
    form = RoleForm
    list_display = ["user", "account", "role", "created_at"]
    list_select_related = ["user", "account"]
    list_filter = ["role", "account"]
    search_fields = ["user__email", "account__slug"]
    search_help_text = "How an e-mail address or a name begins, or the slug of an account."
    fields = ["user", "account", "role", "created_at", "updated_at"]
    readonly_fields = ["user", "account", "created_at", "updated_at"]
    change_list_template = "admin/member/list.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Membership], search_term: str
    ) -> tuple[QuerySet[Membership], bool]:
        return find_memberships(queryset, search_term), False

    def history_parts(self, row: Membership) -> Iterable[QuerySet[Any]]:
        return [invitations.invitations_of(row.account_id, row.user.email)]

    def get_actions(
        self, request: HttpRequest, action_location: ActionLocation = ActionLocation.CHANGE_LIST
    ) -> dict[str, Any]:
        """Leave out deleting many at once, which would fail at the first last owner."""
        actions = super().get_actions(request, action_location)
        return {name: action for name, action in actions.items() if name != "delete_selected"}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        """Ask for a reason before one of the staff gets a role, even from a colleague."""
        place = self.get_object(request, object_id) if request.method == "POST" else None
        if place is not None and place.user.is_staff and self.has_change_permission(request, place):
            account = place.account
            explanation = ROLE_NEEDS_ACCESS.format(person=place.user.email, account=account.name)
            page = support_access.require_access(
                request, account.pk, back=request.path, explanation=explanation
            )
            if page is not None:
                return page
        return super().change_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: Any) -> None:
        """The form has done it, under the account's lock."""

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Extra = None
    ) -> HttpResponse:
        try:
            with transaction.atomic():
                return super().delete_view(request, object_id, extra_context)
        except Problem as problem:
            messages.error(request, problem.detail)
            return redirect(row_address(Membership, object_id))

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        take_turns(obj.account_id)
        remove_membership(obj)


class InviteForm(forms.ModelForm[Invitation]):
    """The person to invite, the account and the role."""

    account = forms.ModelChoiceField(active_accounts())

    class Meta:
        model = Invitation
        fields = ("account", "email", "role")

    invited: Invited | None = None
    # The e-mail address and the support access of whoever fills in the form.
    by = ""
    access: SupportAccess | None = None

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if not self.errors:
            account, role = values["account"], MemberRole(values["role"])
            take_turns(account.pk)
            if self.access is None and invitations.has_owner(account.pk):
                raise ValidationError("This account has an owner: that needs a support access.")
            try:
                self.invited = invitations.offer(
                    account, email=values["email"], role=role, invited_by=self.by
                )
            except Problem as problem:
                self.add_error("email", problem.detail)
        return values

    def validate_constraints(self) -> None:
        """Skip them: clean() has stored the invitation, or renewed an open one."""

    def save(self, commit: bool = True) -> Invitation:  # noqa: FBT001, FBT002
        assert self.invited is not None  # noqa: S101 - the form is valid
        self.instance = self.invited.invitation
        self.save_m2m = lambda: None  # type: ignore[method-assign]
        return self.instance


@admin.register(Invitation)
class InvitationAdmin(PlatformModelAdmin[Invitation]):
    """An invitation is sent by e-mail; nobody else sees its link, staff included."""

    menu_group, menu_place = "Tenants", 6
    nothing_yet = "Nobody is invited."
    forbidden = frozenset({"change", "delete"})
    form = InviteForm
    list_display = ["email", "account", "role", "state", "invited_by", "expires_at"]
    list_select_related = ["account"]
    list_filter = ["role", "account"]
    search_fields = ["email", "account__slug"]
    search_help_text = "A whole e-mail address, or the slug of an account."
    readonly_fields = [
        "email",
        "role",
        "account",
        "invited_by",
        "state",
        "created_at",
        "expires_at",
        "accepted_at",
        "revoked_at",
    ]
    change_form_template = "admin/member/invitation.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.withdraw_view)
        ours = path("<uuid:object_id>/withdraw/", view, name="invitation-withdraw")
        return [ours, *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Invitation], search_term: str
    ) -> tuple[QuerySet[Invitation], bool]:
        return find_invitations(queryset, search_term), False

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> list[Any]:
        return list(self.readonly_fields if obj else InviteForm.Meta.fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Invitation | None = None) -> list[str]:
        return list(self.readonly_fields) if obj else []

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, *args, **kwargs)
        account = chosen_account(request)
        form.by = getattr(request.user, "email", "")
        form.access = account and support_access.current_access(request.user, account.pk)
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_changeform_initial_data(request) | texts_in(request.GET, {"email"})

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Extra = None
    ) -> HttpResponse:
        """Ask for a reason first, where the account has an owner who could invite."""
        account = chosen_account(request) if request.method == "POST" else None
        if account is not None and self.has_add_permission(request):
            page = self._reason_page(request, account)
            if page is not None:
                return page
        return super().add_view(request, form_url, extra_context)

    def _reason_page(self, request: HttpRequest, account: Account) -> HttpResponse | None:
        if not invitations.has_owner(account.pk):
            return None
        names = {"account", "email", "role"} & set(request.POST)
        filled_in = without_texts({name: request.POST[name] for name in names}, {"email"})
        back = f"{request.path}?{urlencode(filled_in)}"
        explanation = INVITING_NEEDS_ACCESS.format(account=account.name)
        return support_access.require_access(
            request, account.pk, back=back, explanation=explanation
        )

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: Any) -> None:
        """Send the e-mail after the commit, so that a slow server keeps no transaction open."""
        owners = invitations.owners_of(obj.account_id)
        reason = form.access.reason if form.access else ""
        send = partial(_send, request, form.invited, site_of(request), owners, reason)
        transaction.on_commit(send)

    def withdraw_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        if not request.user.has_perm("accounts.change_invitation"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        found = get_object_or_404(Invitation, pk=object_id)
        if invitations.withdraw_pending(found):
            messages.success(request, f"The invitation of {found.email} has been withdrawn.")
        else:
            messages.warning(request, f"The invitation of {found.email} was not open any more.")
        return redirect(row_address(found))

    @admin.display(description="state")
    def state(self, invitation: Invitation) -> SafeString:
        state = state_of(invitation)
        return badge(state, STATES[state])


def state_of(invitation: Invitation) -> str:
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.revoked_at is not None:
        return "withdrawn"
    return "open" if invitation.expires_at > timezone.now() else "expired"


def _send(
    request: HttpRequest, invited: Invited, site: str, owners: list[str], reason: str
) -> None:
    """Write to the owners first: no one is invited without their knowledge."""
    tell = partial(invitations.tell_owners, invited, owners, reason)
    problem = "The e-mail to the owners could not be sent, so nobody was invited; invite once more."
    if send_or_tell(request, tell, problem):
        send = partial(invitations.send, invited, site)
        send_or_tell(request, send, "The e-mail could not be sent; invite once more.")
