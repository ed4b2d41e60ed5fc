"""Every hot query finds its rows by an index and reads few, however large the tables are.

`QUERY_PLAN_ROWS=5000000` tries it with as many requests. What is counted is what PostgreSQL read,
inside functions and for foreign keys too, with the rows that a filter threw away.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from asgiref.sync import async_to_sync
from django.db import connection
from django.test import TestCase, override_settings
from django.utils import timezone

from accounts.auth.caller import Caller
from accounts.auth.revocation import still_admitted
from accounts.limits import budgets
from accounts.limits.status import limit_status
from accounts.members.search import find_invitations, find_memberships, find_users
from accounts.models import Account, Invitation, MemberRole, Membership, User
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.lookups import find_account, find_api_key
from agents.api.decorators import find_instance
from agents.models import AgentInstance
from benchmarks.big_data.fill import Size, fill, finish
from benchmarks.big_data.rows import LONG_SESSION
from salient.ttl import clear_caches
from sessions_app.admin.filters import FeedbackFilters, MessageFilters, SessionFilters
from sessions_app.admin.request_filters import RequestFilters
from sessions_app.api.schemas import HistoryIn
from sessions_app.api.session_schemas import MessagesIn, Order, SessionsIn, SessionStatus
from sessions_app.api.usage_schemas import UsageIn
from sessions_app.conversations import history
from sessions_app.conversations.erasure.persons import Person, survey
from sessions_app.conversations.look_up import look_up
from sessions_app.conversations.messages import read_messages
from sessions_app.conversations.session_list import MOST_LOOKED_AT, list_sessions
from sessions_app.conversations.sessions import delete_session
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import CompletionStatus, LLMRequest, Message, MessageFeedback, Session
from sessions_app.turns import turn as turns
from sessions_app.turns.abandoned import settle_abandoned
from sessions_app.turns.idempotency import Key, replay
from sessions_app.usage.orders import MOST_DAYS, MOST_DAYS_OF_ACCOUNT, ORDERS, greatest
from sessions_app.usage.report import usage_of
from tests.support.database.reads import reads
from tests.support.database.scratch_database import scratch_database
from tests.support.database.turn_functions import TurnFunctions
from tests.support.factories import make_llm_request, make_message, make_session, write_config

SIZE = Size(
    requests=int(os.environ.get("QUERY_PLAN_ROWS", "120000")), accounts=500, long_session=10_000
)
# Of the others an installation has a handful, or a row for each account.
LARGE = {
    *("accounts", "agent_instances", "api_keys", "config_versions", "llm_requests"),
    *("invitations", "memberships", "messages", "sessions", "usage_days", "users"),
}
# What is planned for the values at hand, and what a function plans once for all values.
PLANS = ("force_custom_plan", "force_generic_plan")
# The account that talks most has an eighth of everything, one in the middle has little.
ACCOUNTS = ("account-1", "account-250")
# Turns that run now. The planner's statistics are from before them, as in life.
RUNNING = 1_000
RUN = """
    INSERT INTO llm_requests (id, account_id, account_slug, agent_instance_id, agent_instance_slug,
        agent_type, session_id, provider, model)
    SELECT gen_random_uuid(), account_id, account_slug, agent_instance_id, agent_instance_slug,
        'simple_chat', id, 'openai', 'gpt-4o-mini'
    FROM sessions WHERE session_key <> %s ORDER BY id LIMIT %s
"""
# People beside those of the accounts, each a member and each with an invitation to somebody else.
# The audit log would take ten times as long as the rows themselves.
MANY_PEOPLE = 20_000
PEOPLE = """
    ALTER TABLE users DISABLE TRIGGER recorded;
    ALTER TABLE memberships DISABLE TRIGGER recorded;
    ALTER TABLE invitations DISABLE TRIGGER recorded;
    WITH people AS (
        INSERT INTO users (id, password, is_superuser, first_name, last_name, is_staff, is_active,
            is_auditor, date_joined, email)
        SELECT gen_random_uuid(), '', false, '', '', false, true, false, now(),
            'person-' || n || '@late.example'
        FROM generate_series(1, %s) AS n
        RETURNING id, email
    ), members AS (
        INSERT INTO memberships (id, account_id, user_id, role, updated_at)
        SELECT gen_random_uuid(), (SELECT id FROM accounts WHERE slug = 'account-1'), id, 'viewer',
            now()
        FROM people
    )
    INSERT INTO invitations (id, account_id, email, role, invited_by, token_hash, expires_at)
    SELECT gen_random_uuid(), (SELECT id FROM accounts WHERE slug = 'account-1'),
        'invited-' || substr(email, 8), 'viewer', email, md5(email), now()
    FROM people;
    ANALYZE users, memberships, invitations
"""
# Each conversation is of another person, as in life; here all of an account have one address.
OWN_ADDRESSES = "ALTER TABLE sessions ALTER email SET (n_distinct = -1); ANALYZE sessions"
FOUND_BY_ADDRESS = {User, Membership, Invitation, Session}
# A turn touches some twenty rows, and their dead versions: each test is one transaction.
TURN = 150
# A page of fifty and one row more, and what finds the account.
LISTED = 70


class QueryPlanTests(TurnFunctions, TestCase):
    """A database of its own, filled once; each test takes back what it wrote."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(scratch_database(copied=True))
        connection.ensure_connection()
        # Rows that tests have changed and deleted are in the copy as dead rows. An index built over
        # them is not used while an older transaction runs, also in another worker's database.
        connection.connection.execute("VACUUM")
        fill(connection.connection, SIZE)
        finish(connection.connection)
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.enterClassContext(override_settings(AGENT_CONFIG_DIR=folder))
        for account in ACCOUNTS:
            write_config(folder, account, "agent-1", "model: scripted:echo\n")
        super().setUpClass()

    @classmethod
    def setUpTestData(cls) -> None:
        with connection.cursor() as cursor:
            cursor.execute(RUN, [LONG_SESSION, RUNNING])

    def setUp(self) -> None:
        self.be(ACCOUNTS[0])

    def be(self, slug: str) -> None:
        """Call as this account's key."""
        self.account = Account.objects.get(slug=slug)
        key_id = f"{int(slug.rpartition('-')[2]):012}"
        self.caller = Caller(
            self.account.pk, slug, frozenset({"chat"}), f"key:{key_id}", key_id=key_id
        )
        with tenant_context(self.account.pk):
            self.instance: AgentInstance = AgentInstance.objects.get(instance_slug="agent-1")

    def in_each_way(self, work: Callable[[], None]) -> None:
        for slug in ACCOUNTS:
            for plan in PLANS:
                with self.subTest(account=slug, plan=plan):
                    self.be(slug)
                    clear_caches()
                    with connection.cursor() as cursor:
                        cursor.execute(f"SET LOCAL plan_cache_mode = {plan}")
                    work()

    @contextmanager
    def reads_few(self, *indexes: str, rows: int) -> Iterator[None]:
        """Expect these indexes to be used, no large table read whole, and not more rows read."""
        with reads() as found:
            yield
        told = f"{found.rows.total()} rows: {dict(found.rows)}"
        self.assertEqual(LARGE & set(found.tables), set(), told)
        self.assertEqual(set(indexes) - set(found.indexes), set(), told)
        self.assertLessEqual(found.rows.total(), rows, told)

    def session(self, **where: object) -> Session:
        """The newest idle conversation of that kind with the instance."""
        with tenant_context(self.account.pk):
            idle = Session.objects.of_instance(self.instance).exclude(session_key=LONG_SESSION)
            running = LLMRequest.objects.running().values("session_id")
            found: Session = idle.filter(**where).exclude(pk__in=running).latest("created_at")
        return found

    def long_session(self) -> Session:
        self.be(ACCOUNTS[0])
        with tenant_context(self.account.pk):
            found: Session = Session.objects.get(session_key=LONG_SESSION)
        return found

    def turn(self, caller: Caller, session: Session | None, *indexes: str) -> None:
        """Open a turn and let it be answered and settled, each with few rows."""
        message = TurnInput(message="hello", session_id=session.pk if session else None)
        with self.reads_few(*indexes, rows=TURN):
            turn = async_to_sync(turns.begin_new)(caller, self.instance, message, stream=False)
        with self.reads_few(rows=TURN):
            async_to_sync(turns.finish)(turn)
        self.assertEqual(turn.status, CompletionStatus.COMPLETE)

    def test_a_turn_that_begins_a_conversation(self) -> None:
        self.in_each_way(lambda: self.turn(self.caller, None))

    def test_a_turn_that_goes_on_with_one(self) -> None:
        def go_on() -> None:
            self.turn(self.caller, self.session(), "ix_messages_history")

        self.in_each_way(go_on)

    def test_a_visitors_turn_finds_its_conversation_by_its_key(self) -> None:
        def go_on() -> None:
            visitor = replace(self.caller, session_key=self.session(end_user=None).session_key)
            self.turn(visitor, None, "uq_sessions_session_key_account", "ix_messages_history")

        self.in_each_way(go_on)

    def test_turns_that_come_together(self) -> None:
        def come() -> None:
            with tenant_context(self.account.pk):
                running = LLMRequest.objects.running().values("session_id")
                idle = Session.objects.of_instance(self.instance).exclude(pk__in=running)
                known = idle.order_by("-created_at").values_list("pk", flat=True)[:4]
                sessions = [*known, *[None] * 4]
            wanted = [self.wanted("hello", session=each) for each in sessions]
            with self.reads_few("ix_messages_history", rows=8 * TURN):
                opened = self.opened(*wanted)
            ended = [*map(self.outcome, wanted, opened)]
            with self.reads_few(rows=8 * TURN):
                self.ask("app_settle_turns", ended)

        self.in_each_way(come)

    def test_a_turn_costs_no_more_after_ten_thousand_messages(self) -> None:
        session = self.long_session()
        self.turn(self.caller, session, "ix_messages_history")

    def test_an_answer_given_again(self) -> None:
        def again() -> None:
            with tenant_context(self.account.pk):
                request = LLMRequest.objects.exclude(idempotency_key=None).latest("created_at")
            caller = replace(self.caller, subject=request.caller)
            with self.reads_few(
                "uq_llm_requests_idempotency", "ix_messages_llm_request", rows=TURN
            ):
                replay(caller, self.instance, Key(request.idempotency_key or "", ""))

        self.in_each_way(again)

    def test_an_abandoned_turn_is_found_among_the_running_ones(self) -> None:
        long_ago = timezone.now() - timedelta(days=1)
        make_llm_request(
            make_session(self.instance),
            completion_status="running",
            created_at=long_ago,
            reserved_cost=1,
        )
        # It looks at each one that runs, a batch at a time.
        with self.reads_few("ix_llm_requests_running", rows=20 * RUNNING):
            self.assertEqual(len(settle_abandoned()), 1)

    def test_an_account_by_its_slug(self) -> None:
        with self.reads_few("uq_accounts_slug", rows=1):
            self.assertIsNotNone(find_account("account-250"))

    def test_a_key_by_its_id(self) -> None:
        def look() -> None:
            with self.reads_few("uq_api_keys_key_id", rows=10):
                self.assertIsNotNone(find_api_key(self.caller.key_id))

        self.in_each_way(look)

    def test_an_instance_by_its_slug(self) -> None:
        def look() -> None:
            with self.reads_few("uq_agent_instances_account_slug", rows=10):
                async_to_sync(find_instance)(self.caller, "agent-1")

        self.in_each_way(look)

    def test_whether_a_key_or_a_member_may_still_call(self) -> None:
        def ask() -> None:
            with tenant_context(self.account.pk):
                user_id = Membership.objects.get().user_id
            member = replace(self.caller, key_id="", role=MemberRole.OWNER, user_id=user_id)
            for caller in (self.caller, member):
                with self.reads_few(rows=20):
                    self.assertTrue(still_admitted(caller))

        self.in_each_way(ask)

    def test_what_is_left_of_rates_and_budgets(self) -> None:
        def ask() -> None:
            with self.reads_few("rate_states_pkey", rows=50):
                limit_status(self.caller)

        self.in_each_way(ask)

    def test_the_newest_messages_and_those_before(self) -> None:
        def read() -> None:
            session = self.session()
            with self.reads_few("ix_messages_history", rows=60):
                page = history.read(
                    self.caller, self.instance, HistoryIn(session_id=session.pk, limit=5)
                )
            assert page.before is not None
            with self.reads_few("ix_messages_history", rows=60):
                before = HistoryIn(session_id=session.pk, before=page.before)
                history.read(self.caller, self.instance, before)

        self.in_each_way(read)

    def test_any_page_of_ten_thousand_messages(self) -> None:
        page = HistoryIn(session_id=self.long_session().pk, limit=50)
        for _ in range(5):
            with self.reads_few("ix_messages_history", rows=60):
                found = history.read(self.caller, self.instance, page)
            page = page.model_copy(update={"before": found.before})

    def reads_a_page(self) -> AbstractContextManager[None]:
        """Expect a page of the agent's sessions to be read by the agent's own index.

        Of one that has a twentieth of all, walking through the newest of all is as cheap: which of
        the two the planner takes hangs on a hundredth of its estimate.
        """
        if self.account.slug == ACCOUNTS[0]:
            return self.reads_few(rows=40 * LISTED)
        return self.reads_few("ix_sessions_instance_activity", rows=LISTED)

    def test_any_page_of_an_agents_conversations(self) -> None:
        def read() -> None:
            page = SessionsIn()
            for _ in range(3):
                with self.reads_a_page():
                    found = list_sessions(self.caller, self.instance, page)
                page = SessionsIn.model_validate({"cursor": found.next_cursor})

        self.in_each_way(read)

    def test_an_agents_closed_conversations(self) -> None:
        def read() -> None:
            with tenant_context(self.account.pk):
                newest = Session.objects.of_instance(self.instance).order_by("-last_activity_at")
                for session in newest[:300:10]:
                    Session.objects.filter(pk=session.pk).update(closed_at=timezone.now())
            with self.reads_few("ix_sessions_closed", rows=3 * LISTED):
                found = list_sessions(
                    self.caller, self.instance, SessionsIn(status=SessionStatus.CLOSED)
                )
            self.assertTrue(found.data)

        self.in_each_way(read)

    def test_filters_without_an_index_look_at_a_part_of_an_agents_conversations(self) -> None:
        def read() -> None:
            for query in ({"created_to": "2000-01-01"}, {"status": "open", "limit": "5"}):
                page = SessionsIn.model_validate_strings(query)
                with self.reads_few(rows=2 * MOST_LOOKED_AT + LISTED):
                    found = list_sessions(self.caller, self.instance, page)
                self.assertEqual(len(found.data), 5 if page.status else 0)

        self.in_each_way(read)

    def test_words_in_an_agents_conversations(self) -> None:
        def find() -> None:
            session = self.session(end_user__isnull=False)
            make_message(session, content="an aardvark")
            person = replace(self.caller, end_user=session.end_user)
            for caller in (self.caller, person):
                # Few messages are read as they are, without the words' index.
                index = ["ix_messages_text_start"] if self.account.slug == ACCOUNTS[0] else []
                with self.reads_few(*index, rows=2 * TURN):
                    found = list_sessions(caller, self.instance, SessionsIn(q="aardvark"))
                self.assertEqual([row.id for row in found.data], [session.pk])

        self.in_each_way(find)

    def test_a_conversations_messages_with_their_turns(self) -> None:
        def read() -> None:
            session = self.session()
            for order in Order:
                # A message, its request and its version.
                with self.reads_few("ix_messages_history", rows=3 * LISTED):
                    read_messages(self.caller, self.instance, session.pk, MessagesIn(order=order))

        self.in_each_way(read)

    def test_any_page_of_ten_thousand_messages_with_their_turns(self) -> None:
        session = self.long_session()
        for order in Order:
            page = MessagesIn(order=order)
            for _ in range(3):
                with self.reads_few("ix_messages_history", rows=3 * LISTED):
                    found = read_messages(self.caller, self.instance, session.pk, page)
                page = MessagesIn.model_validate({"order": order, "cursor": found.next_cursor})

    def test_a_person_by_their_address(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(PEOPLE, [MANY_PEOPLE])
        for text, found, indexes in (
            ("Person-19999@Late.example", {User, Membership}, {"ix_users_email_start"}),
            # The last ones of all, in whichever order they are read.
            ("person-", {User}, {"ix_users_email_start"}),
            ("invited-19999@late.example", {Invitation}, {"ix_invitations_email"}),
        ):
            # An end user may be an address: each agent's are looked up.
            agents = SIZE.accounts * SIZE.instances_per_account if "@" in text else 0
            with (
                self.subTest(text),
                platform_context(),
                self.reads_few(*indexes, rows=LISTED + 2 * agents),
            ):
                rows = [each.row for each in look_up(text, lambda model: model in FOUND_BY_ADDRESS)]
                self.assertEqual({type(row) for row in rows}, found)

    def test_people_in_the_staffs_lists(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(PEOPLE, [MANY_PEOPLE])
        one = User.objects.filter(email="person-19999@late.example")
        one.update(first_name="Zoe", last_name="Quist")
        for text, indexes in (
            ("person-19999@late", {"ix_users_email_start"}),
            ("zoe", {"ix_users_first_name_start"}),
            ("QUIST", {"ix_users_last_name_start"}),
            ("zoe quist", {"ix_users_first_name_start"}),
        ):
            with self.subTest(text), platform_context(), self.reads_few(*indexes, rows=LISTED):
                self.assertEqual(len(find_users(User.objects.all(), text, with_accounts=True)), 1)
                self.assertEqual(len(find_memberships(Membership.objects.all(), text)), 1)
        invited = "invited-19999@late.example"
        with platform_context(), self.reads_few("ix_invitations_email", rows=LISTED):
            self.assertEqual(len(find_invitations(Invitation.objects.all(), invited)), 1)

    def test_ids_and_persons_in_the_staffs_lists(self) -> None:
        def read() -> None:
            session = self.session(end_user__isnull=False)
            for form_class, model, moment, text in (
                (SessionFilters, Session, "last_activity_at", str(session.pk)),
                (SessionFilters, Session, "last_activity_at", "nobody@late.example"),
                (RequestFilters, LLMRequest, "created_at", str(session.pk)),
                (FeedbackFilters, MessageFeedback, "created_at", str(session.pk)),
                (MessageFilters, Message, "created_at", str(session.pk)),
            ):
                # An end user may be an address: each agent's are looked up.
                agents = SIZE.accounts * SIZE.instances_per_account if "@" in text else 0
                with self.subTest(model=model, text=text), platform_context():
                    form = form_class({"q": text}, model=model, moment=moment)
                    self.assertTrue(form.is_valid())
                    with self.reads_few(rows=3 * LISTED + 2 * agents):
                        rows = form.queryset(model._default_manager.all())
                        found = list(rows.order_by(f"-{moment}", "-id")[:51])
                    self.assertTrue(found or "@" in text or model in {Message, MessageFeedback})

        with connection.cursor() as cursor:
            cursor.execute(OWN_ADDRESSES)
        self.in_each_way(read)

    def test_an_agents_page_in_the_staffs_list(self) -> None:
        def read() -> None:
            query = {"agent_instance__id__exact": str(self.instance.pk)}
            with platform_context():
                form = SessionFilters(query, model=Session, moment="last_activity_at")
                self.assertTrue(form.is_valid())
            with platform_context(), self.reads_a_page():
                rows = form.queryset(Session.objects.all())
                self.assertTrue(list(rows.order_by("-last_activity_at", "-id")[:51]))

        self.in_each_way(read)

    def test_the_slowest_and_the_dearest_requests_of_some_days(self) -> None:
        a_day = SIZE.requests / SIZE.days
        others = SIZE.long_session // 2 + RUNNING + LISTED
        for order in ORDERS:

            def read(order: str = order) -> None:
                mine = {"account__id__exact": str(self.account.pk)}
                for query, days, index in (
                    ({}, MOST_DAYS, "ix_llm_requests_time"),
                    (mine, MOST_DAYS_OF_ACCOUNT, "ix_llm_requests_account_time"),
                ):
                    # The account that talks most has an eighth of everything.
                    part = 1 if not query else 1 / 4
                    with platform_context():
                        form = RequestFilters(
                            {**query, "order": order}, model=LLMRequest, moment="created_at"
                        )
                        self.assertTrue(form.is_valid())
                        rows = form.queryset(LLMRequest.objects.all())
                        most = int(a_day * days * part) + others
                        with self.reads_few(index, rows=most):
                            self.assertTrue(list(greatest(rows, order, 51)))

            self.in_each_way(read)

    def test_an_end_users_and_a_visitors_conversations(self) -> None:
        def read() -> None:
            known = self.session(end_user__isnull=False)
            person = replace(self.caller, end_user=known.end_user)
            with self.reads_few("ix_sessions_end_user", rows=100):
                self.assertTrue(list_sessions(person, self.instance, SessionsIn()).sessions)
            visitor = replace(self.caller, session_key=known.session_key)
            with self.reads_few("uq_sessions_session_key_account", rows=5):
                self.assertTrue(list_sessions(visitor, self.instance, SessionsIn()).sessions)

        self.in_each_way(read)

    def test_usage_by_what_the_daily_sums_do_not_have(self) -> None:
        def sum_up() -> None:
            caller = replace(self.caller, scopes=frozenset({"usage:read", "history:read"}))
            week = {"from": str(timezone.now().date() - timedelta(days=6))}
            with tenant_context(self.account.pk):
                since = timezone.now() - timedelta(days=8)
                requests = LLMRequest.objects.filter(created_at__gte=since).count()
            for index, query in (
                ("ix_llm_requests_account_time", {"by": "key"}),
                ("ix_llm_requests_account_time", {"by": "end_user", "then_by": "day"}),
                ("ix_llm_requests_account_time", {"by": "tag", "tag": "team"}),
                ("ix_llm_requests_account_time", {"key": str(self.account.pk)}),
                ("ix_llm_requests_instance_time", {"agent": "agent-1", "end_user": "nobody"}),
            ):
                wanted = UsageIn.model_validate_strings(query | week)
                # Each is counted and read, with its session.
                with self.reads_few(index, rows=3 * requests + TURN):
                    usage_of(caller, wanted)

        self.in_each_way(sum_up)

    def test_a_persons_conversations_before_they_are_erased(self) -> None:
        def look() -> None:
            first, second = self.session(end_user=None), self.session(end_user__isnull=False)
            user, _ = User.objects.get_or_create(email="dora@late.example")
            with tenant_context(self.account.pk):
                Session.objects.filter(pk=first.pk).update(email="Dora@Late.example")
                Session.objects.filter(pk=second.pk).update(user=user)
            for kind, value, least, indexes in (
                ("email", user.email, 2, {"ix_sessions_address", "ix_sessions_email"}),
                ("end_user", second.end_user or "", 1, {"ix_sessions_end_user"}),
                ("session", str(first.pk), 1, set()),
            ):
                person = Person.read(self.account.pk, kind, value)
                # Each conversation's rows are counted, table by table.
                with self.subTest(kind), self.reads_few(*indexes, rows=20 * LISTED):
                    self.assertGreaterEqual(survey(person).counts["sessions"], least)

        with connection.cursor() as cursor:
            cursor.execute(OWN_ADDRESSES)
        self.in_each_way(look)

    def test_deleting_a_conversation(self) -> None:
        def forget() -> None:
            session = self.session()
            # Whether it runs is asked of all that run.
            with self.reads_few("ix_llm_requests_session_id", rows=500 + RUNNING):
                delete_session(self.caller, self.instance, session.pk)

        self.in_each_way(forget)

    def test_a_new_budget_counts_what_its_account_has_spent_and_nobody_elses(self) -> None:
        def count() -> None:
            with tenant_context(self.account.pk):
                requests = LLMRequest.objects.count()
            for period in ("day", "month"):
                with self.reads_few(rows=2 * requests + TURN + RUNNING):
                    budgets.set_budget(
                        self.account,
                        period=period,
                        limit=Decimal(100),
                        instance_id=self.instance.pk,
                    )

        self.in_each_way(count)
