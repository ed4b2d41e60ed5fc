"""The database's roles: their rights, and what is reported when something is missing."""

from __future__ import annotations

import os
import re
from io import StringIO
from unittest import mock

from django.core.management import call_command
from django.db import connection
from django.test import SimpleTestCase, TestCase
from django.test.utils import CaptureQueriesContext

from accounts.tenancy import role_report, roles
from accounts.tenancy.context import PLATFORM_ROLE, TENANT_ROLE, tenant_context
from accounts.tenancy.roles import (
    ALL,
    ROLES,
    TENANT_RIGHTS,
    Database,
    grant_rights,
    make_roles,
    parsed,
)
from salient.database import DatabaseProblem
from tests.support.commands import reported, run
from tests.support.database.catalog import rows
from tests.support.factories import make_account


def run_sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def close_database() -> None:
    """Run the SQL that concerns the database itself; the transaction undoes it."""
    for line in role_report.statements(connection, "salient_app"):
        if "ON DATABASE" in line and "salient_app" not in line:
            run_sql(line)


class ParsingTests(SimpleTestCase):
    def test_rights_are_read_as_grant_writes_them(self) -> None:
        read = parsed("SELECT, UPDATE (name, gone)", ["id", "name"])
        self.assertEqual(read, {("SELECT", ""), ("UPDATE", "name")})


class RightsTests(TestCase):
    def database(self) -> Database:
        return Database(connection)

    def test_the_tenants_role_has_what_the_registry_says_and_no_more(self) -> None:
        columns, have = self.database().columns(), self.database().rights_of(TENANT_ROLE)
        wanted = {table: parsed(text, columns[table]) for table, text in TENANT_RIGHTS.items()}
        self.assertEqual(have, wanted)

    def test_every_column_of_the_registry_is_there(self) -> None:
        columns = self.database().columns()
        for table, text in TENANT_RIGHTS.items():
            named = {name for part in re.findall(r"\(([^)]*)\)", text) for name in part.split(", ")}
            self.assertLessEqual(named, set(columns[table]), table)

    def test_the_platforms_role_reads_and_writes_every_table_but_the_two_kept_from_it(self) -> None:
        have = self.database().rights_of(PLATFORM_ROLE)
        self.assertEqual(have.pop("django_migrations"), {("SELECT", "")})
        self.assertEqual(have.pop("audit_log"), {("SELECT", ""), ("INSERT", "")})
        left = set(self.database().columns()) - {"django_migrations", "audit_log"}
        self.assertEqual(set(have), left)
        self.assertEqual(
            {frozenset(rights) for rights in have.values()}, {frozenset(parsed(ALL, ()))}
        )

    def test_neither_role_logs_in_or_passes_row_level_security_by(self) -> None:
        found = rows(
            "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles "
            "WHERE rolname = ANY(%s)",
            [list(ROLES)],
        )
        self.assertEqual({row[1:] for row in found}, {(False,) * 4})
        self.assertEqual({row[0] for row in found}, set(ROLES))

    def test_a_new_table_is_not_forgotten(self) -> None:
        run_sql("REVOKE ALL ON django_admin_log FROM salient_platform")
        run_sql("GRANT TRUNCATE ON messages TO salient_tenant")
        run_sql("REVOKE UPDATE (name) ON api_keys FROM salient_tenant")
        run_sql("GRANT UPDATE, DELETE ON audit_log TO salient_platform")
        grant_rights("default")
        self.test_the_tenants_role_has_what_the_registry_says_and_no_more()
        self.test_the_platforms_role_reads_and_writes_every_table_but_the_two_kept_from_it()

    def test_giving_rights_again_changes_nothing(self) -> None:
        with mock.patch.object(Database, "run") as run:
            grant_rights("default")
        run.assert_not_called()

    def test_a_table_without_row_level_security_is_kept_from_tenants(self) -> None:
        run_sql("ALTER TABLE messages DISABLE ROW LEVEL SECURITY")
        self.assertNotIn("messages", roles.wanted_rights(self.database(), ())[TENANT_ROLE])


class MakingTests(TestCase):
    def test_roles_that_are_there_stay(self) -> None:
        make_roles(connection)
        self.assertEqual(Database(connection).missing_roles(), [])

    def test_missing_ones_are_made(self) -> None:
        with mock.patch.object(roles, "ROLES", ("salient_test_role",)):
            make_roles(connection)
            self.assertEqual(Database(connection).missing_roles(), [])
        # Roles belong to the whole server: the end of the test's transaction removes this one.
        self.assertEqual(rows("SELECT 1 FROM pg_roles WHERE rolname = 'salient_test_role'"), [(1,)])

    def test_one_that_somebody_makes_at_the_same_moment_is_fine(self) -> None:
        with mock.patch.object(Database, "missing_roles", return_value=[TENANT_ROLE]):
            make_roles(connection)

    def test_without_the_right_one_line_says_what_to_do(self) -> None:
        account = make_account()
        line = r"^the database user '\w+' may not make the roles .*database_roles --sql"
        with (
            mock.patch.object(roles, "ROLES", ("salient_test_role",)),
            self.assertRaisesRegex(DatabaseProblem, line),
            tenant_context(account.pk),
        ):
            make_roles(connection)


class CommandTests(TestCase):
    def setUp(self) -> None:
        close_database()

    def test_nothing_is_missing_here(self) -> None:
        report, code = reported("database_roles")
        self.assertEqual((report["problems"], report["ok"], code), ([], True, 0))

    def test_what_is_missing_is_reported(self) -> None:
        here = connection.ops.quote_name(connection.settings_dict["NAME"])
        for statement, words in (
            ("REVOKE SELECT ON sessions FROM salient_tenant", "salient_tenant has other rights on"),
            ("GRANT TRUNCATE ON users TO salient_platform", "salient_platform has other rights on"),
            ("DROP POLICY tenant ON messages", "messages: its policies"),
            (
                "ALTER TABLE budgets DISABLE ROW LEVEL SECURITY",
                "budgets: row-level security is off",
            ),
            ("ALTER ROLE salient_tenant LOGIN", "the role salient_tenant may log in"),
            ("ALTER ROLE salient_platform BYPASSRLS", "bypasses row-level security"),
            ("DROP FUNCTION app_find_account(text)", "app_find_account()"),
            (f"GRANT CONNECT ON DATABASE {here} TO PUBLIC", "every login of this server may"),
            (f"GRANT TEMPORARY ON DATABASE {here} TO PUBLIC", "every login may make temporary"),
            (
                f"GRANT TEMPORARY ON DATABASE {here} TO salient_tenant",
                "salient_tenant may make temporary tables",
            ),
            (
                "GRANT CREATE ON SCHEMA public TO salient_platform",
                "salient_platform may make tables in the schema of ours",
            ),
            (
                "ALTER FUNCTION app_open_turns(uuid, jsonb) RESET search_path",
                "app_open_turns(uuid,jsonb) has no search_path",
            ),
        ):
            with self.subTest(statement):
                point = connection.savepoint()
                run_sql(statement)
                report, code = reported("database_roles")
                self.assertEqual(code, 1)
                self.assertTrue(any(words in problem for problem in report["problems"]), report)
                connection.savepoint_rollback(str(point))

    def test_missing_roles_are_reported_first(self) -> None:
        with mock.patch.object(Database, "missing_roles", return_value=[TENANT_ROLE]):
            report, code = reported("database_roles")
        self.assertEqual((report["problems"], code), (["the role salient_tenant is missing"], 1))

    def test_the_report_is_readable_lines(self) -> None:
        printed = run("database_roles")
        self.assertRegex(printed, r"^Login: \w+\n")
        self.assertIn("are as they must be", printed)

    def test_the_sql_names_the_login_and_quotes_it(self) -> None:
        printed = run("database_roles", "--sql", "--login", 'o"dd')
        self.assertIn('GRANT "salient_tenant" TO "o""dd";', printed)
        self.assertIn("LOGIN NOINHERIT", printed)


class OtherInstallationTests(TestCase):
    """Roles belong to the whole server: another installation's login is a member of them too."""

    def setUp(self) -> None:
        run_sql("CREATE ROLE salient_of_another LOGIN NOINHERIT")
        run_sql("GRANT salient_tenant, salient_platform TO salient_of_another")

    def may_connect(self) -> bool:
        [(may,)] = rows(
            "SELECT has_database_privilege('salient_of_another', current_database(), 'CONNECT')"
        )
        return bool(may)

    def test_migrate_gives_it_nothing(self) -> None:
        grant_rights("default")

        self.assertEqual(Database(connection).rights_of("salient_of_another"), {})

    def test_it_is_named_while_it_may_connect(self) -> None:
        report, code = reported("database_roles")

        self.assertEqual(code, 1)
        self.assertIn("among them salient_of_another, who may read every row", str(report))

    def test_the_sql_names_it_and_closes_the_database_to_it(self) -> None:
        run_sql("GRANT SELECT ON users TO salient_of_another")
        found = role_report.statements(connection, "salient_serving")
        self.assertIn("-- no more for the member of the roles 'salient_of_another'", found)
        run_sql("\n".join(found))

        self.assertFalse(self.may_connect())
        self.assertEqual(Database(connection).rights_of("salient_of_another"), {})
        self.assertEqual(Database(connection).logins(), ["salient_serving"])
        report, code = reported("database_roles")
        self.assertEqual((report["problems"], code), ([], 0))
        self.assertIn("they may not connect to it", str(report["advice"]))

    def test_a_serving_login_that_was_not_let_in_by_name_is_reported(self) -> None:
        run_sql("SET SESSION AUTHORIZATION salient_of_another")
        report, code = reported("database_roles")
        run_sql("RESET SESSION AUTHORIZATION")

        self.assertEqual(code, 1)
        self.assertIn("salient_of_another was not let into this database by name", str(report))

    def test_applying_it_is_the_same_with_a_password_that_no_log_sees(self) -> None:
        out = StringIO()
        with (
            mock.patch.dict(os.environ, {"LOGIN_PASSWORD": "of-the-tests"}),
            CaptureQueriesContext(connection) as ran,
        ):
            call_command("database_roles", "--apply", "--login", "salient_serving", stdout=out)

        self.assertIn("the serving login has its rights", out.getvalue())
        self.assertFalse(self.may_connect())
        self.assertNotIn("of-the-tests", str(ran.captured_queries))
        [(stored,)] = rows("SELECT rolpassword FROM pg_authid WHERE rolname = 'salient_serving'")
        self.assertTrue(stored.startswith("SCRAM-SHA-256$"))
        self.assertEqual(reported("database_roles")[1], 0)

    def test_a_login_of_ours_gets_its_rights_with_migrate(self) -> None:
        here = connection.ops.quote_name(connection.settings_dict["NAME"])
        run_sql(f"GRANT CONNECT ON DATABASE {here} TO salient_of_another")
        grant_rights("default")

        self.assertIn("users", Database(connection).rights_of("salient_of_another"))


class SearchPathTests(TestCase):
    def test_every_function_finds_only_our_tables(self) -> None:
        """A function of an extension is not one of ours."""
        unfixed = rows(
            "SELECT oid::regprocedure::text FROM pg_proc "
            "WHERE pronamespace = current_schema()::regnamespace "
            "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e') "
            "AND NOT coalesce(array_to_string(proconfig, ',') LIKE '%search_path=%pg_temp', false)"
        )

        self.assertEqual(unfixed, [])
        self.assertEqual(Database(connection).unfixed_functions(), [])

    def test_migrate_gives_a_function_that_was_replaced_its_path_again(self) -> None:
        run_sql("ALTER FUNCTION app_current_account() RESET search_path")
        grant_rights("default")

        self.assertEqual(Database(connection).unfixed_functions(), [])

    def test_a_temporary_table_hides_no_table_of_ours(self) -> None:
        account = make_account()
        run_sql(
            "CREATE TEMPORARY TABLE account_limits (LIKE account_limits INCLUDING ALL);"
            "GRANT ALL ON pg_temp.account_limits TO salient_tenant"
        )
        with tenant_context(account.pk):
            run_sql(f"SELECT app_take_limits('{account.pk}', NULL, '[]', 5, 1, 1, 0, NULL)")
        counted = rows("SELECT sum(running) FROM public.account_limits")
        hidden = rows("SELECT count(*) FROM pg_temp.account_limits")

        self.assertEqual((counted, hidden), ([(1,)], [(0,)]))
