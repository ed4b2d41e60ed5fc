"""The API for an account's members: list, invite, change, remove."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

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
from accounts.members import invitations, members
from accounts.models import Scope
from salient.api.problems import Invalid, Unavailable
from salient.api.schemas import ShortListIn, path_uuid
from salient.cursor import page_of
from salient.database import in_database

logger = logging.getLogger(__name__)


# openapi: answer=MembersOut
@api_view("GET", scope=Scope.MEMBERS_READ, query=ShortListIn)
async def member_list(request: ApiRequest) -> HttpResponse:
    """List the members and the pending invitations."""
    page, account_id = ShortListIn.of_query(request), request.caller.account_id
    found = await in_database(members.members_of, account_id, after=page.cursor, limit=page.limit)
    invited = await in_database(invitations.pending, account_id)
    shown, cursor = page_of(found, page.limit, "created_at")
    people = [MemberOut.of(member) for member in shown]
    waiting = [InvitationOut.of(invitation) for invitation in invited]
    return MembersOut.of_page(people, cursor, members=people, invitations=waiting).as_response()


# openapi: answer=InvitationsOut
@api_view("GET", scope=Scope.MEMBERS_READ, query=ShortListIn)
async def invitation_list(request: ApiRequest) -> HttpResponse:
    """List the pending invitations."""
    page = ShortListIn.of_query(request)
    found = await in_database(
        invitations.pending, request.caller.account_id, after=page.cursor, limit=page.limit
    )
    shown, cursor = page_of(found, page.limit, "created_at")
    waiting = [InvitationOut.of(invitation) for invitation in shown]
    return InvitationsOut.of_page(waiting, cursor).as_response()


@api_view("POST", scope=Scope.MEMBERS_WRITE)
async def member_invite(request: ApiRequest) -> HttpResponse:
    """Invite a person by e-mail; inviting again renews the invitation and its link."""
    wanted = InviteIn.of_body(request)
    site = site_address(request)
    await in_database(attempts.send_mail_to, wanted.email)
    invited = await in_database(
        invitations.invite, request.caller, email=wanted.email, role=wanted.role
    )
    try:
        # Not in a database thread: a slow mail server would hold it.
        await asyncio.to_thread(invitations.send, invited, site)
    except OSError as error:
        # SMTP errors are OSErrors; their text may contain the message, so it is not logged.
        logger.error("An invitation was not sent: %s", type(error).__name__)  # noqa: TRY400
        raise Unavailable("The e-mail could not be sent; invite once more.") from error
    response = InvitationOut.of(invited.invitation).as_response()
    response.status_code = HTTPStatus.CREATED
    return response


@api_view("PATCH", scope=Scope.MEMBERS_WRITE)
async def member_change(request: ApiRequest, member_id: str) -> HttpResponse:
    """Give a member another role."""
    role = RoleIn.of_body(request).role
    changed = await in_database(
        members.change_role, request.caller, path_uuid(member_id, "member"), role
    )
    return MemberOut.of(changed).as_response()


@api_view("DELETE", scope=Scope.MEMBERS_WRITE)
async def member_remove(request: ApiRequest, member_id: str) -> HttpResponse:
    """End a membership; the person stays a user."""
    await in_database(members.remove, request.caller, path_uuid(member_id, "member"))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@api_view("DELETE", scope=Scope.MEMBERS_WRITE)
async def one_invitation(request: ApiRequest, invitation_id: str) -> HttpResponse:
    """Withdraw a pending invitation; its link stops working."""
    await in_database(invitations.withdraw, request.caller, path_uuid(invitation_id, "invitation"))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


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
