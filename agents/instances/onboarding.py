"""What a new customer needs: an agent, an owner, a key and a budget, each made on its own.

Everything here runs inside a context.
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts.keys import offers, services
from accounts.keys.offers import Offer
from accounts.keys.services import keys_of
from accounts.limits.budgets import budgets_of_account
from accounts.members import invitations
from accounts.members.invitations import Invited
from accounts.members.members import take_turns
from accounts.models import Account, ApiKey, Budget, MemberRole
from accounts.models.api_key import DEFAULT_SCOPES
from agents.config.yaml.text import dump
from agents.instances.services import instances_of
from agents.instances.templates import TEMPLATES
from agents.models import AgentInstance


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What an account has already of what a new customer needs; `owner` is an e-mail address."""

    agent: AgentInstance | None = None
    owner: str = ""
    key: ApiKey | None = None
    budget: Budget | None = None

    @property
    def done(self) -> int:
        return sum(map(bool, (self.agent, self.owner, self.key, self.budget)))


def onboarding_of(account: Account) -> Onboarding:
    """Read what the account has; five queries."""
    owners = invitations.owners_and_invited(account.pk)
    agent = instances_of(account.pk).select_related("account").first()
    return Onboarding(
        agent=agent,
        owner=owners[0] if owners else "",
        key=keys_of(account.pk).filter(revoked_at=None).first(),
        budget=budgets_of_account(account.pk).first(),
    )


def first_config(template: str, *, prompt: str = "", model: str = "") -> str:
    """Return the YAML with which an agent answers: the template's prompt, or another one."""
    values = {"system_prompt": prompt if prompt.strip() else TEMPLATES[template].prompt}
    return dump(({"model": model.strip()} if model.strip() else {}) | values)


def invite_owner(account: Account, email: str, *, invited_by: str) -> Invited:
    """Offer the account to its first owner; raises AlreadyMember, TooManyInvitations."""
    take_turns(account.pk)
    return invitations.offer(account, email=email, role=MemberRole.OWNER, invited_by=invited_by)


def first_key(account: Account, name: str, taker: str) -> Offer:
    """Offer a key of applications that talk to agents to this person; nobody else sees it."""
    offered = offers.offer(services.wanted_key(account, name=name, scopes=DEFAULT_SCOPES), taker)
    offered.key.save(force_insert=True)
    return offered
