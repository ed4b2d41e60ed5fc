"""Accounts, what is published for their agents, the files behind it, and unfinished erasures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from accounts.models import AccountStatus
from accounts.tenancy.context import platform_context
from agents.config import ConfigError, config_dir, read
from agents.config.files import DEFAULTS_FILE, InstanceFiles, found_accounts, found_instances
from agents.instances.services import instances_with_accounts
from agents.models import AgentInstance, InstanceStatus
from sessions_app.operations.integrity.checks import Check, Found, Scope, count_rows, of_account

# ruff: noqa: S608 - built from constants

_WITHOUT_AGENT = """
    SELECT own.id, own.slug FROM accounts AS own
    LEFT JOIN agent_instances AS agent ON agent.account_id = own.id
    WHERE own.status = 'active' AND (%(account)s::uuid IS NULL OR own.id = %(account)s::uuid)
        AND agent.id IS NULL
"""
_OTHER_OVERRIDE = f"""
    SELECT own.account_id, 'agent_instances ' || own.id FROM agent_instances AS own
    LEFT JOIN LATERAL (
        SELECT override FROM config_publications
        WHERE account_id = own.account_id AND agent_instance_id = own.id
        ORDER BY number DESC LIMIT 1
    ) AS newest ON true
    WHERE {of_account("own")} AND own.override IS DISTINCT FROM newest.override
"""
# One that was begun just now may still be at work.
_UNFINISHED = f"""
    SELECT own.account_id, 'erasures ' || own.id FROM erasures AS own
    WHERE {of_account("own")} AND own.finished_at IS NULL
        AND own.created_at < now() - interval '1 hour'
"""


def _instances(scope: Scope) -> list[AgentInstance]:
    with platform_context():
        rows = instances_with_accounts()
        return list(rows.filter(account_id=scope.account_id) if scope.account_id else rows)


def _unusable(scope: Scope) -> Iterator[tuple[UUID, str]]:
    for each in _instances(scope):
        is_served = each.status == InstanceStatus.ACTIVE
        if is_served and each.account.status == AccountStatus.ACTIVE:
            try:
                read(*each.folder, override=each.override)
            except ConfigError as error:
                reasons = "; ".join(str(error).splitlines())
                yield each.account_id, f"{each.full_slug}: {reasons}"


def _without_files(scope: Scope) -> Found:
    bare = [each for each in _instances(scope) if each.override is None and _has_no_files(each)]
    return Found.of((each.account_id, each.full_slug) for each in bare)


def _has_no_files(instance: AgentInstance) -> bool:
    if instance.status == InstanceStatus.ARCHIVED:
        return False
    base = config_dir()
    files = InstanceFiles(base, *instance.folder)
    return not any((base / path).exists() for path in files.paths if path != DEFAULTS_FILE)


def _without_instance(scope: Scope) -> Found:
    # What was renamed has its files where they were.
    known = {"/".join(each.folder) for each in _instances(scope)}
    base, own = config_dir(), None if scope.account is None else scope.account.folder
    folders = [
        f"{account}/{instance}"
        for account in found_accounts(base)
        if own in {None, account}
        for instance in found_instances(base, account)
    ]
    rows: list[tuple[Any, str]] = [(None, folder) for folder in folders if folder not in known]
    return Found.of(rows)


CHECKS = (
    Check(
        "agents",
        "Active accounts without any agent: nobody can call them.",
        "manage.py create_instance, or archive the account.",
        lambda scope: count_rows(_WITHOUT_AGENT, scope),
        is_notice=True,
    ),
    Check(
        "publications",
        "Agents whose published values differ from their newest publication.",
        "Publish the configuration again, in the admin or through the API.",
        lambda scope: count_rows(_OTHER_OVERRIDE, scope),
    ),
    Check(
        "configurations",
        "Active agents whose configuration cannot be used: their calls fail.",
        "manage.py config check says what is wrong with the files.",
        lambda scope: Found.of(_unusable(scope)),
    ),
    Check(
        "files",
        "Agents with neither files nor published values: they answer with the defaults.",
        "Write their config.yaml, or restore config/agent_configs.",
        _without_files,
        is_notice=True,
    ),
    Check(
        "folders",
        "Folders of configuration files to which no agent belongs.",
        "manage.py create_instance makes the agent; or remove the folder.",
        _without_instance,
        is_notice=True,
    ),
    Check(
        "erasures",
        "Erasures of persons that were begun over an hour ago and have not come to their end.",
        "manage.py erase_person for the same person continues it.",
        lambda scope: count_rows(_UNFINISHED, scope),
    ),
)
