"""People and groups in the admin: who they are and what they may do, never how they log in."""

from __future__ import annotations

from functools import partial
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Field, ManyToManyField, Prefetch, Q, QuerySet, prefetch_related_objects
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin.base import PlatformModelAdmin
from accounts.admin.changes.links import row_to_change
from accounts.admin.formatting import row_address
from accounts.auth import attempts
from accounts.members import passwords, support_access
from accounts.members.members import is_member
from accounts.members.search import find_users
from accounts.members.staff_roles import (
    GROUPS,
    MEANINGS,
    StaffRole,
    has_other_owner,
    named_rights,
    own_groups,
    permissions_of,
    role_of,
    set_flags,
    set_groups,
    staff_word,
)
from accounts.models import Membership, User
from accounts.pages.mail import send_or_tell, site_of

admin.site.unregister(Group)

# Screen readers cannot use the pair of lists that Django shows for these.
CHECKBOXES: dict[type[Field[Any, Any]], dict[str, Any]] = {
    ManyToManyField: {"widget": CheckboxSelectMultiple}
}
# Only a superuser gives these.
RIGHTS = ["role", "groups"]
MEMBERS_STAY = (
    "The address stays as it is, for superusers too: this person is a member of an account, and "
    "links that set a new password go there."
)
STAFF_STAY = "Only a superuser changes a colleague's address: links to set a password go there."
NEW = "The person gets an e-mail with a link, and chooses a password."
# The list names so many of a person's accounts; of the others it shows the number.
NAMED = 3
MEMBER_OF = "member_of"
KINDS = {
    "superuser": Q(is_superuser=True),
    "staff": Q(is_staff=True, is_superuser=False, is_auditor=False),
    "auditor": Q(is_auditor=True),
    "member": Q(is_staff=False),
    "inactive": Q(is_active=False),
}


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
    """A person as those see them who give no rights."""

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name", "is_active")


class PersonWithRightsForm(PersonForm):
    """A person with one of the ready-made roles, or with groups of their own."""

    role = forms.ChoiceField(
        required=False,
        widget=forms.RadioSelect,
        choices=[(role.value, f"{role.label}: {MEANINGS[role]}") for role in StaffRole],
    )

    class Meta(PersonForm.Meta):
        fields = (*PersonForm.Meta.fields, "groups")  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.had = role_of(self.instance)
        self.fields["role"].initial = self.had
        if groups := self.fields.get("groups"):
            groups.queryset = own_groups()  # type: ignore[attr-defined]
            groups.help_text = "For “own rights” only: the person may do what any of these allows."

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        owner = self.chosen_role is StaffRole.OWNER and data.get("is_active")
        was_owner = self.had is StaffRole.OWNER
        if was_owner and not owner and not has_other_owner(self.instance):
            self.add_error("role", "This is the last platform owner: make another one first.")
        return data

    @property
    def chosen_role(self) -> StaffRole:
        """The chosen role; a form that names none leaves it as it is."""
        return StaffRole(self.cleaned_data.get("role") or self.had)

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        set_flags(self.instance, self.chosen_role)
        saved: User = super().save(commit)
        return saved

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]
        set_groups(self.instance, self.chosen_role)


class RightsAdmin(admin.ModelAdmin[Any]):
    """A form that gives and takes rights; the right to read texts ends with its support access."""

    filter_horizontal = ()
    formfield_overrides = CHECKBOXES

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        """Read the rights with what their names need, instead of asking again for each."""
        if db_field.remote_field.model is Permission:
            kwargs["queryset"] = named_rights()
        return super().formfield_for_manytomany(db_field, cast(HttpRequest, request), **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        super().save_related(request, form, formsets, change)
        support_access.end_of_who_may_not()


class KindFilter(admin.SimpleListFilter):
    title, parameter_name = "who", "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = {"superuser": "platform owners", "staff": "other staff", "inactive": "inactive"}
        names["member"] = "not of the staff"
        return [(name, names.get(name, f"{name}s")) for name in KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        chosen = KINDS.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen)


@admin.register(User)
class UserAdmin(RightsAdmin, PlatformModelAdmin[User], DjangoUserAdmin[User]):
    """Nobody sets another person's password, or sees a link that does."""

    menu_place = 3
    operator_may = frozenset({"view"})
    ordering = ["email"]
    list_display = ["email", "name", "rights", MEMBER_OF, "last_login"]
    list_filter = [KindFilter]
    search_fields = ["email", "first_name", "last_name"]
    search_help_text = "How an e-mail address or a name begins, or the slug of an account."
    form = PersonForm
    add_form = NewPersonForm
    add_form_template = None
    change_form_template = "admin/user/change.html"
    add_fieldsets = [(None, {"fields": ["email", "first_name", "last_name"], "description": NEW})]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.link_view)
        ours = path("<uuid:object_id>/password-link/", view, name="password-link")
        return [ours, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        places = Membership.objects.select_related("account").order_by("account__slug")
        people = super().get_queryset(request)
        return people.prefetch_related(Prefetch("memberships", places), "groups")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> User | None:
        """Return the person with all that the page names: the rights are read only for some."""
        person = super().get_object(request, object_id, from_field)
        if person is not None:
            rights = Prefetch("user_permissions", named_rights())
            prefetch_related_objects([person], "groups", rights)
        return person

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """Search by account, too, for who may see whose account a person is in."""
        return find_users(queryset, search_term, with_accounts=_may_see(request)), False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [name for name in self.list_display if name != MEMBER_OF or _may_see(request)]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        reason = address_lock_reason(request, obj)
        return [
            (None, {"fields": ["email", "login"]} | ({"description": reason} if reason else {})),
            ("Name", {"fields": ["first_name", "last_name"]}),
            ("Rights", {"fields": ["is_active", *_rights_of(obj)]}),
            ("When", {"fields": ["last_login", "date_joined"]}),
            *([("Member of", {"fields": ["places"]})] if _may_see(request) else []),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Keep the rights read-only for who is not a superuser, their own included."""
        if obj is None:
            return []
        rights = [] if _gives_rights(request) else RIGHTS
        address = ["email"] if address_lock_reason(request, obj) else []
        known = ["login", "last_login", "date_joined", "places", "more_permissions"]
        return [*known, *address, *rights]

    def get_form(
        self,
        request: HttpRequest,
        obj: User | None = None,
        change: bool = False,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> Any:
        if obj is not None and _gives_rights(request):
            options["form"] = PersonWithRightsForm
        return super().get_form(request, obj, change=change, **options)

    @admin.display(description="role")
    def role(self, person: User) -> str:
        role = role_of(person)
        return f"{role.label}: {MEANINGS[role]}"

    @admin.display(description="permissions of their own")
    def more_permissions(self, person: User) -> str:
        """Show what was given to the person alone; another role takes it away."""
        return ", ".join(permissions_of(person))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuse members: their membership has to end first, so that the last owner stays."""
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
        """Lead to Django's page for one's own password, which asks for the old one."""
        if id == str(request.user.pk):
            return redirect("admin:password_change")
        raise PermissionDenied("Nobody sets another person's password; send them a link.")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: Any) -> None:
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
        """Send the person a link to set a new password, which nobody sees here."""
        person = row_to_change(self, request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if person.is_active:
            self._send_one_more(request, person)
        else:
            messages.warning(request, "An inactive person cannot log in: activate them first.")
        return redirect(row_address(person))

    def _send_one_more(self, request: HttpRequest, person: User) -> None:
        try:
            attempts.send_mail_to(person.email)
        except attempts.TooManyAttempts as problem:
            messages.warning(request, problem.detail)
        else:
            _send_link(request, person)
            messages.success(request, f"A link to set a new password goes to {person.email}.")

    @admin.display(description="name", ordering="first_name")
    def name(self, user: User) -> str:
        return user.get_full_name()

    @admin.display(description="role")
    def rights(self, user: User) -> SafeString:
        kinds = [
            ("bad", "inactive", not user.is_active),
            ("warn", "platform owner", user.is_superuser),
            ("info", "auditor", user.is_auditor),
            ("ok", staff_word(user), user.is_staff and not (user.is_superuser or user.is_auditor)),
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
        row = '<li><a href="{}">{}</a> <span class="quiet">{}</span></li>'
        found = format_html_join("", row, rows)
        return format_html('<ul class="plain">{}</ul>', found) if rows else "no account"

    @admin.display(description="login")
    def login(self, person: User) -> str:
        has_one = person.has_usable_password()
        return f"by e-mail address{' and password' if has_one else '; no password was chosen yet'}"


@admin.register(Group)
class GroupAdmin(RightsAdmin, PlatformModelAdmin[Group], DjangoGroupAdmin):
    """Deleting a group ends the support access of those who could read texts by it alone."""

    nothing_yet = "No groups: the ready-made roles on a person's page need none."
    menu_place = 4
    operator_may = frozenset({"view"})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """Leave out the groups of the ready-made roles, whose permissions are not changed here."""
        return super().get_queryset(request).exclude(name__in=GROUPS.values())

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        super().delete_model(request, obj)
        support_access.end_of_who_may_not()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        super().delete_queryset(request, queryset)
        support_access.end_of_who_may_not()


def address_lock_reason(request: HttpRequest, person: User) -> str:
    """Return why whoever asks may not change the person's e-mail address; "" when they may."""
    if is_member(person):
        return MEMBERS_STAY
    return STAFF_STAY if person.is_staff and not _gives_rights(request) else ""


def _send_link(request: HttpRequest, person: User) -> None:
    """Send it after the commit, so that a slow mail server keeps no transaction open."""
    send = partial(passwords.send_link, person, site_of(request))
    problem = "The e-mail could not be sent; send the link once more."
    transaction.on_commit(lambda: send_or_tell(request, send, problem))


def _link(place: Membership) -> tuple[str, str]:
    return row_address(place), place.account.slug


def _gives_rights(request: HttpRequest) -> bool:
    return cast(User, request.user).is_superuser


def _rights_of(person: User) -> list[str]:
    """Return the fields of the person's rights: those of own rights where there are any."""
    groups = ["groups"] if own_groups().exists() else []
    return ["role", *groups, *(["more_permissions"] if permissions_of(person) else [])]


def _may_see(request: HttpRequest) -> bool:
    return request.user.has_perm("accounts.view_membership")
