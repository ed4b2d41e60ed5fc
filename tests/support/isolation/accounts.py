"""Accounts with rows in every table, whose rows no other account may see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache
from http import HTTPStatus
from typing import Any
from uuid import UUID
from weakref import WeakSet

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from accounts.limits.registry import CALL_RATES
from accounts.models import (
    Account,
    AccountLimits,
    Budget,
    Invitation,
    MemberRole,
    Membership,
    RateState,
    WebhookDelivery,
    WebhookEndpoint,
)
from accounts.tenancy.context import TenantModel, platform_context, tenant_context
from accounts.tenancy.roles import has_account
from agents.connections.connections import create_connection
from agents.instances.services import create_instance
from agents.models import AgentInstance
from salient import ttl
from sessions_app.models import Message, Role, Session
from tests.support.factories import (
    make_account,
    make_audit_entry,
    make_cancellation,
    make_config_draft,
    make_config_publication,
    make_config_version,
    make_delivery,
    make_erasure,
    make_event_batch,
    make_feedback,
    make_former_slugs,
    make_hold,
    make_key,
    make_llm_request,
    make_membership,
    make_message,
    make_profile,
    make_prompt_section,
    make_refusals,
    make_retention,
    make_saved_chat,
    make_saved_chat_run,
    make_session,
    make_support_access,
    make_usage_day,
    make_usage_total,
    make_user,
    make_webhook,
)

# Stands in all that belongs to the other account, so in nothing that anybody else may see.
CANARY = "canary-of-beta"
# Stands in every slot for a secret, so in no answer and no log at all.
SECRET = "sk-canary-secret-0123456789"


@dataclass
class Owned:
    """One account's rows, by what paths and bodies call them."""

    account: Account
    bot: AgentInstance
    key: str
    connection: str
    session: Session
    message: Message
    member: Membership
    invitation: Invitation
    webhook: WebhookEndpoint
    delivery: WebhookDelivery


def make_owned(slug: str, canary: str) -> Owned:
    """Make an account with rows in every table, each text with the canary."""
    account = make_account(slug, name=f"{canary} account")
    bot = create_instance(account, "bot", display_name=f"{canary} bot")
    key, text = make_key(account, name=f"{canary} key")
    session = make_session(
        bot,
        end_user=f"{canary} user",
        email=f"{canary}@example.com",
        title=f"{canary} title",
        meta={"note": canary},
    )
    request = make_llm_request(
        session,
        request_body={"note": canary, "response": {"object": "response", "user": canary}},
        response_body={"note": canary},
        caller=f"key:{key.pk}",
        config_version=make_config_version(bot, content={"note": canary}),
    )
    message = make_message(
        session, role=Role.ASSISTANT, content=f"{canary} said", llm_request=request
    )
    make_profile(session, customer_name=f"{canary} person")
    make_event_batch(request, events=[canary])
    make_cancellation(request)
    make_erasure(account, reason=canary, actor=canary)
    make_former_slugs(bot)
    make_retention(account, texts_days=3000)
    # Released, as callers delete their conversations here.
    make_hold(session, reason=canary, actor=canary, released_at=timezone.now())
    member = make_member(account, MemberRole.OWNER, f"{canary}-owner@example.com")
    with tenant_context(account.pk):
        invitation = Invitation.objects.create(
            account=account,
            email=f"{canary}-guest@example.com",
            role=MemberRole.VIEWER,
            token_hash=f"{canary}-token",
            expires_at=timezone.now() + timedelta(days=1),
        )
        AccountLimits.objects.create(account=account)
        Budget.objects.create(
            account=account, period="month", limit=Decimal(77), period_start=timezone.now()
        )
        RateState.objects.create(account=account, subject=canary, arrival=timezone.now())
        # What is noted once a minute is not noted while a test runs.
        account.api_keys.update(last_used_at=timezone.now() + timedelta(hours=1))
    make_refusals(account, agent=canary)
    make_records(bot, message, canary)
    name = f"{slug}-gpu"
    create_connection(
        account.pk, name=name, base_url=f"https://{canary}.example.com/v1", key=f"{SECRET}-{slug}"
    )
    webhook = make_webhook(
        account, url=f"https://{canary}.example.com/hook", description=canary, secret=SECRET
    )
    delivery = make_delivery(webhook, data={"note": canary})
    return Owned(account, bot, text, name, session, message, member, invitation, webhook, delivery)


def make_member(account: Account, role: MemberRole, email: str) -> Membership:
    user = make_user(email, first_name=email.partition("@")[0])
    return make_membership(account, user, role=role)


def make_records(bot: AgentInstance, message: Message, canary: str) -> None:
    """Make rows of what staff keep and see of an account, each text with the canary."""
    make_audit_entry(bot.account, object=canary, reason=canary)
    make_support_access(bot.account, staff=f"{canary}-staff@example.com", reason=canary)
    make_config_draft(bot, text=f"display_name: {canary}\n", author_name=canary)
    make_config_publication(bot, text=f"display_name: {canary}\n", note=canary, author_name=canary)
    make_usage_day(bot, model=canary)
    make_usage_total(bot.account, model=canary)
    make_prompt_section(bot.account, text=canary)
    make_feedback(message, comment=canary)
    make_saved_chat_run(
        make_saved_chat(bot, name=canary, messages=[canary]), answers=[{"answer": canary}]
    )


def high_rates() -> override_settings:
    """Let everything be called hundreds of times within a minute."""
    many = dict.fromkeys((limit.name for limit in CALL_RATES.values()), 1_000_000)
    return override_settings(DEFAULT_LIMITS=settings.DEFAULT_LIMITS | many)


@cache
def tenant_tables() -> dict[str, str]:
    """Return every table with rows of accounts, and the column that names the account."""
    tables = {
        model._meta.db_table: "account_id" for model in apps.get_models() if has_account(model)
    }
    named = {m._meta.db_table for m in apps.get_models() if issubclass(m, TenantModel)}
    assert named <= set(tables)
    return tables | {"accounts": "id"}


def rows_of(account: Account) -> Mapping[str, str]:
    """Return a hash of each table's rows of the account, all columns, read past every policy."""
    found = _execute("EXECUTE rows_of (%s)", account.pk)
    return {table: f"{count} {digest}" for table, count, digest in found}


def writes() -> int:
    """Count the writes to tables with rows of accounts that this transaction has made so far.

    While it stays the same, nothing is changed, which costs less to know than `rows_of`.
    """
    [(cached, uncached)] = _execute("EXECUTE writes")
    return int(cached + uncached)


def _cached_writes() -> int:
    """Count as `writes`, but without those that no cache holds."""
    [(cached, _)] = _execute("EXECUTE writes")
    return int(cached)


# Every call that is let in writes its rate, which no cache holds.
_UNCACHED = "rate_states"
# The connections that know these statements: they take longer to plan than to run.
_prepared: WeakSet[Any] = WeakSet()


def _execute(statement: str, *values: UUID) -> list[tuple[Any, ...]]:
    """Execute a prepared statement."""
    with connection.cursor() as cursor:
        if connection.connection not in _prepared:
            cursor.execute(f"PREPARE rows_of (uuid) AS {_rows_query()}")
            cursor.execute(f"PREPARE writes AS {_writes_query()}")
            _prepared.add(connection.connection)
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def _writes_query() -> str:
    cached = {table for table in tenant_tables() if table != _UNCACHED}
    return f"SELECT {_sum_of_writes(cached)}, {_sum_of_writes({_UNCACHED})}"


def _sum_of_writes(tables: Iterable[str]) -> str:
    """Write a query whose ids are constants: the names are looked up once, when it is planned."""
    ids = ", ".join(f"('{table}'::regclass::oid)" for table in tables)
    counts = (f"pg_stat_get_xact_tuples_{what}(id)" for what in ("inserted", "updated", "deleted"))
    return f"(SELECT sum({' + '.join(counts)}) FROM (VALUES {ids}) AS tables (id))"  # noqa: S608


def _rows_query() -> str:
    return " UNION ALL ".join(
        f"SELECT '{table}', count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) "  # noqa: S608
        f"FROM {table} AS t WHERE {column} = $1"
        for table, column in tenant_tables().items()
    )


def ids_of(account: Account) -> set[str]:
    """Return every UUID in the account's rows; no other account may see one of them."""
    found: set[str] = set()
    with platform_context():
        for model in apps.get_models():
            if not has_account(model):
                continue
            for row in model._base_manager.filter(account_id=account.pk).values():
                found |= {str(value) for value in row.values() if isinstance(value, UUID)}
    return found


type _Held = list[tuple[ttl.TTLCache[object, object], dict[object, tuple[float, object]]]]


def _rows_in_caches() -> _Held:
    return [(each, {**each._entries}) for each in list(ttl._caches) if each.is_of_rows]


def _clear_caches(held: _Held) -> None:
    """Forget everything but what was held before."""
    ttl.clear_caches()
    for each, entries in held:
        each._entries.update(entries)


@contextmanager
def rolled_back(*, expected: int = 200) -> Iterator[None]:
    """Undo changes of the database, and forget what the caches may have of them.

    A call that is refused, as `expected` says, changes nothing that another call could see. What
    was only read is the same for the next call, which finds it in the caches: also what they held
    of rows before a call that wrote, as the rows are again what they were.
    """
    if expected >= HTTPStatus.BAD_REQUEST:
        yield
        return
    before, held = _cached_writes(), _rows_in_caches()
    savepoint = transaction.savepoint_create()
    try:
        yield
    finally:
        if _cached_writes() != before:
            _clear_caches(held)
        transaction.savepoint_rollback(savepoint)
        # Thousands of them, one inside the other, would slow down every statement.
        transaction.savepoint_commit(savepoint)
