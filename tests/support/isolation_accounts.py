"""Accounts with rows in every table, whose rows no other account may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import (
    Account,
    AccountLimits,
    Budget,
    Invitation,
    MemberRole,
    Membership,
    RateState,
)
from accounts.tenancy.context import TenantModel, platform_context, tenant_context
from accounts.tenancy.roles import has_account
from agents.connections.connections import create_connection
from agents.instances.services import create_instance
from agents.models import AgentInstance
from salient.ttl import clear_caches
from sessions_app.models import Message, Role, Session
from tests.support.factories import (
    make_account,
    make_audit_entry,
    make_config_draft,
    make_config_publication,
    make_config_version,
    make_feedback,
    make_key,
    make_llm_request,
    make_membership,
    make_message,
    make_profile,
    make_prompt_section,
    make_saved_chat,
    make_saved_chat_run,
    make_session,
    make_support_access,
    make_usage_day,
    make_usage_total,
    make_user,
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


def make_owned(slug: str, mark: str) -> Owned:
    """Make an account with rows in every table, each text with the mark."""
    account = make_account(slug, name=f"{mark} account")
    bot = create_instance(account, "bot", display_name=f"{mark} bot")
    key, text = make_key(account, name=f"{mark} key")
    session = make_session(
        bot, end_user=f"{mark} user", email=f"{mark}@example.com", meta={"note": mark}
    )
    request = make_llm_request(
        session,
        request_body={"note": mark},
        response_body={"note": mark},
        caller=f"key:{key.pk}",
        config_version=make_config_version(bot, content={"note": mark}),
    )
    message = make_message(
        session, role=Role.ASSISTANT, content=f"{mark} said", llm_request=request
    )
    make_profile(session, customer_name=f"{mark} person")
    member = make_member(account, MemberRole.OWNER, f"{mark}-owner@example.com")
    with tenant_context(account.pk):
        invitation = Invitation.objects.create(
            account=account,
            email=f"{mark}-guest@example.com",
            role=MemberRole.VIEWER,
            token_hash=f"{mark}-token",
            expires_at=timezone.now() + timedelta(days=1),
        )
        AccountLimits.objects.create(account=account)
        Budget.objects.create(
            account=account, period="month", limit=Decimal(77), period_start=timezone.now()
        )
        RateState.objects.create(account=account, subject=mark, arrival=timezone.now())
        # What is noted once a minute is not noted while a test runs.
        account.api_keys.update(last_used_at=timezone.now() + timedelta(hours=1))
    make_insights(bot, message, mark)
    name = f"{slug}-gpu"
    create_connection(
        account.pk, name=name, base_url=f"https://{mark}.example.com/v1", key=f"{SECRET}-{slug}"
    )
    return Owned(account, bot, text, name, session, message, member, invitation)


def make_member(account: Account, role: MemberRole, email: str) -> Membership:
    user = make_user(email, first_name=email.partition("@")[0])
    return make_membership(account, user, role=role)


def make_insights(bot: AgentInstance, message: Message, mark: str) -> None:
    """Make rows of what staff keep and see of an account, each text with the mark."""
    make_audit_entry(bot.account, object=mark, reason=mark)
    make_support_access(bot.account, staff=f"{mark}-staff@example.com", reason=mark)
    make_config_draft(bot, text=f"description: {mark}\n", author_name=mark)
    make_config_publication(bot, text=f"description: {mark}\n", note=mark, author_name=mark)
    make_usage_day(bot, model=mark)
    make_usage_total(bot.account, model=mark)
    make_prompt_section(bot.account, text=mark)
    make_feedback(message, comment=mark)
    make_saved_chat_run(
        make_saved_chat(bot, name=mark, messages=[mark]), answers=[{"answer": mark}]
    )


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
    parts = [
        f"SELECT '{table}', count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) "  # noqa: S608
        f"FROM {table} AS t WHERE {column} = %(account)s"
        for table, column in tenant_tables().items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), {"account": account.pk})
        return {table: f"{count} {digest}" for table, count, digest in cursor.fetchall()}


def ids_of(account: Account) -> set[str]:
    """Return every UUID that stands in the account's rows: nobody else may learn one of them."""
    found: set[str] = set()
    with platform_context():
        for model in apps.get_models():
            if not has_account(model):
                continue
            for row in model._base_manager.filter(account_id=account.pk).values():
                found |= {str(value) for value in row.values() if isinstance(value, UUID)}
    return found


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo in the database and in the process whatever happens inside."""
    clear_caches()
    savepoint = transaction.savepoint_create()
    try:
        yield
    finally:
        transaction.savepoint_rollback(savepoint)
