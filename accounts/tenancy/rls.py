"""Row-level security: its policies as migration operations, and what the database has of it.

No policy holds OR, IS NULL or a cast of the column: each of them keeps indexes from being used.
Tables are not FORCEd: that makes data migrations update nothing, silently, and breaks pg_dump.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.tenancy.context import PLATFORM_ROLE, TENANT_ROLE
from accounts.tenancy.roles import TENANT_RIGHTS, Database, make_roles

# The account of the open door. It raises without one: a forgotten door is loud, never an empty
# list. As a sub-select in a policy it runs once for each statement, not once for each row.
CURRENT_ACCOUNT = """
CREATE FUNCTION app_current_account() RETURNS uuid LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    account text := pg_catalog.current_setting('app.account_id', true);
BEGIN
    IF account IS NULL OR account = '' THEN
        RAISE insufficient_privilege USING MESSAGE = 'no account is set: open the tenant''s door';
    END IF;
    RETURN account::uuid;
END $$
"""
MINE = "{column} = (SELECT app_current_account())"
# Whoever may read people at all (the login authenticates them) sees all of them; the tenant's
# role sees the members of its account.
MEMBERS = "id IN (SELECT memberships.user_id FROM memberships)"


def roles() -> migrations.RunPython:
    """Make the two roles. The way back leaves them: other databases of the server use them too."""

    def make(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        make_roles(schema_editor.connection)

    return migrations.RunPython(make, migrations.RunPython.noop)


def current_account() -> migrations.RunSQL:
    return migrations.RunSQL(CURRENT_ACCOUNT, "DROP FUNCTION app_current_account()")


def isolated(table: str, *, column: str = "account_id") -> migrations.RunSQL:
    """Show the tenant's role the rows of its account only, the platform's role all of them."""
    mine = MINE.format(column=column)
    return _security(
        table,
        {
            "tenant": f"TO {TENANT_ROLE} USING ({mine}) WITH CHECK ({mine})",
            "platform": f"TO {PLATFORM_ROLE} USING (true) WITH CHECK (true)",
        },
    )


def isolated_people(table: str) -> migrations.RunSQL:
    """People belong to no account: the tenant's role sees those who are members of its own."""
    return _security(
        table,
        {
            "people": "USING (true) WITH CHECK (true)",
            "tenant": f"AS RESTRICTIVE TO {TENANT_ROLE} USING ({MEMBERS})",
        },
    )


def _security(table: str, policies: dict[str, str]) -> migrations.RunSQL:
    make = [f"CREATE POLICY {name} ON {table} {text}" for name, text in policies.items()]
    drop = [f"DROP POLICY {name} ON {table}" for name in policies]
    return migrations.RunSQL(
        [*make, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"],
        [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", *drop],
    )


def look_up(name: str, parameter: str, columns: dict[str, str], query: str) -> migrations.RunPython:
    """Make a function that finds one row before any account is known, past row-level security.

    It runs as its owner: so its search_path is fixed, and only those who are given it may call it.
    """
    result = ", ".join(f"{column} {kind}" for column, kind in columns.items())

    def make(schema_editor: BaseDatabaseSchemaEditor, schema: str) -> None:
        schema_editor.execute(
            f"CREATE FUNCTION {name}({parameter} text) RETURNS TABLE ({result}) "
            "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
            f"AS $$ {query.format(schema=schema)} $$",
            None,
        )
        schema_editor.execute(f"REVOKE ALL ON FUNCTION {name}(text) FROM PUBLIC", None)

    def drop(schema_editor: BaseDatabaseSchemaEditor, _schema: str) -> None:
        schema_editor.execute(f"DROP FUNCTION {name}(text)", None)

    return migrations.RunPython(_in_schema(make), _in_schema(drop))


def _in_schema(
    work: Callable[[BaseDatabaseSchemaEditor, str], None],
) -> Callable[[Any, BaseDatabaseSchemaEditor], None]:
    """Tell the work which schema the tables are in."""

    def run(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        quote = schema_editor.connection.ops.quote_name
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            [schema] = cursor.fetchone()
        work(schema_editor, quote(schema))

    return run


# The policies as PostgreSQL words them: name, kind, role, command, USING, WITH CHECK.
type Policy = tuple[str, str, str, str, str | None, str | None]
_MINE = "({column} = app_current_account())"


def expected_policies(table: str) -> set[Policy]:
    if table == "users":
        members = "(id IN ( SELECT memberships.user_id FROM memberships))"
        return {
            ("people", "PERMISSIVE", "public", "ALL", "true", "true"),
            ("tenant", "RESTRICTIVE", TENANT_ROLE, "ALL", members, None),
        }
    mine = _MINE.format(column="id" if table == "accounts" else "account_id")
    return {
        ("tenant", "PERMISSIVE", TENANT_ROLE, "ALL", mine, mine),
        ("platform", "PERMISSIVE", PLATFORM_ROLE, "ALL", "true", "true"),
    }


def policy_problems(database: Database) -> Iterator[str]:
    """Say which tables of the registry are not guarded as they must be."""
    secured, policies = database.secured(), database.policies()
    for table in TENANT_RIGHTS:
        if table not in secured:
            yield f"{table}: row-level security is off"
        if policies.get(table, set()) != expected_policies(table):
            yield f"{table}: its policies are not the ones that its migration made"
