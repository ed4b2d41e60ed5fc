"""The full demo's accounts: people, keys, limits, agents and their published configurations.

Rows are made up here without the database, and stored by fill.py: a transaction that waited for
this would be ended as idle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import yaml
from django.contrib.auth.hashers import make_password
from django.db import models
from django.utils import timezone

from accounts.members.staff_roles import StaffRole, set_groups
from accounts.models import (
    Account,
    AccountLimits,
    AccountStatus,
    ApiKey,
    Invitation,
    KeyKind,
    KeyMode,
    MemberRole,
    Membership,
    Scope,
    User,
)
from agents.config import EffectiveConfig, read
from agents.models import (
    AgentInstance,
    ConfigDraft,
    ConfigPublication,
    ConfigVersion,
    ProviderConnection,
)
from sessions_app.demo.plan import (
    FLASH,
    MINI,
    SUSPENDED,
    UNPAID,
    AccountPlan,
    AgentPlan,
    seeded_random,
)
from sessions_app.demo.words import email_of, system_prompt, talk

STAFF = {"support@salient.example": False, "auditor@salient.example": True}
ROLES = (MemberRole.OWNER, MemberRole.ADMIN, MemberRole.MEMBER, MemberRole.VIEWER)


@dataclass(slots=True)
class Agent:
    """An instance with its publications: when, the version and the configuration, oldest first."""

    plan: AgentPlan
    row: AgentInstance
    published: list[tuple[datetime, ConfigVersion, EffectiveConfig]] = field(default_factory=list)

    def at(self, moment: datetime) -> tuple[ConfigVersion, EffectiveConfig]:
        """Return the version and the configuration that served at that moment."""
        known = [each for each in self.published if each[0] <= moment] or self.published[:1]
        return known[-1][1:]


@dataclass(slots=True)
class Tenant:
    plan: AccountPlan
    row: Account
    staff: User
    began: datetime
    agents: list[Agent] = field(default_factory=list)
    # Keys as callers: "key:<id>".
    callers: list[str] = field(default_factory=list)
    people: list[User] = field(default_factory=list)
    # All rows of it, each after those that it refers to.
    rows: list[models.Model] = field(default_factory=list)

    def add[M: models.Model](self, row: M) -> M:
        self.rows.append(row)
        return row


def make_staff() -> list[User]:
    """Make the staff whom the audit log names; they have no passwords, so they cannot log in."""
    people = []
    for email, auditor in STAFF.items():
        values = {"is_staff": True, "is_auditor": auditor, "password": make_password(None)}
        person, is_new = User.objects.get_or_create(email=email, defaults=values)
        if is_new and not auditor:
            set_groups(person, StaffRole.SUPPORT)
        people.append(person)
    return people


def make_tenant(plan: AccountPlan, staff: User, now: datetime) -> Tenant:
    """Make up the account with everything but conversations."""
    began = now - timedelta(days=plan.since)
    row = Account(
        slug=plan.slug,
        name=plan.name,
        status=plan.status,
        suspended_reason=UNPAID if plan.status == SUSPENDED else "",
        subscription_tier=plan.tier,
        created_at=began,
    )
    tenant = Tenant(plan, row, staff, began, rows=[row])
    _add_people(tenant)
    for number, agent in enumerate(plan.agents):
        tenant.agents.append(_agent(tenant, agent, staff, now, rank=number))
    _add_keys(tenant, now)
    _add_limits(tenant)
    return tenant


def _add_people(tenant: Tenant) -> None:
    dice = seeded_random(tenant.plan.slug, "people")
    names = dice.sample(talk()["filling"]["names"], dice.randint(2, 6))
    domain = f"{tenant.plan.slug}.example"
    tenant.people = [
        User(
            email=email_of(name, domain),
            first_name=name.partition(" ")[0],
            last_name=name.partition(" ")[2],
            password=make_password(None),
            date_joined=tenant.began,
        )
        for name in names
    ]
    tenant.rows += tenant.people
    tenant.rows += [
        Membership(
            account=tenant.row,
            user=user,
            role=ROLES[min(place, 3)],
            created_at=tenant.began + timedelta(days=place),
        )
        for place, user in enumerate(tenant.people)
    ]
    if len(names) > 3:
        tenant.add(
            Invitation(
                account=tenant.row,
                email=f"new.colleague@{domain}",
                role=MemberRole.MEMBER,
                invited_by=tenant.people[0].email,
                token_hash=f"{dice.getrandbits(256):064x}",
                expires_at=timezone.now() + timedelta(days=5),
            )
        )


def _agent(tenant: Tenant, plan: AgentPlan, staff: User, now: datetime, *, rank: int) -> Agent:
    dice = seeded_random(tenant.plan.slug, plan.slug)
    began = tenant.began + timedelta(days=rank * 2, minutes=dice.randrange(600))
    overrides = _overrides(tenant.plan, plan)
    row = tenant.add(
        AgentInstance(
            account=tenant.row,
            instance_slug=plan.slug,
            display_name=f"{tenant.plan.name} {talk()[plan.kind]['title']}",
            created_at=began,
            override=overrides[-1][1],
        )
    )
    agent = Agent(plan, row)
    step = (now - began) / (len(overrides) + 1)
    for number, what in enumerate(overrides, 1):
        moment = began if number == 1 else began + step * number
        author = staff if dice.random() < 0.4 else tenant.people[0]
        _publish(agent, tenant, number, what, author, moment)
    if rank == 1:
        tenant.add(
            ConfigDraft(
                account=tenant.row,
                agent_instance=row,
                text=as_yaml(overrides[-1][1] | {"temperature": 0.4}),
                author=staff,
                author_name=staff.email,
            )
        )
    return agent


def _overrides(account: AccountPlan, plan: AgentPlan) -> list[tuple[str, dict[str, Any]]]:
    """Return each published override with its note, oldest first."""
    dice = seeded_random(account.slug, plan.slug, "published")
    prompt = system_prompt(account, plan.kind)
    first: dict[str, Any] = {
        "model": plan.before or plan.model,
        "temperature": 0.7,
        "max_tokens": 600,
        "system_prompt": prompt.rpartition("\n# ")[0].strip(),
        "opening_message": talk()[plan.kind]["opening"].format(company=account.name),
    }
    steps: list[dict[str, Any]] = [
        {"system_prompt": prompt},
        {"tools": ["current_time"]},
        {"max_tokens": 900},
        {"temperature": 0.3, "fallback_models": [FLASH if plan.model == MINI else MINI]},
    ]
    if plan.before:
        steps.append({"model": plan.model})
    notes = dice.sample(talk()["notes"], len(steps))
    published = [("First version", first)]
    # The tool comes early, because conversations use it.
    for note, step in zip(notes, steps[: dice.randint(2, 4)] + steps[4:], strict=False):
        published.append((note, published[-1][1] | step))
    return published


def _publish(
    agent: Agent,
    tenant: Tenant,
    number: int,
    what: tuple[str, dict[str, Any]],
    author: User,
    moment: datetime,
) -> None:
    note, override = what
    effective = read(tenant.plan.slug, agent.plan.slug, override=override)
    version = tenant.add(
        ConfigVersion(
            account=tenant.row,
            agent_instance=agent.row,
            digest=effective.digest,
            content=dict(effective.content),
            created_at=moment,
            last_served_at=moment,
        )
    )
    tenant.add(
        ConfigPublication(
            account=tenant.row,
            agent_instance=agent.row,
            number=number,
            text=as_yaml(override),
            override=override,
            note=note,
            author=author,
            author_name=author.email,
            config_version=version,
            created_at=moment,
        )
    )
    agent.published.append((moment, version, effective))


def _add_keys(tenant: Tenant, now: datetime) -> None:
    """Make keys without known secrets, so that no call can use them."""
    dice = seeded_random(tenant.plan.slug, "keys")
    chat_scopes = [Scope.CHAT, Scope.HISTORY_READ, Scope.AGENTS_READ]
    wanted: list[dict[str, Any]] = [
        {"name": "production", "scopes": [*chat_scopes, Scope.USAGE_READ]},
        {"name": "staging", "scopes": chat_scopes, "mode": KeyMode.TEST},
        {
            "name": "website",
            "kind": KeyKind.PUBLISHABLE,
            "scopes": [Scope.VISITORS_WRITE],
            "origins": [f"https://www.{tenant.plan.slug}.example"],
            "instance_ids": [tenant.agents[0].row.pk],
        },
        {"name": "old crm", "scopes": chat_scopes, "revoked_at": tenant.began + timedelta(days=9)},
        {"name": "nightly export", "scopes": [Scope.HISTORY_READ], "networks": ["192.0.2.0/24"]},
    ]
    for place, key in enumerate(wanted[: 3 if tenant.plan.tier == "free" else 5]):
        ended = key.get("revoked_at")
        used = None if place == 4 else (ended or now) - timedelta(minutes=dice.randrange(900))
        letters = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz"
        made = tenant.add(
            ApiKey(
                account=tenant.row,
                key_id="".join(dice.choices(letters, k=12)),
                secret_hash=f"{dice.getrandbits(256):064x}",
                created_at=tenant.began + timedelta(hours=place),
                expires_at=now + timedelta(days=dice.choice([3, 60, 200, 300])),
                first_used_at=used and tenant.began + timedelta(hours=place + 1),
                last_used_at=used,
                **key,
            )
        )
        # Whoever kept an ended key is refused, and has no turns.
        if key["name"] == "production":
            tenant.callers.append(f"key:{made.pk}")


def _add_limits(tenant: Tenant) -> None:
    tier = tenant.plan.tier
    limits = {"free": (30, 3), "enterprise": (1_200, 60)}.get(tier, (None, None))
    tenant.add(
        AccountLimits(account=tenant.row, requests_per_minute=limits[0], concurrent_turns=limits[1])
    )
    if tier == "enterprise" and tenant.plan.status == AccountStatus.ACTIVE:
        tenant.add(
            ProviderConnection(
                account=tenant.row,
                name="own-cluster",
                base_url=f"https://models.{tenant.plan.slug}.example/v1",
                secret_host=f"https://models.{tenant.plan.slug}.example",
            )
        )


class _Blocks(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Blocks.add_representer(str, _text)


def as_yaml(content: dict[str, Any]) -> str:
    return yaml.dump(content, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=100)
