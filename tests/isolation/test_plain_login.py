"""Rights as in production: one login owns the tables and migrates, another one serves.

The one that serves is neither owner nor superuser, and is made by the SQL that is printed for an
administrator. Everything works with it, and outside the contexts it reads nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.sessions.models import Session as LoginSession
from django.core.management import call_command
from django.db import ProgrammingError, connection
from django.test import Client, SimpleTestCase, override_settings

from accounts.models import Account, User
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.role_report import check_roles, statements
from agents.models import AgentInstance
from sessions_app.models import Session
from sessions_app.operations.integrity.service import check_integrity
from tests.support.api_client import ApiClient, isolation_check_in_this_thread
from tests.support.database.catalog import rows
from tests.support.database.scratch_database import migrate, scratch_database, server_lock
from tests.support.factories import make_account, make_instance, make_key, write_config
from tests.support.fixtures import counts

PASSWORD = "correct-horse-battery"


def run_sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def as_login(name: str) -> Iterator[None]:
    """Connect as another login, with the password of the tests' login."""
    before = connection.settings_dict["USER"]
    _connect_as(name)
    try:
        yield
    finally:
        _connect_as(before)


def _connect_as(name: str) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["USER"] = name


class PlainLoginTests(SimpleTestCase):
    databases = {"default"}
    owner: ClassVar[str]
    login: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") != [(True,)]:
            raise SkipTest("only a superuser can make an owner and a login")
        # The same name for every worker, so that the next run removes what a killed one left.
        own = connection.settings_dict["NAME"].partition("_gw")[0]
        cls.owner, cls.login = f"{own}_owner", f"{own}_login"
        cls.enterClassContext(server_lock())
        cls.addClassCleanup(cls.drop_logins)
        cls.drop_logins()
        database = cls.enterClassContext(scratch_database())
        cls.make_login(cls.owner, "")
        run_sql(f'ALTER DATABASE "{database}" OWNER TO "{cls.owner}"')
        run_sql(f'GRANT ALL ON SCHEMA public TO "{cls.owner}"')
        with as_login(cls.owner):
            migrate()
        for statement in statements(connection, cls.login):
            run_sql(statement)
        cls.make_login(cls.login, "")
        # The owner's next migrate gives the login the rights to new tables.
        run_sql(f'REVOKE ALL ON django_session FROM "{cls.login}"')
        with as_login(cls.owner):
            migrate()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.enterClassContext(override_settings(AGENT_CONFIG_DIR=Path(folder)))
        cls.enterClassContext(as_login(cls.login))

    @classmethod
    def make_login(cls, name: str, options: str) -> None:
        password = connection.settings_dict["PASSWORD"] or "nobody asks"
        verb = "ALTER" if rows("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]) else "CREATE"
        run_sql(f"{verb} ROLE \"{name}\" LOGIN {options} PASSWORD '{password}'")

    @classmethod
    def drop_logins(cls) -> None:
        for (name,) in rows(
            "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s", [cls.owner]
        ):
            run_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        for name in (cls.owner, cls.login):
            run_sql(f'DROP ROLE IF EXISTS "{name}"')

    def test_the_login_has_all_that_it_needs_and_nothing_to_advise(self) -> None:
        report = check_roles(connection)
        self.assertEqual((report["problems"], report["advice"]), ([], []))
        self.assertEqual(report["login"], self.login)

    def test_outside_any_context_it_reaches_no_tenants_table(self) -> None:
        for table in ("accounts", "sessions", "messages", "api_keys", "budgets", "memberships"):
            with self.assertRaisesRegex(ProgrammingError, f"permission denied for table {table}"):
                rows(f"SELECT 1 FROM {table}")  # noqa: S608
        with self.assertRaisesRegex(ProgrammingError, "permission denied"):
            list(Account.objects.all())

    def test_it_is_no_owner(self) -> None:
        for statement in (
            "ALTER TABLE sessions DISABLE ROW LEVEL SECURITY",
            "DROP POLICY tenant ON sessions",
        ):
            with (
                self.assertRaisesRegex(ProgrammingError, "must be owner"),
                tenant_context(Account().pk),
            ):
                run_sql(statement)

    def test_turns_are_opened_and_settled_and_read(self) -> None:
        account = make_account("acme")
        make_instance(account, "bot")
        _, key = make_key(account)
        write_config(settings.AGENT_CONFIG_DIR, "acme", "bot", "model: scripted:echo\n")
        before = counts()
        client, path = ApiClient(key), "/accounts/acme/agents/bot/"
        turn = async_to_sync(client.post)(f"{path}chat", {"message": "hello"})

        self.assertEqual(turn.status, 200, turn.body)
        session = turn.json()["session_id"]
        history = async_to_sync(client.get)(f"{path}history", session_id=session)
        self.assertEqual(len(history.json()["messages"]), 2)
        me = async_to_sync(client.get)("/accounts/acme/me")
        self.assertEqual(me.status, 200, me.body)
        self.assertEqual([n - b for n, b in zip(counts(), before, strict=True)], [1, 2, 1])
        with tenant_context(account.pk):
            self.assertEqual(str(Session.objects.get().pk), session)

    def test_staff_log_in_and_work_in_the_admin(self) -> None:
        User.objects.create_superuser("root@example.com", PASSWORD)
        make_account("seen")
        browser = Client()
        self.assertEqual(browser.get("/admin/login/", secure=True).status_code, 200)
        answer = browser.post(
            "/admin/login/",
            {"username": "root@example.com", "password": PASSWORD, "next": "/admin/"},
            secure=True,
        )
        self.assertEqual((answer.status_code, answer.headers["Location"]), (302, "/admin/"))
        page = browser.get("/admin/accounts/account/", secure=True)
        self.assertContains(page, "seen")
        for path in ("/admin/", "/admin/jsi18n/", "/admin/password_change/"):
            self.assertEqual(browser.get(path, secure=True).status_code, 200, path)
        self.assertEqual(browser.post("/admin/logout/", secure=True).status_code, 200)

    def test_commands_work(self) -> None:
        self.run_command("create_account", "shop")
        path = write_config(settings.AGENT_CONFIG_DIR, "shop", "helper", "model: scripted:echo\n")
        self.run_command("create_instance", "shop", "helper")
        self.assertTrue(path.exists())
        made = self.run_command("create_key", "shop")
        self.assertTrue(made["key"].startswith("sal_"))
        self.run_command("settle_abandoned")

    def test_the_owner_runs_commands_too(self) -> None:
        """Those that need no more than the tables' owner, in the order of a restore."""
        with as_login(self.owner):
            call_command("settle_abandoned", stdout=StringIO())
            self.assertEqual({each.error for each in check_integrity()}, {""})
            self.assertEqual(check_roles(connection)["problems"], [])

    def test_the_isolation_check_finds_no_leak_and_leaves_no_row(self) -> None:
        before = self.left()
        with isolation_check_in_this_thread():
            report = self.run_command("isolation_check")

        self.assertEqual((report["leaks"], report["faults"], report["ok"]), ([], [], True))
        self.assertEqual(set(report["probes"]), {"SQL", "admin pages", "commands", "routes"})
        self.assertEqual(self.left(), before)

    def left(self) -> tuple[int, int, int]:
        with platform_context():
            return Account.objects.count(), User.objects.count(), LoginSession.objects.count()

    def run_command(self, *arguments: str) -> Any:
        out = StringIO()
        call_command(*arguments, "--json", stdout=out)
        return json.loads(out.getvalue())

    def test_an_instance_is_made_in_a_tenant_context(self) -> None:
        instance = make_instance(make_account(), "bot")
        with tenant_context(instance.account_id):
            self.assertEqual(AgentInstance.objects.get(), instance)
