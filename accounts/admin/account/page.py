"""What an account's page tells besides its figures: what the account has, and who changed it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Max
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from accounts.admin.account.budget_bars import Bar, account_bars, bar_of
from accounts.admin.account.status import badge, open_to
from accounts.audit.log import STATES, changes_of, name_of
from accounts.limits.quotas import limit_of
from accounts.limits.registry import LIMITS
from accounts.models import (
    Account,
    AccountLimits,
    ApiKey,
    AuditEntry,
    Budget,
    Membership,
)

MOST_ROWS, AUDITED = 20, 8
TOOLS = (
    ("Sessions", "admin:sessions_app_session_changelist", "account__id__exact"),
    ("LLM requests", "admin:sessions_app_llmrequest_changelist", "account__id__exact"),
    ("Audit log", "admin:accounts_auditentry_changelist", "account__id__exact"),
    ("Why would this call be refused?", "admin:why-refused", "account"),
)


@dataclass(frozen=True, slots=True)
class AccountRow:
    """What the list of accounts tells of one without its ledger."""

    instances: int
    last_used_at: datetime | None
    bar: Bar | None


def rows_of(account_ids: Collection[UUID]) -> dict[UUID, AccountRow]:
    """Two queries for any number of accounts."""
    counted = Account.objects.filter(pk__in=account_ids).annotate(
        instances=Count("agent_instances"), last=Max("agent_instances__last_used_at")
    )
    bars = account_bars(account_ids)
    return {
        key: AccountRow(instances, last, bars.get(key))
        for key, instances, last in counted.values_list("pk", "instances", "last")
    }


def page_of(account: Account) -> dict[str, Any]:
    """Return what the account has: agents, keys, people, limits, budgets, its last changes."""
    agents = list(account.agent_instances.order_by("instance_slug")[: MOST_ROWS + 1])
    return {
        "badge": badge(account),
        "status_changes": open_to(account),
        "tools": tools(account),
        "agents": agents[:MOST_ROWS],
        "agents_page": filtered("agents_agentinstance", account),
        "more_agents": len(agents) > MOST_ROWS,
        "keys": [(key, key_state(key)) for key in _newest(ApiKey.objects, account, "-created_at")],
        "keys_page": filtered("accounts_apikey", account),
        "members": _newest(Membership.objects.select_related("user"), account, "created_at"),
        "members_page": filtered("accounts_membership", account),
        "limits": limits_of(account),
        "budgets": budgets_of(account),
        "budgets_page": filtered("accounts_budget", account),
        "audited": audited(account),
        "audit_page": filtered("accounts_auditentry", account),
    }


def _newest(rows: Any, account: Account, order: str) -> list[Any]:
    return list(rows.filter(account_id=account.pk).order_by(order)[:MOST_ROWS])


def key_state(key: ApiKey) -> dict[str, str]:
    if key.refusal() is None:
        return {"name": "active", "state": "ok"}
    if key.is_waiting and not key.revoked_at:
        return {"name": f"waits for {key.taker}", "state": "info"}
    return {"name": "revoked" if key.revoked_at else "expired", "state": "bad"}


def limits_of(account: Account) -> list[tuple[str, int | None, bool]]:
    """Name each limit, what holds, and whether it is the account's own."""
    row = AccountLimits.objects.filter(account_id=account.pk).first()
    return [
        (
            limit.label,
            row.output_tokens if row and name == "output_tokens" else _limit(row, name),
            getattr(row, name, None) is not None,
        )
        for name, limit in LIMITS.items()
    ]


def _limit(row: AccountLimits | None, name: str) -> int | None:
    return None if name == "output_tokens" else limit_of(row, name)


def budgets_of(account: Account) -> list[tuple[str, Bar]]:
    """Name whose budget each is, with how full it is."""
    rows = Budget.objects.filter(account_id=account.pk).order_by("agent_instance_id", "period")
    agents = dict(account.agent_instances.values_list("pk", "instance_slug"))
    return [
        (agents.get(row.agent_instance_id or account.pk, "the whole account"), bar_of(row))
        for row in rows
    ]


def audited(account: Account) -> list[dict[str, Any]]:
    entries = AuditEntry.objects.filter(account_id=account.pk).newest_first()[:AUDITED]
    return [
        {
            "entry": entry,
            "state": STATES.get(entry.action, ""),
            "what": name_of(entry.object_type),
            "columns": ", ".join(change.name for change in changes_of(entry)),
        }
        for entry in entries
    ]


def filtered(page: str, account: Account) -> str:
    """Return the address of a list, of this account's rows."""
    address = address_of(f"admin:{page}_changelist")
    query = urlencode({"account__id__exact": str(account.pk)})
    return f"{address}?{query}" if address else ""


def tools(account: Account) -> list[tuple[str, str]]:
    found = ((name, address_of(page), key) for name, page, key in TOOLS)
    return [(name, f"{address}?{key}={account.pk}") for name, address, key in found if address]


def address_of(name: str) -> str:
    """Return a page's address; rooms that are not installed have none."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
