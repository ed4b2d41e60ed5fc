"""The schema can be distributed by account, as Citus does it; checked without Citus."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count
from django.test import TestCase

from accounts.tenancy.context import tenant_context
from accounts.tenancy.roles import TENANT_RIGHTS
from agents.models import AgentInstance
from tests.support.database import catalog
from tests.support.factories import make_account, make_instance

# These stay together on one server: who may log in, and sums over all accounts.
LOCAL = {
    "accounts",
    "users",
    "api_keys",
    "former_slugs",
    "memberships",
    "invitations",
    "support_accesses",
    "usage_totals",
}
DISTRIBUTED = sorted(set(TENANT_RIGHTS) - LOCAL)
# A table or constraint -> why it may break the rule.
PERMITTED = {
    "unique without account_id": {
        "audit_log_pkey": "the log has entries of no account, and a primary key holds no null",
        "uq_message_feedback_message_caller": "servers of the release before write feedback by it",
    },
    "account_id may be null": {"audit_log": "the log has entries of no account"},
    "ON UPDATE CASCADE with account_id": {
        "fk_llm_requests_agent_instance_id": "holds the slug, which may be renamed",
        "fk_sessions_agent_instance_id": "holds the slug, which may be renamed",
    },
    "ON DELETE SET with account_id": {
        "fk_messages_llm_request_id": "a message outlives its request",
    },
    "trigger": dict.fromkeys(
        (
            "account_limits.recorded",
            "agent_instances.recorded",
            "budgets.recorded",
            "config_publications.recorded",
            "erasures.recorded",
            "legal_holds.recorded",
            "retentions.recorded",
            "message_feedback.recorded",
            "profiles.recorded",
            "provider_connections.recorded",
            "saved_chats.recorded",
            "sessions.recorded",
            "webhook_endpoints.recorded",
        ),
        "the audit log, which names who changed the row",
    )
    | {"agent_instances.guarded": "no slug goes to another agent while it leads to one"}
    | dict.fromkeys(
        ("message_feedback.published", "sessions.published"),
        "the outbox of webhooks, which is written with what happened",
    )
    | dict.fromkeys(
        (f"usage_days.forget_on_{what}" for what in ("insert", "update", "delete")),
        "a kept total of a changed day is wrong",
    ),
}
# Erasing an account or a person takes their rows along; a distributed table does it by triggers.
KEYS_TO_LOCAL_TABLES = {"accounts", "users"}
UNIQUE = """
    SELECT indexrelid::regclass::text FROM pg_index
    WHERE indisunique AND indrelid = ANY(%(tables)s::text[]::regclass[]) AND NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = indrelid AND attnum = ANY(indkey) AND attname = 'account_id'
    )
"""
KEYS = """
    SELECT conrelid::regclass::text, conname, confrelid::regclass::text, confupdtype = 'c',
        confdeltype IN ('n', 'd'), EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = conrelid AND attnum = ANY(conkey) AND attname = 'account_id'
        )
    FROM pg_constraint
    WHERE contype = 'f' AND (conrelid = ANY(%(tables)s::text[]::regclass[])
        OR confrelid = ANY(%(tables)s::text[]::regclass[]))
"""
POLICIES = """
    SELECT polrelid::regclass::text FROM pg_policy
    WHERE polrelid = ANY(%(tables)s::text[]::regclass[])
        AND concat(polqual::text, polwithcheck::text) LIKE '%%SUBLINK%%'
"""
TRIGGERS = """
    SELECT tgrelid::regclass || '.' || tgname FROM pg_trigger
    WHERE NOT tgisinternal AND tgrelid = ANY(%(tables)s::text[]::regclass[])
"""
NULLS = """
    SELECT attrelid::regclass::text FROM pg_attribute
    WHERE attname = 'account_id' AND NOT attnotnull
        AND attrelid = ANY(%(tables)s::text[]::regclass[])
"""


def findings() -> Iterator[tuple[str, str]]:
    """What Citus refuses or does in another way: the rule, and what breaks it."""
    tables = {"tables": DISTRIBUTED}
    for rule, query in (
        ("unique without account_id", UNIQUE),
        ("sub-select in a policy", POLICIES),
        ("trigger", TRIGGERS),
        ("account_id may be null", NULLS),
    ):
        yield from ((rule, name) for (name,) in catalog.rows(query, tables))
    for table, name, target, follows_updates, sets, has_account in catalog.rows(KEYS, tables):
        if table not in DISTRIBUTED:
            yield "key from a local table", name
        elif target not in DISTRIBUTED:
            if target not in KEYS_TO_LOCAL_TABLES:
                yield "key to a local table", name
        elif not has_account:
            yield "key without account_id", name
        else:
            if follows_updates:
                yield "ON UPDATE CASCADE with account_id", name
            if sets:
                yield "ON DELETE SET with account_id", name


class DistributionTests(TestCase):
    def test_only_what_is_permitted_stands_in_the_way(self) -> None:
        permitted = {(rule, name) for rule, names in PERMITTED.items() for name in names}
        self.assertEqual(set(findings()), permitted)

    def test_every_table_with_an_account_is_distributed_or_local(self) -> None:
        found = catalog.rows(
            "SELECT attrelid::regclass::text FROM pg_attribute "
            "JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r' "
            "AND relnamespace = current_schema()::regnamespace WHERE attname = 'account_id'"
        )
        tables = {table for (table,) in found} | {"accounts", "users"}
        self.assertEqual(tables, {*DISTRIBUTED, *LOCAL})

    def test_only_keys_that_hold_a_slug_follow_an_update(self) -> None:
        following = catalog.rows("""
            SELECT conname, EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = conrelid AND attnum = ANY(conkey) AND attname LIKE '%slug')
            FROM pg_constraint WHERE contype = 'f' AND confupdtype = 'c'
                AND connamespace = current_schema()::regnamespace
        """)
        self.assertEqual(len(following), 4)
        self.assertEqual({name for name, has_slug in following if not has_slug}, set())

    def test_a_query_may_count_what_belongs_to_whole_rows(self) -> None:
        """PostgreSQL no longer takes a row's columns for granted in a group of its id alone."""
        instance = make_instance(make_account("acme"), "bot")
        with tenant_context(instance.account_id):
            found = AgentInstance.objects.filter(account_id=instance.account_id)
            [row] = found.annotate(published=Count("config_publications"))
            self.assertEqual((row.instance_slug, vars(row)["published"]), ("bot", 0))
