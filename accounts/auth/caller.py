"""The authenticated caller of the API."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from accounts.models import MemberRole
from salient.actors import Actor


class CallerKind(StrEnum):
    SECRET_KEY = "secret_key"  # noqa: S105 - a kind, no secret
    PUBLISHABLE_KEY = "publishable_key"
    VISITOR = "visitor"
    END_USER = "end_user"
    MEMBER = "member"
    STAFF = "staff"


class Caller(msgspec.Struct, frozen=True):
    """Who calls; the key, token or session was checked for the account of the path.

    `subject` names the caller in limits and in rows: "key:<id>", "visitor:<32 hex>",
    "end-user:<32 hex>", "member:<user id>" or "staff:<user id>".
    """

    account_id: UUID
    account_slug: str
    scopes: frozenset[str]
    subject: str = ""
    api_key_id: UUID | None = None
    # The stored form of a visitor's one session: a cookie, or a token without a `sub`.
    session_key: str | None = None
    # A visitor token's `sub`: its sessions are those with the same Session.end_user.
    end_user: str | None = None
    # Empty: every agent instance of the account.
    instance_ids: frozenset[UUID] = frozenset()
    is_test: bool = False
    # The client's /24 or /64; "" when it is unknown.
    network: str = ""
    # A member, known by Django's session cookie; without a role, the platform's staff.
    role: MemberRole | None = None
    user_id: UUID | None = None
    # The draft that staff try out; None: the published agent.
    draft_id: UUID | None = None
    # The saved chat that staff run; None: they type themselves.
    test_chat: UUID | None = None
    # The test chat repeats a conversation of the account's people: its session has no owner.
    says_again: bool = False
    # For people: a member's e-mail address, or the public part of a key.
    name: str = ""
    # The public part of the key that was sent, or that made the visitor's token.
    key_id: str = ""
    # The origin of a publishable key's page.
    origin: str | None = None
    expires_at: datetime | None = None

    @property
    def kind(self) -> CallerKind:
        if self.role is not None:
            return CallerKind.MEMBER
        if self.user_id is not None:
            return CallerKind.STAFF
        if self.end_user is not None:
            return CallerKind.END_USER
        if self.session_key is not None:
            return CallerKind.VISITOR
        return CallerKind.SECRET_KEY if self.origin is None else CallerKind.PUBLISHABLE_KEY

    @property
    def actor(self) -> Actor:
        """The caller as the audit log names them."""
        match self.kind:
            case CallerKind.MEMBER:
                return Actor("member", str(self.user_id), self.name)
            case CallerKind.STAFF:
                return Actor("staff", str(self.user_id), self.name)
            case CallerKind.SECRET_KEY | CallerKind.PUBLISHABLE_KEY:
                return Actor("key", str(self.api_key_id), self.name)
        return Actor("visitor", self.subject)

    @property
    def is_visitor(self) -> bool:
        """A visitor has one session, found by cookie or token; keys and staff name theirs by id."""
        return self.session_key is not None

    def may_use(self, instance_id: UUID) -> bool:
        return not self.instance_ids or instance_id in self.instance_ids
