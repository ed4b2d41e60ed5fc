"""The queries of the views find their rows by the index that was made for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import connection, models
from django.test import TestCase
from django.utils import timezone

from accounts.audit import timeline
from accounts.models import Account, ApiKey, AuditEntry
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import AgentInstance, ConfigVersion
from salient.cursor import Cursor
from sessions_app.models import LLMRequest, Message, Session
from tests.support.database import catalog
from tests.support.factories import (
    make_account,
    make_config_version,
    make_instance,
    make_key,
    make_llm_request,
    make_session,
)


def plan(query: models.QuerySet[Any]) -> dict[str, Any]:
    """PostgreSQL's plan when it does not read whole tables, which it does while they are small."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    return dict(json.loads(query.explain(format="json"))[0]["Plan"])


def account_calls() -> int:
    """How often this transaction has called the function of the policies."""
    query = "SELECT pg_stat_get_xact_function_calls('app_current_account()'::regprocedure)"
    [(calls,)] = catalog.rows(query)
    return int(calls or 0)


def steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from steps(child)


class IndexTests(TestCase):
    account: Account
    instance: AgentInstance
    session: Session

    @classmethod
    def setUpTestData(cls) -> None:
        cls.account = make_account("acme")
        cls.instance = make_instance(cls.account, "bot")
        cls.session = make_session(cls.instance)
        make_key(cls.account)
        make_config_version(cls.instance)
        make_llm_request(cls.session, completion_status="running")
        cls.fill()

    def setUp(self) -> None:
        # So that the database counts the calls of functions.
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL track_functions = 'pl'")

    @classmethod
    def fill(cls) -> None:
        """Enough sessions, requests and messages that an index is worth its while.

        Most rows are other accounts', as in life: an index of all accounts finds few of one.
        """
        other = make_session(make_instance(make_account("beta"), "bot"))
        slugs = f"'{cls.account.pk}', 'acme', '{cls.instance.pk}', 'bot'"
        owner = "account_id, account_slug, agent_instance_id, agent_instance_slug"
        with connection.cursor() as cursor:
            cursor.execute(f"""
                INSERT INTO sessions (id, {owner}, session_key, is_anonymous, last_activity_at)
                SELECT gen_random_uuid(), {slugs}, n::text, true, now() - n * interval '1 hour'
                FROM generate_series(1, 500) AS n;
                INSERT INTO llm_requests (id, {owner}, agent_type, session_id, provider, model,
                    completion_status, created_at)
                SELECT gen_random_uuid(), {slugs}, 'simple_chat', id, 'p', 'm', 'complete',
                    last_activity_at FROM sessions WHERE account_id = '{cls.account.pk}';
                INSERT INTO sessions (id, {owner}, session_key, is_anonymous, last_activity_at)
                SELECT gen_random_uuid(), {owner}, 'other' || n, true,
                    now() - n * interval '1 minute'
                FROM sessions, generate_series(1, 5000) AS n WHERE id = '{other.pk}';
                INSERT INTO llm_requests (id, {owner}, agent_type, session_id, provider, model,
                    completion_status, created_at)
                SELECT gen_random_uuid(), {owner}, 'simple_chat', id, 'p', 'm', 'complete',
                    now() - n * interval '1 minute'
                FROM sessions, generate_series(1, 5000) AS n WHERE id = '{other.pk}';
                INSERT INTO messages (id, account_id, agent_instance_id, session_id, role, content,
                    created_at)
                SELECT gen_random_uuid(), account_id, agent_instance_id, id, 'human', 'Hello',
                    now() - n * interval '1 minute'
                FROM sessions, generate_series(1, 2000) AS n
                WHERE id = '{cls.session.pk}' OR (n < 40 AND account_id = '{cls.account.pk}');
                INSERT INTO agent_instances (id, account_id, instance_slug, agent_type,
                    display_name, allowed_origins)
                SELECT gen_random_uuid(), '{cls.account.pk}', 'bot' || n, 'simple_chat', 'Bot',
                    '{{}}'
                FROM generate_series(1, 500) AS n;
                INSERT INTO api_keys (id, account_id, name, key_id, secret_hash, kind, mode,
                    scopes, instance_ids, origins, networks)
                SELECT gen_random_uuid(), '{cls.account.pk}', 'key', 'key' || n, n::text, 'secret',
                    'live', '{{chat}}', '{{}}', '{{}}', '{{}}'
                FROM generate_series(1, 500) AS n;
                INSERT INTO config_versions (id, account_id, agent_instance_id, digest, content)
                SELECT gen_random_uuid(), '{cls.account.pk}', '{cls.instance.pk}', n::text, '{{}}'
                FROM generate_series(1, 500) AS n;
                ANALYZE accounts, agent_instances, sessions, llm_requests, messages, api_keys,
                    config_versions, audit_log
            """)  # noqa: S608 - our own ids

    def assert_finds_by(self, index: str, query: models.QuerySet[Any]) -> list[dict[str, Any]]:
        found = list(steps(plan(query)))
        self.assertIn(index, [step.get("Index Name") for step in found])
        return found

    def assert_reads_in_order(self, index: str, query: models.QuerySet[Any]) -> None:
        """Expect a page to cost no more than its rows: nothing is sorted."""
        types = [step["Node Type"] for step in self.assert_finds_by(index, query)]
        self.assertNotIn("Sort", types)

    def test_the_newest_messages_of_a_session(self) -> None:
        with tenant_context(self.account.pk):
            messages = Message.objects.of(self.session, self.instance).newest_first()
            self.assert_reads_in_order("ix_messages_history", messages[:20])

    def test_the_messages_before_another(self) -> None:
        cursor = Message(pk=uuid4(), created_at=timezone.now())
        with tenant_context(self.account.pk):
            messages = Message.objects.of(self.session, self.instance).before(cursor)
            self.assert_reads_in_order("ix_messages_history", messages.newest_first()[:20])

    def test_a_session_by_its_key(self) -> None:
        with tenant_context(self.account.pk):
            session = Session.objects.of_instance(self.instance).filter(session_key="7")
            self.assert_finds_by("uq_sessions_session_key_account", session)

    def test_an_instance_by_its_slug(self) -> None:
        with tenant_context(self.account.pk):
            instance = AgentInstance.objects.active().filter(instance_slug="bot")
            self.assert_finds_by("uq_agent_instances_account_slug", instance)

    def test_an_account_by_its_slug(self) -> None:
        account = Account.objects.active().filter(slug="acme")
        self.assert_finds_by("uq_accounts_slug", account)

    def test_a_key_by_its_id(self) -> None:
        with platform_context():
            key = ApiKey.objects.select_related("account").filter(key_id="0" * 12)
            self.assert_finds_by("uq_api_keys_key_id", key)

    def test_a_page_of_a_history(self) -> None:
        place = Cursor(timezone.now(), uuid4())
        with platform_context():
            # One of many accounts: here, one has nearly all entries.
            entries = AuditEntry.objects.filter(account_id=uuid4())
            page = timeline.newest(entries, place, timeline.PAGE)
            self.assert_reads_in_order("ix_audit_log_account_time", page)
            about = AuditEntry.objects.filter(object_type="api_keys", object_id=str(uuid4()))
            self.assert_finds_by("ix_audit_log_object", timeline.newest(about, place, 30))

    def test_a_config_version_by_its_content(self) -> None:
        with platform_context():
            ConfigVersion.objects.bulk_create(
                ConfigVersion(
                    account=self.account,
                    agent_instance=self.instance,
                    digest=f"{number:064}",
                    content={},
                )
                for number in range(1_000, 1_300)
            )
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE config_versions")
            version = ConfigVersion.objects.filter(agent_instance=self.instance, digest="0" * 64)
            self.assert_finds_by("uq_config_versions_instance_digest", version)

    def test_running_requests_by_their_age(self) -> None:
        with platform_context():
            old = timezone.now() - timedelta(minutes=2)
            stale = LLMRequest.objects.running().filter(created_at__lt=old)
            # Both hold the running ones only, which are few.
            names = {step.get("Index Name") for step in steps(plan(stale))}
            self.assertTrue(
                names & {"ix_llm_requests_running", "uq_llm_requests_running_in_session"}
            )

    def test_the_newest_sessions_of_an_account(self) -> None:
        with tenant_context(self.account.pk):
            sessions = Session.objects.order_by("-last_activity_at", "-id")[:20]
            self.assert_reads_in_order("ix_sessions_account_activity", sessions)

    def test_the_newest_requests_of_an_account(self) -> None:
        with tenant_context(self.account.pk):
            requests = LLMRequest.objects.order_by("-created_at", "-id")[:20]
            self.assert_reads_in_order("ix_llm_requests_account_time", requests)

    def test_the_policy_alone_reads_by_the_index_and_asks_for_the_account_once(self) -> None:
        """A forgotten filter costs no whole table either: the policy is an index condition."""
        unfiltered = models.QuerySet[Session](Session).order_by("-last_activity_at", "-id")
        with tenant_context(self.account.pk):
            found = self.assert_finds_by("ix_sessions_account_activity", unfiltered[:20])
            self.assertNotIn("Sort", [step["Node Type"] for step in found])
            conditions = [step.get("Index Cond", "") for step in found]
            self.assertTrue(any("app_current_account()" in each for each in conditions))
            self.assert_asks_for_the_account_seldom(unfiltered)

    def test_a_scan_of_a_whole_table_asks_for_the_account_once_too(self) -> None:
        """Beside our own filter the policy compares two accounts before any row is read."""
        with tenant_context(self.account.pk), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
            found = list(steps(json.loads(Session.objects.all().explain(format="json"))[0]["Plan"]))
            self.assertIn("Seq Scan", [step["Node Type"] for step in found])
            self.assertTrue(any("One-Time Filter" in step for step in found))
            self.assert_asks_for_the_account_seldom(Session.objects.all())

    def assert_asks_for_the_account_seldom(self, sessions: models.QuerySet[Session]) -> None:
        """Expect it while planning and when the scan begins, and not for each of the rows."""
        before = account_calls()
        self.assertGreater(len(sessions), 500)
        self.assertLessEqual(account_calls() - before, 4)

    def test_every_foreign_key_finds_its_rows_by_an_index(self) -> None:
        """Deleting or renaming what is referred to must not read the whole table."""
        without = catalog.rows("""
            SELECT conname FROM pg_constraint
            WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND NOT EXISTS (
                SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = ANY(conkey)
            )
        """)
        self.assertEqual(without, [])


class IndexedTextTests(TestCase):
    """A row of a B-tree index holds at most 2,704 bytes; a text beyond it could not be stored."""

    def test_no_index_is_too_small_for_the_longest_texts_of_its_columns(self) -> None:
        # Four bytes for a character; a column without a limit has none here either.
        rows = catalog.rows("""
            SELECT indexrelid::regclass::text, coalesce(sum(CASE
                    WHEN typname IN ('varchar', 'bpchar') AND atttypmod > 0 THEN atttypmod * 4
                    WHEN typlen > 0 THEN typlen
                    -- An expression: lower(), of e-mail addresses only.
                    WHEN indkey[attnum - 1] = 0 THEN 255 * 4
                    ELSE 1000000
                END), 0)
            FROM pg_index
                JOIN pg_class AS indexed ON indexed.oid = indexrelid
                JOIN pg_am ON pg_am.oid = indexed.relam AND amname = 'btree'
                JOIN pg_attribute ON attrelid = indexrelid
                JOIN pg_type ON pg_type.oid = atttypid
            WHERE indexed.relnamespace = current_schema()::regnamespace
            GROUP BY 1
        """)
        self.assertGreater(len(rows), 50)
        self.assertEqual([name for name, size in rows if size > 2_600], [])
