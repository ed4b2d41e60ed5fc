"""Fills a database with the full demo, one transaction an account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Any

from django.db import connection, models
from django.utils import timezone

from accounts.auth.caller import CallerKind
from accounts.limits.periods import start_of
from accounts.models import (
    Account,
    AccountStatus,
    ActorKind,
    ApiKey,
    AuditAction,
    AuditEntry,
    Budget,
    BudgetPeriod,
    RefusalDay,
    SupportAccess,
    User,
)
from accounts.tenancy.accounts import list_accounts
from accounts.tenancy.context import platform_context
from agents.costs.pricing import ZERO
from agents.models import AgentInstance
from sessions_app.demo.plan import ACCOUNTS, UNPAID, dated_id, seeded_random
from sessions_app.demo.tenants import Tenant, make_staff, make_tenant
from sessions_app.demo.turns import Rows, conversations_of
from sessions_app.demo.words import conversation
from sessions_app.models import LLMRequest, SavedChat, SavedChatRun
from sessions_app.turns.prompts import Sections, store_sections
from sessions_app.usage.rollup import INSERT_DAYS

TURNS = 30_000
# No statement needs as long.
STATEMENT_SECONDS = 120
# Few: the transaction is ended when it waits for 10 s, as a busy machine takes to write a thousand.
BATCH = 200
# What the calls of these keys are refused with now and then.
REFUSED = {"production": (429, "rate_limited"), "old crm": (401, "unauthenticated")}
type Tell = Callable[[str], None]


def foreign_accounts(*, besides: Iterable[str] = ()) -> list[str]:
    """Return the slugs of the accounts that are not the demo's."""
    own = {plan.slug for plan in ACCOUNTS} | set(besides)
    return [account.slug for account in list_accounts() if account.slug not in own]


def fill(
    *, turns: int = TURNS, accounts: int | None = None, tell: Tell = lambda line: None
) -> dict[str, int]:
    """Make the accounts that are missing; return the number of new rows by kind.

    `tell` gets a line about each account.
    """
    now = timezone.now()
    with platform_context():
        staff = make_staff()
        known = set(Account.objects.values_list("slug", flat=True))
    plans = ACCOUNTS[:accounts]
    all_shares = sum(plan.share for plan in plans)
    made: dict[str, int] = {}
    for plan in plans:
        if plan.slug in known:
            continue
        # Outside of the transaction, which is ended when it waits too long for its next statement.
        tenant = make_tenant(plan, staff[0], now)
        rows = conversations_of(tenant, turns * plan.share / all_shares, now)
        with platform_context(statement_seconds=STATEMENT_SECONDS):
            _store(tenant, rows, staff, now)
        for kind, count in _counts(tenant, rows).items():
            made[kind] = made.get(kind, 0) + count
        tell(f"{plan.name}: made")
    return made


def _store(tenant: Tenant, made: Rows, staff: list[User], now: datetime) -> None:
    for row in tenant.rows:
        row.save(force_insert=True)
    _insert(made.sessions)
    _insert(made.requests)
    _insert(made.messages)
    _insert(made.feedback)
    _insert(made.profiles)
    store_sections(tenant.row.pk, Sections([], made.texts))
    with connection.cursor() as cursor:
        statement = INSERT_DAYS.format(which="AND account_id = %(account)s")
        cursor.execute(statement, {"account": tenant.row.pk})
    _touch_agents(tenant, made)
    _add_budgets(tenant, made, now)
    _add_test_chats(tenant, now)
    _add_refusals(tenant, now)
    _add_log(tenant, staff, now)


def _counts(tenant: Tenant, made: Rows) -> dict[str, int]:
    return {
        "accounts": 1,
        "agents": len(tenant.agents),
        "sessions": len(made.sessions),
        "turns": len(made.requests),
        "messages": len(made.messages),
        "feedback": len(made.feedback),
    }


def _insert(rows: Sequence[models.Model]) -> None:
    if rows:
        type(rows[0])._default_manager.bulk_create(rows, batch_size=BATCH)


def _touch_agents(tenant: Tenant, made: Rows) -> None:
    latest: dict[Any, datetime] = {}
    for request in made.requests:
        key, moment = request.agent_instance_id, request.settled_at
        if moment is not None:
            latest[key] = max(moment, latest.get(key, moment))
    for key, moment in latest.items():
        AgentInstance.objects.filter(pk=key).update(last_used_at=moment)


def _add_budgets(tenant: Tenant, made: Rows, now: datetime) -> None:
    """Add a month's budget that is spent as planned, and a day's for the first agent."""
    filled = tenant.plan.filled
    if not filled:
        return
    month = start_of(BudgetPeriod.MONTH, now)
    spent = _spent(made.requests, month)
    limit = max(spent / Decimal(str(filled)), Decimal(1))
    Budget.objects.create(
        account=tenant.row,
        period=BudgetPeriod.MONTH,
        limit=limit.quantize(Decimal("0.01"), ROUND_UP)
        if filled < 1
        else spent.quantize(Decimal("0.01"), ROUND_DOWN),
        period_start=month,
        spent=spent,
        alerted_percent=100 if filled >= 1 else 80 if filled >= 0.8 else 0,
    )
    first, day = tenant.agents[0].row, start_of(BudgetPeriod.DAY, now)
    today = _spent((r for r in made.requests if r.agent_instance_id == first.pk), day)
    Budget.objects.create(
        account=tenant.row,
        agent_instance_id=first.pk,
        period=BudgetPeriod.DAY,
        limit=max(today * 2, Decimal(5)).quantize(Decimal("0.01"), ROUND_UP),
        period_start=day,
        spent=today,
    )


def _spent(requests: Iterable[LLMRequest], since: datetime) -> Decimal:
    costs = (r.charged_cost for r in requests if r.settled_at and r.settled_at >= since)
    return sum((cost for cost in costs if cost is not None), ZERO)


def _add_refusals(tenant: Tenant, now: datetime) -> None:
    """Add calls that were refused today and on the days before, by key and agent."""
    if tenant.plan.status != AccountStatus.ACTIVE:
        return
    dice = seeded_random(tenant.plan.slug, "refusals")
    for key in (row for row in tenant.rows if isinstance(row, ApiKey)):
        if (refused := REFUSED.get(key.name)) is None:
            continue
        status, code = refused
        if tenant.plan.filled >= 1 and code == "rate_limited":
            status, code = 402, "budget_exceeded"
        for days in range(dice.randint(2, 5)):
            at = (now - timedelta(days=days)).astimezone(UTC)
            midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
            # A key has one row a day, also just after midnight.
            at = max(midnight, at - timedelta(minutes=dice.randrange(30)))
            RefusalDay.objects.create(
                account=tenant.row,
                day=at.date(),
                code=code,
                status=status,
                caller=CallerKind.SECRET_KEY,
                key_id=key.key_id,
                agent=tenant.agents[0].plan.slug,
                times=dice.randint(2, 90),
                last_at=at,
            )


def _add_test_chats(tenant: Tenant, now: datetime) -> None:
    """Add test chats of the first agent, which its newest configuration has passed."""
    agent, dice = tenant.agents[0], seeded_random(tenant.plan.slug, "test chats")
    version, _ = agent.at(now)
    ran = agent.published[-1][0]
    for number, name in enumerate(("First question", "A longer conversation")):
        exchanges = conversation(tenant.plan, agent.plan.kind, 1 + number * 2, dice)
        owner = {"account_id": tenant.row.pk, "agent_instance_id": agent.row.pk}
        chat = SavedChat.objects.create(
            **owner,
            name=name,
            messages=[each.question for each in exchanges],
            expected=[{"contains": [], "excludes": ["as an AI"]} for _ in exchanges],
            is_gate=number == 0,
        )
        # A test chat that is newer than its run would count as changed since.
        written = ran - timedelta(hours=1)
        SavedChat.objects.filter(pk=chat.pk).update(created_at=written, updated_at=written)
        SavedChatRun.objects.create(
            **owner,
            saved_chat=chat,
            config_version=version,
            passed=True,
            answers=[
                {
                    "message": each.question,
                    "answer": each.answer,
                    "status": "complete",
                    "error": "",
                    "cost": "0.00042000",
                    "latency_ms": 900 + 7 * len(each.answer),
                    "tools": [],
                    "failures": [],
                }
                for each in exchanges
            ],
            cost=Decimal("0.00042") * len(exchanges),
            latency_ms=sum(900 + 7 * len(each.answer) for each in exchanges),
            created_at=ran,
        )


def _add_log(tenant: Tenant, staff: list[User], now: datetime) -> None:
    """Add audit entries of some weeks, and one support access."""
    dice = seeded_random(tenant.plan.slug, "log")
    moments = sorted(
        tenant.began + (now - tenant.began) * dice.random() for _ in range(dice.randint(4, 9))
    )
    entries = []
    for moment in moments:
        table, name, changes, actor = dice.choice(_changes(tenant, staff))
        entries.append(
            AuditEntry(
                id=dated_id(moment, dice),
                account=tenant.row,
                created_at=moment,
                actor_kind=ActorKind.STAFF if actor in staff else ActorKind.MEMBER,
                actor_id=str(actor.pk),
                actor=actor.email,
                action=AuditAction.CHANGED,
                object_type=table,
                object_id=str(tenant.row.pk),
                object=name,
                changes=changes,
            )
        )
    if tenant.plan.until:
        entries.append(_closed(tenant, staff[0], now, dice))
    AuditEntry.objects.bulk_create(entries)
    begun = now - timedelta(days=dice.randint(2, 20), minutes=dice.randrange(600))
    SupportAccess.objects.create(
        account=tenant.row,
        user=staff[0],
        staff=staff[0].email,
        reason=f"Ticket {dice.randrange(1_000, 9_999)}: an answer that looks wrong",
        created_at=begun,
        expires_at=begun + timedelta(hours=1),
    )


def _changes(tenant: Tenant, staff: list[User]) -> list[tuple[str, str, dict[str, Any], User]]:
    owner, last = tenant.people[0], tenant.people[-1]
    renamed = {"name": [tenant.plan.slug.title(), tenant.plan.name]}
    return [
        ("accounts", tenant.plan.slug, renamed, owner),
        ("account_limits", tenant.plan.slug, {"concurrent_turns": [20, 40]}, staff[0]),
        ("account_limits", tenant.plan.slug, {"requests_per_minute": [300, 600]}, staff[0]),
        ("budgets", "month", {"limit": ["25.00000000", "40.00000000"]}, staff[0]),
        ("memberships", str(last.pk), {"role": ["viewer", "member"]}, owner),
        ("api_keys", "production", {"networks": [[], ["192.0.2.0/24"]]}, owner),
    ]  # fmt: skip


def _closed(tenant: Tenant, staff: User, now: datetime, dice: Any) -> AuditEntry:
    moment = now - timedelta(days=tenant.plan.until)
    changes = {"status": ["active", tenant.plan.status.value]}
    if tenant.row.suspended_reason:
        changes["suspended_reason"] = ["", tenant.row.suspended_reason]
    return AuditEntry(
        id=dated_id(moment, dice),
        account=tenant.row,
        created_at=moment.astimezone(UTC),
        actor_kind=ActorKind.STAFF,
        actor_id=str(staff.pk),
        actor=staff.email,
        action=AuditAction.CHANGED,
        object_type="accounts",
        object_id=str(tenant.row.pk),
        object=tenant.plan.slug,
        changes=changes,
        reason=UNPAID,
    )
