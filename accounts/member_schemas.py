"""The API's shapes for members and invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from pydantic import AfterValidator, Field

from accounts.models import Invitation, MemberRole, Membership, User
from salient.shapes import In, Out


def _address(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError as error:
        raise ValueError("this is no e-mail address") from error
    return User.objects.normalize_email(text)


class InviteIn(In):
    """Whom to invite, and as what."""

    email: Annotated[str, Field(max_length=254), AfterValidator(_address)]
    role: MemberRole


class RoleIn(In):
    role: MemberRole


class MemberOut(Out):
    id: UUID
    email: str
    name: str
    role: MemberRole
    since: datetime

    @classmethod
    def of(cls, membership: Membership) -> Self:
        user = membership.user
        return cls(
            id=membership.pk,
            email=user.email,
            name=user.get_full_name(),
            role=MemberRole(membership.role),
            since=membership.created_at,
        )


class InvitationOut(Out):
    """A pending invitation; its link stands in the e-mail and nowhere else."""

    id: UUID
    email: str
    role: MemberRole
    invited_by: str | None
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> Self:
        return cls(
            id=invitation.pk,
            email=invitation.email,
            role=MemberRole(invitation.role),
            invited_by=invitation.invited_by or None,
            expires_at=invitation.expires_at,
        )


class MembersOut(Out):
    members: list[MemberOut]
    invitations: list[InvitationOut]
