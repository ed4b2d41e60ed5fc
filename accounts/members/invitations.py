"""Invitations: membership in an account, offered by e-mail to the owner of the address."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID

from django.core.mail import send_mail
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.auth.caller import Caller
from accounts.members.email_addresses import with_address
from accounts.members.members import acting_role, require_rank, take_turns
from accounts.members.one_time_links import (
    LIFETIME,
    LinkClosed,
    find_row,
    new_token,
    token_hash,
)
from accounts.models import Account, AccountStatus, Invitation, MemberRole, Membership, User
from accounts.tenancy.context import platform_context, tenant_context
from salient.api.problems import Problem, first_or_404
from salient.cursor import Cursor, oldest_rows

MOST_PENDING = 100


class AlreadyMember(Problem):
    """The invited person is a member."""

    status = HTTPStatus.CONFLICT
    code = "already_member"
    detail = "A member of this account has this e-mail address."


class TooManyInvitations(Problem):
    """100 invitations are open."""

    status = HTTPStatus.CONFLICT
    code = "too_many_invitations"
    detail = f"{MOST_PENDING} invitations are open; delete some, or wait for answers."


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation with the token for its link, which is stored nowhere."""

    invitation: Invitation
    token: str = field(repr=False)

    @property
    def path(self) -> str:
        return reverse("accounts:invitation", args=[self.invitation.account.slug, self.token])


def pending(
    account_id: UUID, *, after: Cursor | None = None, limit: int | None = None
) -> list[Invitation]:
    """Return the open invitations, the oldest first; one more than `limit`, if there are more."""
    with tenant_context(account_id):
        return oldest_rows(Invitation.objects.pending(), "created_at", after, limit)


def invite(caller: Caller, *, email: str, role: MemberRole) -> Invited:
    """Offer a place in the account; an open offer to the same address is renewed.

    Raises Forbidden, AlreadyMember or TooManyInvitations.
    """
    with tenant_context(caller.account_id):
        take_turns(caller.account_id)
        actor = acting_role(caller)
        require_rank(actor, role)
        earlier = _open(caller.account_id, email)
        if earlier is not None:
            require_rank(actor, MemberRole(earlier.role))
        account = Account.objects.get(pk=caller.account_id)
        invited_by = ""
        if caller.user_id is not None:
            invited_by = User.objects.values_list("email", flat=True).get(pk=caller.user_id)
        return offer(account, email=email, role=role, invited_by=invited_by)


def offer(account: Account, *, email: str, role: MemberRole, invited_by: str = "") -> Invited:
    """Make or renew the invitation of this address; call it under `take_turns`.

    Raises AlreadyMember or TooManyInvitations.
    """
    members = Membership.objects.filter(account_id=account.pk)
    if with_address(members, "user__email", email).exists():
        raise AlreadyMember
    invitation = _open(account.pk, email)
    if invitation is None:
        pending = Invitation.objects.pending().filter(account_id=account.pk)
        if pending.count() >= MOST_PENDING:
            raise TooManyInvitations
        invitation = Invitation(email=email)
    token = new_token()
    invitation.account = account
    invitation.role = role
    invitation.token_hash = token_hash(token)
    invitation.invited_by = invited_by
    invitation.expires_at = timezone.now() + LIFETIME
    invitation.save()
    return Invited(invitation, token)


def withdraw(caller: Caller, invitation_id: UUID) -> None:
    """Withdraw a pending invitation; raises NotFound or Forbidden."""
    with tenant_context(caller.account_id):
        take_turns(caller.account_id)
        pending = Invitation.objects.pending().filter(pk=invitation_id)
        invitation = first_or_404(pending, "invitation")
        require_rank(acting_role(caller), MemberRole(invitation.role))
        invitation.revoked_at = timezone.now()
        invitation.save(update_fields=["revoked_at"])


def withdraw_pending(invitation: Invitation) -> bool:
    """Take a pending invitation back; False when it was not pending. For staff."""
    pending = Invitation.objects.pending().filter(pk=invitation.pk)
    return bool(pending.update(revoked_at=timezone.now()))


def find(account_slug: str, hashed: str) -> Invitation:
    """Return the pending invitation with its account; raises LinkClosed."""
    return find_row(account_slug, lambda: Invitation.objects.pending().filter(token_hash=hashed))


def accept(invitation: Invitation, user: User) -> Membership:
    """Make the person a member, and a user if need be; raises LinkClosed, IntegrityError.

    In the platform context: an account sees only the users who are its members.
    """
    with platform_context():
        take_turns(invitation.account_id)
        offered = Invitation.objects.pending().filter(
            pk=invitation.pk,
            token_hash=invitation.token_hash,
            account__status=AccountStatus.ACTIVE,
        )
        if not offered.update(accepted_at=timezone.now()):
            raise LinkClosed
        if user._state.adding:
            user.save(force_insert=True)
        # A person who became a member in the meantime keeps their role.
        membership, _ = Membership.objects.get_or_create(
            account_id=invitation.account_id, user=user, defaults={"role": invitation.role}
        )
    return membership


def send(invited: Invited, site: str) -> None:
    """Write to the invited person; `site` is this installation's address without a slash."""
    invitation = invited.invitation
    name = " ".join(invitation.account.name.split())
    text = render_to_string(
        "invitation.txt",
        {
            "account": name,
            "invitation": invitation,
            "days": LIFETIME.days,
            "link": site + invited.path,
        },
    )
    send_mail(f"Join {name} on Salient", text, None, [invitation.email])


def has_owner(account_id: UUID) -> bool:
    """Return whether the account has an owner; one who may not log in now counts.

    Else staff who may deactivate people could remove an account's owner and become it themselves.
    """
    return bool(Membership.objects.owners().filter(account_id=account_id).exists())


def owners_of(account_id: UUID) -> list[str]:
    """Return the addresses of the owners, who are informed of what staff do."""
    owners = Membership.objects.owners().filter(account_id=account_id, user__is_active=True)
    return owners.addresses()


def invitations_of(account_id: UUID, email: str) -> QuerySet[Invitation]:
    """Return the invitations of this person to the account, whatever their state; in a context."""
    return with_address(Invitation.objects.filter(account_id=account_id), "email", email)


def open_invitations(account_id: UUID) -> QuerySet[Invitation]:
    """Return the account's invitations that wait to be accepted, the oldest first; for staff."""
    rows = Invitation.objects.pending().filter(account_id=account_id)
    return rows.order_by("created_at", "pk")


def owners_and_invited(account_id: UUID) -> list[str]:
    """Return the addresses of the owners, and then of those who are invited to be one."""
    invited = Invitation.objects.pending().filter(account_id=account_id, role=MemberRole.OWNER)
    emails = invited.order_by("created_at").values_list("email", flat=True)
    return [*owners_of(account_id), *emails]


def tell_owners(invited: Invited, owners: list[str], reason: str) -> None:
    """Write to the owners that staff have invited somebody, with the reason."""
    if not owners:
        return
    invitation = invited.invitation
    name = " ".join(invitation.account.name.split())
    context = {"account": name, "invitation": invitation, "reason": reason}
    text = render_to_string("invited_by_staff.txt", context)
    send_mail(f"{invitation.email} was invited to {name} on Salient", text, None, owners)


def _open(account_id: UUID, email: str) -> Invitation | None:
    """Return the invitation of this address that was neither accepted nor withdrawn."""
    rows = Invitation.objects.filter(account_id=account_id, accepted_at=None, revoked_at=None)
    found: Invitation | None = with_address(rows, "email", email).first()
    return found
