"""Members: what each role may do, who may give it, and the API caller of a member's session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from msgspec.structs import replace

from accounts.auth.caller import Caller
from accounts.auth.networks import client_network
from accounts.members.email_addresses import with_address
from accounts.models import (
    Account,
    AccountStatus,
    FormerSlug,
    Invitation,
    MemberRole,
    Membership,
    Scope,
    User,
)
from accounts.models.slugs import is_slug
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.locks import lock_rows
from accounts.tenancy.renames.moved import Moved
from accounts.tenancy.suspensions import Suspended
from salient.api.problems import Forbidden, Problem, first_or_404
from salient.cursor import Cursor, oldest_rows
from salient.ttl import TTLCache

_VIEWER = frozenset({Scope.AGENTS_READ, Scope.HISTORY_READ, Scope.USAGE_READ, Scope.LIMITS_READ})
_MEMBER = _VIEWER | {Scope.CHAT}
_ADMIN = _MEMBER | {
    Scope.MEMBERS_READ,
    Scope.MEMBERS_WRITE,
    Scope.HISTORY_DELETE,
    Scope.VISITORS_WRITE,
    Scope.CONNECTIONS_READ,
    Scope.CONNECTIONS_WRITE,
    Scope.AUDIT_READ,
    Scope.AGENTS_WRITE,
    Scope.CONFIG_READ,
    Scope.KEYS_READ,
    Scope.KEYS_WRITE,
    Scope.WEBHOOKS_READ,
    Scope.WEBHOOKS_WRITE,
}
SCOPES_OF: Mapping[MemberRole, frozenset[str]] = {
    MemberRole.OWNER: frozenset(Scope),
    MemberRole.ADMIN: _ADMIN,
    MemberRole.MEMBER: _MEMBER,
    MemberRole.VIEWER: _VIEWER,
}
_RANK = {role: rank for rank, role in enumerate(reversed(MemberRole))}
# The keys of Django's database sessions.
_SESSION_KEY = re.compile(r"[0-9a-z]{32}")

# A member, and whether the account is suspended. That a person is no member is stored too: the chat
# page checks with every message.
type Known = tuple[Caller | None, bool]
NOBODY: Known = (None, False)
_callers: TTLCache[tuple[str, str], Known] = TTLCache()


class LastOwner(Problem):
    """The last owner of an account can be neither removed nor demoted."""

    status = HTTPStatus.CONFLICT
    code = "last_owner"
    detail = "This is the account's last owner; make another member an owner first."


def members_of(
    account_id: UUID, *, after: Cursor | None = None, limit: int | None = None
) -> list[Membership]:
    """Return the members, the oldest first; one more than `limit`, if there are more."""
    with tenant_context(account_id):
        return oldest_rows(Membership.objects.with_people(), "created_at", after, limit)


def find_person(email: str) -> User | None:
    """Return the person with this address, member or not."""
    found: User | None = with_address(User.objects.all(), "email", email).first()
    return found


def find_member(email: str) -> Membership | None:
    """Return the member with this address, with the person; in the account's context."""
    rows = Membership.objects.with_people()
    found: Membership | None = with_address(rows, "user__email", email).first()
    return found


def addresses() -> list[str]:
    """List the members' addresses; in the account's context."""
    return Membership.objects.addresses()


def place(account: Account, user: User, role: MemberRole) -> str:
    """Make the person a member with this role; return "added", "changed" or "unchanged".

    In the account's context. Raises LastOwner.
    """
    membership = Membership.objects.filter(user=user).first()
    if membership is None:
        Membership.objects.create(account=account, user=user, role=role)
        return "added"
    if membership.role == role:
        return "unchanged"
    set_role(membership, role)
    return "changed"


def people_of(account_id: UUID) -> QuerySet[Membership]:
    """Return the account's members with their users, the oldest first; for staff."""
    rows = Membership.objects.select_related("user").filter(account_id=account_id)
    return rows.order_by("created_at")


def is_member(user: User) -> bool:
    """Return whether the person is a member of any account; inside the platform context.

    Memberships that were read with the person are not asked for again.
    """
    return bool(user.memberships.exists())


def change_role(caller: Caller, membership_id: UUID, role: MemberRole) -> Membership:
    """Give a member another role; raises NotFound, Forbidden or LastOwner."""
    with tenant_context(caller.account_id):
        take_turns(caller.account_id)
        target = _find(membership_id)
        require_rank(acting_role(caller), MemberRole(target.role), role)
        set_role(target, role)
    return target


def remove(caller: Caller, membership_id: UUID) -> None:
    """End a membership; raises NotFound, Forbidden or LastOwner."""
    with tenant_context(caller.account_id):
        take_turns(caller.account_id)
        target = _find(membership_id)
        require_rank(acting_role(caller), MemberRole(target.role))
        remove_membership(target)


def take_turns(account_id: UUID) -> None:
    """Lock the members of an account until the transaction ends.

    Else two owners who remove each other could both find that one is left.
    """
    lock_rows("members", account_id)


def set_role(target: Membership, role: MemberRole) -> None:
    """Change a role, but never the last owner's; call it under `take_turns`."""
    if role != MemberRole.OWNER:
        _require_another_owner(target)
    if _RANK[role] < _RANK[MemberRole(target.role)]:
        _withdraw_invitations_of(target)
    target.role = role
    target.save(update_fields=["role", "updated_at"])


def change_role_of(target: Membership, role: MemberRole) -> None:
    """Change a role for staff, inside the platform context; raises LastOwner."""
    take_turns(target.account_id)
    # Read again: the row of a form already has the new role.
    set_role(Membership.objects.get(pk=target.pk), role)


def remove_membership(target: Membership) -> None:
    """End a membership, but never the last owner's; call it under `take_turns`."""
    _require_another_owner(target)
    _withdraw_invitations_of(target)
    Membership.objects.filter(pk=target.pk).delete()


def _withdraw_invitations_of(target: Membership) -> None:
    """Withdraw what the person has offered and may no longer give."""
    person = User.objects.filter(pk=target.user_id).values("email")
    pending = Invitation.objects.pending().filter(account_id=target.account_id)
    pending.filter(invited_by__in=person).update(revoked_at=timezone.now())


def acting_role(caller: Caller) -> MemberRole:
    """Return the role with which the caller changes members; raises Forbidden where they may not.

    A member's role is read again, because the caller's may be some seconds old. A key acts as the
    highest role below owner whose rights it all has.
    """
    if caller.user_id is None:
        for role in (MemberRole.ADMIN, MemberRole.MEMBER, MemberRole.VIEWER):
            if SCOPES_OF[role] <= caller.scopes:
                return role
        raise Forbidden("This key may give nobody a role: it lacks the rights of each.")
    return current_role(caller, Scope.MEMBERS_WRITE)


def current_role(caller: Caller, scope: Scope) -> MemberRole:
    """Read a member's role again; raises Forbidden when it no longer has the scope."""
    who = {"account_id": caller.account_id, "user_id": caller.user_id}
    mine = Membership.objects.filter(**who).first()
    if mine is None or scope not in SCOPES_OF[MemberRole(mine.role)]:
        raise Forbidden("Your role in this account has changed.")
    return MemberRole(mine.role)


def require_rank(actor: MemberRole, *roles: MemberRole) -> None:
    """Refuse to give or change a role above the actor's own."""
    if any(_RANK[role] > _RANK[actor] for role in roles):
        raise Forbidden(f"The role “{actor.value}” can neither give nor change a higher one.")


def _find(membership_id: UUID) -> Membership:
    return first_or_404(Membership.objects.with_people().filter(pk=membership_id), "member")


def _require_another_owner(target: Membership) -> None:
    if target.role != MemberRole.OWNER:
        return
    others = Membership.objects.owners().filter(account_id=target.account_id).exclude(pk=target.pk)
    if not others.exists():
        raise LastOwner


async def member_caller(request: HttpRequest, account_slug: str) -> Caller | None:
    """Return the member of the account who calls, by Django's session cookie.

    The answer is cached for CACHE_TTL seconds: a logged-out, demoted or removed member is refused
    after that at the latest. Raises Suspended where the account is.
    """
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    if _SESSION_KEY.fullmatch(key) is None or not is_slug(account_slug):
        return None
    found = await _callers.get_or_load(_load_caller, key, account_slug)
    caller, is_suspended = found or NOBODY
    if is_suspended:
        raise Suspended("account")
    return caller and replace(caller, network=client_network(request))


def _load_caller(session_key: str, account_slug: str) -> Known:
    """Read who has the session; raises Moved where the account had this slug until lately."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key).load()
    user_id = session.get(SESSION_KEY)
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS or not user_id:
        return NOBODY
    with platform_context():
        membership = _place_of(user_id, account__slug=account_slug)
        if membership is None:
            former = FormerSlug.objects.filter(slug=account_slug, expires_at__gt=timezone.now())
            moved = _place_of(user_id, account_id__in=former.values("account_id"))
            if moved is not None and _is_of(session, moved.user):
                raise Moved(account=moved.account.slug)
    if membership is None or not _is_of(session, membership.user):
        return NOBODY
    is_suspended = membership.account.status != AccountStatus.ACTIVE
    return caller_of(membership, account_slug), is_suspended


def _place_of(user_id: str, **account: Any) -> Membership | None:
    """Return the place of a person who may log in, in such an account that is not archived."""
    mine = Membership.objects.filter(user_id=user_id, user__is_active=True, **account)
    rows = mine.exclude(account__status=AccountStatus.DELETED)
    found: Membership | None = rows.select_related("user", "account").first()
    return found


def _is_of(session: Mapping[str, Any], user: User) -> bool:
    """Return whether the session was opened with the password that the user has now."""
    stored = session.get(HASH_SESSION_KEY, "")
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(stored, known) for known in hashes)


def caller_of(membership: Membership, account_slug: str) -> Caller:
    role = MemberRole(membership.role)
    return Caller(
        account_id=membership.account_id,
        account_slug=account_slug,
        scopes=SCOPES_OF[role],
        subject=f"member:{membership.user_id}",
        role=role,
        user_id=membership.user_id,
        name=membership.user.email,
    )
