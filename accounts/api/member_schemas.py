"""The API's shapes for members and invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator

from accounts.members.email_addresses import normal_email
from accounts.models import Invitation, MemberRole, Membership
from salient.api.schemas import In, ListOut, Out


class InviteIn(In):
    """Whom to invite, and as what."""

    email: Annotated[str, AfterValidator(normal_email)]
    role: MemberRole


class RoleIn(In):
    role: MemberRole


class MemberOut(Out):
    id: UUID
    email: str
    name: str
    role: MemberRole
    created_at: datetime
    # The older name of `created_at`.
    since: datetime

    @classmethod
    def of(cls, membership: Membership) -> Self:
        user = membership.user
        since = membership.created_at
        return cls.of_row(membership, email=user.email, name=user.get_full_name(), since=since)


class InvitationOut(Out):
    """A pending invitation; its link stands in the e-mail and nowhere else."""

    id: UUID
    email: str
    role: MemberRole
    invited_by: str | None
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> Self:
        return cls.of_row(invitation, invited_by=invitation.invited_by or None)


class MembersOut(ListOut[MemberOut]):
    """Members, the oldest first; `members` is another name of `data`.

    `invitations` are all that are pending, on each page; the route `invitations` has pages of them.
    """

    members: list[MemberOut]
    invitations: list[InvitationOut]


class InvitationsOut(ListOut[InvitationOut]):
    """Pending invitations, the oldest first."""
