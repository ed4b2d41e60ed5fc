"""What staff may do in the admin, as four ready-made roles.

An owner is a superuser, an auditor has a flag of their own; operators and support are groups whose
permissions are given here: what the pages register, no more and no less.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import Group, Permission
from django.db import connection, models
from django.db.models import Q, QuerySet

from accounts.models import User


class StaffRole(models.TextChoices):
    NONE = "none", "No staff"
    OWNER = "owner", "Platform owner"
    OPERATOR = "operator", "Operator"
    SUPPORT = "support", "Support"
    AUDITOR = "auditor", "Auditor"
    OWN = "own", "Own rights"


MEANINGS = {
    StaffRole.NONE: "does not see the admin",
    StaffRole.OWNER: "does everything, and gives roles to others",
    StaffRole.OPERATOR: "sees and changes accounts, agents, keys, limits and connections, decides "
    "on feedback; reads no conversations and gives no roles",
    StaffRole.SUPPORT: "sees everything, reads conversations under a support access, writes test "
    "chats and better answers, decides on feedback",
    StaffRole.AUDITOR: "sees everything and changes nothing",
    StaffRole.OWN: "what the groups below allow, and permissions given before",
}
# The roles that are groups, by the groups' names.
GROUPS = {StaffRole.OPERATOR: "Salient operator", StaffRole.SUPPORT: "Salient support"}
BY_NAME = {name: role for role, name in GROUPS.items()}
_rights: dict[StaffRole, set[tuple[str, str]]] = {role: set() for role in GROUPS}


def register_rights(model: type[models.Model], role: StaffRole, may: Iterable[str]) -> None:
    """Let a role "view", "add", "change" or "delete" the rows of a model in the admin."""
    opts = model._meta
    _rights[role] |= {(opts.app_label, f"{verb}_{opts.model_name}") for verb in may}


def named_rights() -> QuerySet[Permission]:
    """Return all permissions, each with what it needs to say its name."""
    return Permission.objects.select_related("content_type").all()


def role_of(user: User) -> StaffRole:
    """Return the role that a person has; OWN for staff with rights of another kind."""
    if user.is_superuser:
        return StaffRole.OWNER
    if not user.is_staff:
        return StaffRole.NONE
    if user.is_auditor:
        return StaffRole.AUDITOR
    names = {group.name for group in user.groups.all()}
    if len(names) == 1 and not user.user_permissions.all():
        return BY_NAME.get(names.pop(), StaffRole.OWN)
    return StaffRole.OWN


def staff_word(user: User) -> str:
    """Name the role of one of the staff in a list, by the groups that were read with the rows."""
    roles = [BY_NAME[group.name] for group in user.groups.all() if group.name in BY_NAME]
    return roles[0].label.lower() if roles else "staff"


def permissions_of(user: User) -> list[str]:
    """Return the names of the permissions that the person has beside those of groups."""
    rights = sorted(user.user_permissions.all(), key=lambda permission: permission.codename)
    return [permission.name for permission in rights]


def set_flags(user: User, role: StaffRole) -> None:
    """Set what the person's own row says of the role, without saving it."""
    user.is_staff = role is not StaffRole.NONE
    user.is_superuser = role is StaffRole.OWNER
    user.is_auditor = role is StaffRole.AUDITOR


def set_groups(user: User, role: StaffRole) -> None:
    """Give the person the role's group and no other right; OWN keeps what the person has."""
    if role is StaffRole.OWN:
        user.groups.remove(*Group.objects.filter(name__in=BY_NAME))
        return
    user.user_permissions.clear()
    user.groups.set([group_of(role)] if role in GROUPS else [])


def group_of(role: StaffRole) -> Group:
    """Return the role's group, with the permissions of today."""
    group, _ = Group.objects.get_or_create(name=GROUPS[role])
    _give_permissions(group, role)
    return group


def refresh() -> None:
    """Give the groups that exist the permissions of today: after an update there are new pages.

    And permissions the words of today's pages: Django names one when it makes it, and never again.
    """
    rights = [right for right in named_rights() if right.name != _name_of(right)]
    for right in rights:
        right.name = _name_of(right)
    Permission.objects.bulk_update(rights, ["name"])
    for group in Group.objects.filter(name__in=BY_NAME):
        _give_permissions(group, BY_NAME[group.name])


def has_tables() -> bool:
    """Whether the database is migrated as far as groups."""
    return Group._meta.db_table in connection.introspection.table_names()


def own_groups() -> QuerySet[Group]:
    """Return the groups that staff have made themselves."""
    return Group.objects.exclude(name__in=BY_NAME)


def has_other_owner(user: User) -> bool:
    """Whether somebody else could give roles if this person could not."""
    return User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk).exists()


def _name_of(right: Permission) -> str:
    model = right.content_type.model_class()
    if model is None:
        return right.name
    opts = model._meta
    for verb in opts.default_permissions:
        if get_permission_codename(verb, opts) == right.codename:
            return f"Can {verb} {opts.verbose_name_raw}"
    return right.name


def _give_permissions(group: Group, role: StaffRole) -> None:
    wanted = Q(pk=None)
    for app_label, codename in _rights[role]:
        wanted |= Q(content_type__app_label=app_label, codename=codename)
    group.permissions.set(Permission.objects.filter(wanted))
