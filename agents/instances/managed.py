"""Agents as an account's own people and keys manage them: made, changed, able to answer or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models.functions import Now

from accounts.auth.caller import Caller
from accounts.auth.decorators import require_whole_account
from accounts.models import Account
from accounts.models.slugs import is_slug, title_of
from accounts.tenancy.context import tenant_context
from accounts.tenancy.locks import lock_rows
from agents.api import decorators
from agents.config import ConfigError, ConfigProblem, EffectiveConfig, read
from agents.config.versions import publishing
from agents.config.versions.faults import uncallable_models
from agents.config.versions.publishing import Author
from agents.connections.connections import connections_for
from agents.instances.renames import rename_agent
from agents.instances.status import set_status
from agents.models import AgentInstance, ConfigVersion, InstanceStatus
from agents.runtime.providers import model_problem
from salient.api.problems import Invalid, Problem
from salient.cursor import NameCursor

MOST_AGENTS = 1_000
FIRST_NOTE = "First configuration"


class AgentExists(Problem):
    """The account has an agent of that name, perhaps an archived one."""

    status = HTTPStatus.CONFLICT
    code = "agent_exists"

    def __init__(self) -> None:
        super().__init__("The account has an agent of that name, perhaps an archived one.")


class TooManyAgents(Problem):
    """The account has 1,000 agents."""

    status = HTTPStatus.CONFLICT
    code = "too_many_agents"

    def __init__(self) -> None:
        super().__init__(f"The account has {MOST_AGENTS} agents.")


@dataclass(frozen=True, slots=True)
class AgentState:
    """Whether an agent can answer and with what; `problems` say why not, or what to mend."""

    can_answer: bool
    effective: EffectiveConfig | None = None
    problems: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)
    published_version: int | None = None


def any_instance(account_id: UUID, slug: str) -> AgentInstance | None:
    """Return the account's agent with its account, whatever its status."""
    if not is_slug(slug):
        return None
    with tenant_context(account_id):
        rows = AgentInstance.objects.select_related("account").filter(account_id=account_id)
        return rows.filter(instance_slug=slug).first()


def agents_with_status(
    caller: Caller,
    status: str | None,
    *,
    after: NameCursor | None = None,
    limit: int | None = None,
) -> list[AgentInstance]:
    """List the agents that the caller may use, by slug; a status of None is all of them.

    With a limit it is one more than that, if there are more.
    """
    with tenant_context(caller.account_id):
        rows = AgentInstance.objects.filter(account_id=caller.account_id)
        rows = rows.filter(status=status) if status else rows
        rows = rows.filter(pk__in=caller.instance_ids) if caller.instance_ids else rows
        rows = rows if after is None else rows.filter(instance_slug__gt=after.name)
        return list(rows.order_by("instance_slug")[: None if limit is None else limit + 1])


def make_agent(
    caller: Caller,
    author: Author,
    *,
    instance_slug: str,
    display_name: str | None,
    allowed_origins: Sequence[str],
    config: str,
) -> AgentInstance:
    """Make an agent and publish its first configuration, both or neither; "" publishes nothing.

    Raises Forbidden, Invalid, AgentExists, TooManyAgents, ConfigError.
    """
    require_whole_account(caller)
    try:
        with tenant_context(caller.account_id):
            account = Account.objects.get(pk=caller.account_id)
            agent = add_agent(
                account,
                author,
                instance_slug=instance_slug,
                display_name=display_name,
                allowed_origins=allowed_origins,
                config=config,
            )
            # The columns that the database has filled in.
            agent.refresh_from_db(fields=["created_at", "updated_at"])
    except IntegrityError as error:
        raise AgentExists from error
    return agent


def add_agent(
    account: Account,
    author: Author,
    *,
    instance_slug: str,
    display_name: str | None = None,
    allowed_origins: Sequence[str] = (),
    config: str,
) -> AgentInstance:
    """Make an agent and publish its first configuration; "" publishes nothing.

    Call it inside a context, in a transaction of its own: what fails leaves rows behind. Raises
    Invalid, AgentExists, TooManyAgents, ConfigError.
    """
    agent = AgentInstance(
        account=account,
        instance_slug=instance_slug,
        display_name=display_name or title_of(instance_slug),
        allowed_origins=list(allowed_origins),
    )
    _add(agent)
    if config.strip():
        publishing.publish(agent, config, FIRST_NOTE, author)
    return agent


def _add(agent: AgentInstance) -> None:
    lock_rows("agents", agent.account_id)
    same = AgentInstance.objects.filter(account_id=agent.account_id)
    if same.filter(instance_slug=agent.instance_slug).exists():
        raise AgentExists
    if same.count() >= MOST_AGENTS:
        raise TooManyAgents
    try:
        agent.full_clean()
    except ValidationError as error:
        raise Invalid.of_rules(error) from error
    agent.save(force_insert=True)


def change_agent(instance: AgentInstance, changes: Mapping[str, Any]) -> AgentInstance:
    """Change slug, `display_name`, `allowed_origins` or `status`, as far as they are given.

    Raises Invalid, SlugTaken.
    """
    others = {"status", "instance_slug"}
    fields = {name: value for name, value in changes.items() if name not in others}
    with tenant_context(instance.account_id):
        if "instance_slug" in changes:
            instance = rename_agent(instance, changes["instance_slug"])
        for name, value in fields.items():
            setattr(instance, name, value)
        save_changes(instance, list(fields))
        if "status" in changes:
            set_status([instance], changes["status"])
        instance.refresh_from_db(fields=["updated_at"])
    return instance


def save_changes(instance: AgentInstance, names: Sequence[str]) -> None:
    """Store these columns alone, as somebody may be publishing at this moment; in a context."""
    if not names:
        return
    values = {name: getattr(instance, name) for name in names}
    AgentInstance.objects.filter(pk=instance.pk).update(**values, updated_at=Now())
    decorators.forget_after_commit(instance)


def state_of(instance: AgentInstance) -> AgentState:
    """Say whether the agent would answer now, from its files as they are; in a context."""
    is_active = instance.status == InstanceStatus.ACTIVE and not instance.suspended_reason
    last = publishing.newest(instance)
    number = last.number if last else None
    try:
        effective = read(*instance.folder, override=instance.override)
    except ConfigError as error:
        # One that served before serves on.
        serves = ConfigVersion.objects.last_served(instance) is not None
        problems = list(error.problems)
        return AgentState(is_active and serves, problems=problems, published_version=number)
    config = effective.config
    working = connections_for(instance.account_id, config.models)
    reason = publishing.missing_connection(config, working) or uncallable_models(config, working)
    wanted = reason or model_problem(config.model)
    found = [ConfigProblem("", wanted, key="model")] if wanted else []
    return AgentState(
        is_active and not reason,
        effective,
        problems=found if reason else [],
        warnings=[] if reason else found,
        published_version=number,
    )
