"""The model of the state machine: accounts, agents, callers and sessions in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from accounts.members.members import SCOPES_OF
from accounts.models import Account, ApiKey, MemberRole, Scope
from agents.models import AgentInstance

# The dollars that a turn reserves and costs, and the month's budget of an account.
RESERVED, COST, BUDGET = Decimal("0.01"), Decimal("0.004"), Decimal("0.05")
SCOPE_OF = {
    "chat": Scope.CHAT,
    "history": Scope.HISTORY_READ,
    "sessions": Scope.HISTORY_READ,
    "delete": Scope.HISTORY_DELETE,
    "visitors": Scope.VISITORS_WRITE,
    "agents": Scope.AGENTS_READ,
    "members": Scope.MEMBERS_WRITE,
}
VISITORS_MAY: set[str] = {Scope.CHAT, Scope.HISTORY_READ, Scope.HISTORY_DELETE}


@dataclass(eq=False)
class Tenant:
    row: Account
    canary: str
    is_active: bool = True
    spent: Decimal = Decimal(0)
    roles: dict[str, MemberRole] = field(default_factory=dict)


@dataclass(eq=False)
class Agent:
    row: AgentInstance
    of: Tenant
    is_active: bool = True


@dataclass(eq=False)
class Caller:
    """A key, or a visitor with a token that a key has made."""

    of: Tenant
    text: str
    scopes: set[str]
    key: ApiKey
    only: Agent | None = None
    is_visitor: bool = False
    # The key that made this visitor's token or was rotated to this key; both end with it.
    made_by: Caller | None = None
    is_revoked: bool = False

    @property
    def is_dead(self) -> bool:
        return self.is_revoked or (self.made_by is not None and self.made_by.is_dead)

    @property
    def acts_as(self) -> MemberRole | None:
        """The role that a key acts as: the highest, except owner, whose rights it has all."""
        roles = (MemberRole.ADMIN, MemberRole.MEMBER, MemberRole.VIEWER)
        return next((role for role in roles if SCOPES_OF[role] <= self.scopes), None)

    def refusal(self, at: Tenant, what: str = "", agent: Agent | None = None) -> int | None:
        """Return the status that refuses this caller at that account, None if none does."""
        if self.is_dead:
            return 401
        if self.of is not at:
            return 404
        if not at.is_active:
            return 403
        if what and SCOPE_OF[what] not in self.scopes:
            return 403
        if agent is not None and (not agent.is_active or self.only not in (None, agent)):
            return 404
        return None

    def may_see(self, agent: Agent, talk: Talk) -> bool:
        theirs = talk.visitor is self if self.is_visitor else self.of is talk.agent.of
        return theirs and talk.agent is agent and not talk.is_deleted


@dataclass(eq=False)
class Talk:
    id: UUID
    agent: Agent
    # The visitor who began it; None if a key did.
    visitor: Caller | None
    turns: int = 0
    is_deleted: bool = False
