"""The staff's pages for people: who they are and what they may do, never how they log in."""

from __future__ import annotations

from functools import partial
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Field, ManyToManyField, QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path

from accounts.admin.user_pages import UserPages
from accounts.auth import attempts
from accounts.members import passwords, support_access
from accounts.models import Membership, User
from accounts.pages.mail import send_or_tell, site_of

# The pair of lists that Django has for these keeps screen readers out.
CHECKBOXES: dict[type[Field[Any, Any]], dict[str, Any]] = {
    ManyToManyField: {"widget": CheckboxSelectMultiple}
}
# What only a superuser gives.
RIGHTS = ["is_staff", "is_auditor", "is_superuser", "groups", "user_permissions"]
MEMBERS_STAY = (
    "The address stays as it is, for superusers too: this person is a member of an account, and "
    "links that set a new password go there."
)
STAFF_STAY = "Only a superuser changes a colleague's address: links to set a password go there."
NEW = "The person gets an e-mail with a link, and chooses a password."


class NewPersonForm(forms.ModelForm[User]):
    """A new person, who logs in as soon as they have chosen a password."""

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name")

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        self.instance.set_unusable_password()
        saved: User = super().save(commit)
        return saved


class PersonForm(forms.ModelForm[User]):
    class Meta:
        model = User
        fields = ("email", "first_name", "last_name", "is_active", *RIGHTS)


class GivesRights(admin.ModelAdmin[Any]):
    """A form that gives and takes rights: who loses that to read texts has no access any more."""

    filter_horizontal = ()
    formfield_overrides = CHECKBOXES

    def save_related(
        self,
        request: HttpRequest,
        form: Any,
        formsets: Any,
        change: bool,  # noqa: FBT001
    ) -> None:
        super().save_related(request, form, formsets, change)
        support_access.end_of_who_may_not()


@admin.register(User)
class UserAdmin(GivesRights, UserPages, DjangoUserAdmin[User]):
    """Nobody sets another person's password, or reads a link that does."""

    form = PersonForm
    add_form = NewPersonForm
    add_form_template = None
    change_form_template = "admin/user/change.html"
    add_fieldsets = [(None, {"fields": ["email", "first_name", "last_name"], "description": NEW})]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.link_view)
        ours = path("<uuid:object_id>/password-link/", view, name="password-link")
        return [ours, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        why = why_address_stays(request, obj)
        rights = ["is_active", *RIGHTS]
        return [
            (None, {"fields": ["email", "login"], **({"description": why} if why else {})}),
            ("Name", {"fields": ["first_name", "last_name"]}),
            ("May do", {"fields": rights}),
            ("When", {"fields": ["last_login", "date_joined"]}),
            *self.places_fieldsets(request),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Who is not a superuser gives nobody rights, not even to themselves."""
        if obj is None:
            return []
        kept = [] if cast(User, request.user).is_superuser else RIGHTS
        address = ["email"] if why_address_stays(request, obj) else []
        return ["login", "last_login", "date_joined", "places", *address, *kept]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A member's place is ended first: so the last owner stays."""
        may = self._may_touch(request, obj) and super().has_delete_permission(request, obj)
        return may and (obj is None or not is_member(obj))

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        """Keep superusers out of others' reach."""
        return obj is None or not obj.is_superuser or cast(User, request.user).is_superuser

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002
        form_url: str = "",
    ) -> HttpResponse:
        """One's own is changed on Django's page, which asks for the old one; nobody else's is."""
        if id == str(request.user.pk):
            return redirect("admin:password_change")
        raise PermissionDenied("Nobody sets another person's password; send them a link.")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001
        super().save_model(request, obj, form, change)
        if not change:
            _send_link(request, obj)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        support_access.end_all(obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for person in queryset:
            support_access.end_all(person)
        super().delete_queryset(request, queryset)

    def link_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Send the person a link to set a new password; it is shown to nobody here."""
        person = get_object_or_404(User, pk=object_id)
        if not self.has_change_permission(request, person):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if person.is_active:
            self._send_one_more(request, person)
        else:
            messages.warning(request, "Who is inactive cannot log in: make them active first.")
        return redirect("admin:accounts_user_change", person.pk)

    def _send_one_more(self, request: HttpRequest, person: User) -> None:
        try:
            attempts.send_mail_to(person.email)
        except attempts.TooManyAttempts as problem:
            messages.warning(request, problem.detail)
        else:
            _send_link(request, person)
            messages.success(request, f"A link to set a new password goes to {person.email}.")

    @admin.display(description="login")
    def login(self, person: User) -> str:
        if not person.has_usable_password():
            return "by e-mail address; no password was chosen yet"
        return "by e-mail address and password"


def is_member(person: User) -> bool:
    return bool(Membership.objects.filter(user_id=person.pk).exists())


def why_address_stays(request: HttpRequest, person: User) -> str:
    """Say why this person may not change that one's e-mail address; "" when they may."""
    if is_member(person):
        return MEMBERS_STAY
    may_touch_colleagues = cast(User, request.user).is_superuser
    return STAFF_STAY if person.is_staff and not may_touch_colleagues else ""


def _send_link(request: HttpRequest, person: User) -> None:
    """Send it when all is stored: a slow mail server keeps no transaction open."""
    send = partial(passwords.send_link, person, site_of(request))
    problem = "The e-mail could not be sent; send the link once more."
    transaction.on_commit(lambda: send_or_tell(request, send, problem))
