"""Renames an agent, and keeps the files that configure what was renamed.

A rename moves no file: other servers may have copies, some cannot write them, and no commit
covers both. The row says where they lie instead, so that every process reads the same
configuration before and after the commit.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Account
from accounts.models.slugs import is_slug
from accounts.tenancy import renames
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.locks import lock_conversations
from accounts.tenancy.lookups import find_active_account
from accounts.tenancy.renames import (
    KEPT,
    SlugTaken,
    allow_long_statements,
    check_slug,
    require_rest,
)
from agents.config import config_dir
from agents.instances.services import active_instance
from agents.models import AgentInstance, FormerAgentSlug, InstanceStatus
from salient.ttl import forget_rows


class FilesDiffer(Exception):
    """The files in the folder of the new name are not those that are in force."""


def keep_files(account: Account, slug: str) -> str:
    """Have a renamed account's agents go on with their files; return where these lie.

    It is called before the slug changes. "": under the account's slug, or nowhere.
    """
    folder = account.folder
    base = config_dir()
    is_needed = folder != slug and ((base / folder).exists() or (base / slug).exists())
    place = folder if is_needed else slug
    for agent in AgentInstance.objects.filter(account_id=account.pk):
        _, own = agent.folder_in(account.slug)
        is_usual = (place, own) == (slug, agent.instance_slug)
        AgentInstance.objects.filter(account_id=account.pk, pk=agent.pk).update(
            config_folder="" if is_usual else f"{place}/{own}"
        )
    return folder if is_needed else ""


def rename_agent(instance: AgentInstance, slug: str, *, kept: timedelta = KEPT) -> AgentInstance:
    """Give the agent another slug; inside a context of its account, or the platform's.

    As rename_account does. Raises Invalid, SlugTaken.
    """
    check_slug(slug)
    allow_long_statements()
    lock_conversations(instance.account_id, [instance.pk])
    rows = AgentInstance.objects.filter(account_id=instance.account_id, pk=instance.pk)
    agent = rows.select_for_update(of=("self",)).select_related("account").get()
    if agent.instance_slug == slug:
        return agent
    require_rest(agent.account_id, agent, "instance_slug")
    former, (account, folder) = agent.instance_slug, agent.folder
    agent.config_folder = _folder(account, folder, slug, agent.account.slug)
    agent.instance_slug = slug
    old = FormerAgentSlug.objects.filter(
        account_id=agent.account_id, agent_instance_id=agent.pk, instance_slug__in=[slug, former]
    )
    try:
        with transaction.atomic():
            old.delete()
            if kept:
                FormerAgentSlug.objects.create(
                    account_id=agent.account_id,
                    agent_instance_id=agent.pk,
                    instance_slug=former,
                    expires_at=timezone.now() + kept,
                )
            rows.update(instance_slug=slug, config_folder=agent.config_folder, updated_at=Now())
    except IntegrityError as error:
        raise SlugTaken(slug) from error
    transaction.on_commit(forget_rows)
    return agent


def _folder(account: str, folder: str, slug: str, account_slug: str) -> str:
    """Return where the renamed agent's files lie; "" where that is under its slugs."""
    base = config_dir() / account
    if folder != slug and ((base / folder).exists() or (base / slug).exists()):
        return f"{account}/{folder}"
    return "" if account == account_slug else f"{account}/{slug}"


def use_own_folder(account: Account) -> list[str]:
    """Read the files of a renamed account and its agents from folders of their slugs again.

    The files have to be there already, copied; the old ones are not touched. Returns the folders
    that are not read any more. Raises FilesDiffer; then nothing is changed. Call it inside the
    platform context.
    """
    base, left = config_dir(), []
    agents = AgentInstance.objects.filter(account_id=account.pk).exclude(config_folder="")
    if account.config_folder:
        _require_same(base / account.config_folder, base / account.slug)
        left.append(account.config_folder)
    for agent in agents:
        _require_same(base / agent.config_folder, base / account.slug / agent.instance_slug)
        left.append(agent.config_folder)
    agents.update(config_folder="")
    Account.objects.filter(pk=account.pk).update(config_folder="")
    transaction.on_commit(forget_rows)
    return left


def _require_same(old: Path, new: Path) -> None:
    for file in old.iterdir() if old.is_dir() else ():
        other = new / file.name
        if file.is_file() and (not other.is_file() or other.read_bytes() != file.read_bytes()):
            raise FilesDiffer(f"{other} is not the same as {file}.")


def former_slugs_of(instance: AgentInstance) -> list[FormerAgentSlug]:
    """Return the slugs that still lead to the agent, the newest first; in a context."""
    rows = FormerAgentSlug.objects.filter(
        account_id=instance.account_id, agent_instance_id=instance.pk, expires_at__gt=Now()
    )
    return list(rows.order_by("-created_at", "instance_slug"))


def release_slug(instance: AgentInstance, slug: str) -> bool:
    """Let another agent have the slug, whose old URLs are 404 from now on; in a context."""
    rows = FormerAgentSlug.objects.filter(
        account_id=instance.account_id, agent_instance_id=instance.pk, instance_slug=slug
    )
    return bool(rows.delete()[0])


def require_free(instance: AgentInstance, slug: str) -> None:
    """Raise SlugTaken where another agent of the account has the slug, or had it until lately."""
    with tenant_context(instance.account_id):
        agents = AgentInstance.objects.filter(account_id=instance.account_id, instance_slug=slug)
        named = agents.first()
    holder = named or led_to(instance.account_id, slug)
    if holder is not None and holder.pk != instance.pk:
        raise SlugTaken(slug)


def led_to(account_id: UUID, slug: str) -> AgentInstance | None:
    """Return the account's agent that had this slug until lately."""
    if not is_slug(slug):
        return None
    with tenant_context(account_id):
        former = FormerAgentSlug.objects.filter(
            account_id=account_id,
            agent_instance_id=OuterRef("pk"),
            instance_slug=slug,
            expires_at__gt=Now(),
        )
        agents = AgentInstance.objects.filter(Exists(former), account_id=account_id)
        return agents.first()


def renamed_page(account_slug: str, slug: str) -> dict[str, str] | None:
    """Return today's "account" and "instance" of an active agent, where one was another lately."""
    account = find_active_account(account_slug)
    if account is None and (now := renames.led_to(account_slug)):
        account = find_active_account(now)
    if account is None or not is_slug(slug):
        return None
    found = active_instance(account.slug, slug) or led_to(account.pk, slug)
    if found is None or found.status != InstanceStatus.ACTIVE:
        return None
    return {"account": account.slug, "instance": found.instance_slug}


def forget_expired_slugs() -> int:
    """Delete the slugs of agents that lead nowhere any more; return how many they were."""
    with platform_context():
        return FormerAgentSlug.objects.filter(expires_at__lte=Now()).delete()[0]
