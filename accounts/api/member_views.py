"""The API for an account's members: list, invite, change, remove."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest

from accounts.api.member_schemas import (
    InvitationOut,
    InvitationsOut,
    InviteIn,
    MemberOut,
    MembersOut,
    RoleIn,
)
from accounts.auth import attempts
from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.limits.registry import Rates
from accounts.members import invitations, members
from accounts.members.invitations import AlreadyMember, TooManyInvitations
from accounts.members.members import LastOwner
from accounts.models import Scope
from salient.api.problems import Invalid, Unavailable
from salient.api.schemas import ShortListIn, path_uuid
from salient.cursor import page_of
from salient.database import in_database

logger = logging.getLogger(__name__)


@api_view("GET", scope=Scope.MEMBERS_READ, query=ShortListIn, answer=MembersOut)
async def member_list(request: ApiRequest, *, query: ShortListIn) -> MembersOut:
    """List the members and the pending invitations."""
    account_id = request.caller.account_id
    found = await in_database(members.members_of, account_id, after=query.cursor, limit=query.limit)
    invited = await in_database(invitations.pending, account_id)
    shown, cursor = page_of(found, query.limit, "created_at")
    people = [MemberOut.of(member) for member in shown]
    waiting = [InvitationOut.of(invitation) for invitation in invited]
    return MembersOut.of_page(people, cursor, members=people, invitations=waiting)


@api_view("GET", scope=Scope.MEMBERS_READ, query=ShortListIn, answer=InvitationsOut)
async def invitation_list(request: ApiRequest, *, query: ShortListIn) -> InvitationsOut:
    """List the pending invitations."""
    found = await in_database(
        invitations.pending, request.caller.account_id, after=query.cursor, limit=query.limit
    )
    shown, cursor = page_of(found, query.limit, "created_at")
    waiting = [InvitationOut.of(invitation) for invitation in shown]
    return InvitationsOut.of_page(waiting, cursor)


@api_view(
    "POST",
    scope=Scope.MEMBERS_WRITE,
    rate=Rates.SEND,
    body=InviteIn,
    answer=InvitationOut,
    status=HTTPStatus.CREATED,
    problems=(AlreadyMember, TooManyInvitations),
)
async def member_invite(request: ApiRequest, *, body: InviteIn) -> InvitationOut:
    """Invite a person by e-mail; inviting again renews the invitation and its link."""
    site = site_address(request)
    await in_database(attempts.send_mail_to, body.email)
    invited = await in_database(
        invitations.invite, request.caller, email=body.email, role=body.role
    )
    try:
        # Not in a database thread: a slow mail server would hold it.
        await asyncio.to_thread(invitations.send, invited, site)
    except OSError as error:
        # SMTP errors are OSErrors; their text may contain the message, so it is not logged.
        logger.error("An invitation was not sent: %s", type(error).__name__)  # noqa: TRY400
        raise Unavailable("The e-mail could not be sent; invite once more.") from error
    return InvitationOut.of(invited.invitation)


@api_view("PATCH", scope=Scope.MEMBERS_WRITE, body=RoleIn, answer=MemberOut, problems=(LastOwner,))
async def member_change(request: ApiRequest, member_id: str, *, body: RoleIn) -> MemberOut:
    """Give a member another role."""
    wanted = path_uuid(member_id, "member")
    return MemberOut.of(await in_database(members.change_role, request.caller, wanted, body.role))


@api_view("DELETE", scope=Scope.MEMBERS_WRITE, status=HTTPStatus.NO_CONTENT, problems=(LastOwner,))
async def member_remove(request: ApiRequest, member_id: str) -> None:
    """End a membership; the person stays a user."""
    await in_database(members.remove, request.caller, path_uuid(member_id, "member"))


@api_view("DELETE", scope=Scope.MEMBERS_WRITE, status=HTTPStatus.NO_CONTENT)
async def invitation_withdraw(request: ApiRequest, invitation_id: str) -> None:
    """Withdraw a pending invitation; its link stops working."""
    await in_database(invitations.withdraw, request.caller, path_uuid(invitation_id, "invitation"))


all_members = by_method(member_list, member_invite)
one_member = by_method(member_change, member_remove)


def site_address(request: HttpRequest) -> str:
    """Return this installation's address for links, without a slash at the end."""
    if settings.PUBLIC_URL:
        return str(settings.PUBLIC_URL)
    try:
        return request.build_absolute_uri("/").rstrip("/")
    except DisallowedHost as error:
        raise Invalid.field("Host", "it does not name this installation") from error
