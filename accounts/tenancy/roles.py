"""The database's roles, and the rights of each on every table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.db import ProgrammingError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from accounts.models.audit import OBJECT_TYPES
from accounts.tenancy.context import PLATFORM_ROLE, TENANT_ROLE
from salient.database import DatabaseProblem

ROLES: Final = (TENANT_ROLE, PLATFORM_ROLE)
FUNCTIONS: Final = ("app_find_account", "app_find_api_key")
ALL: Final = "SELECT, INSERT, UPDATE, DELETE"
# The registry: the tenant role's rights on each table that holds accounts' data; the upper apps add
# their tables (register_tables). What is not named is forbidden: rewriting a key or a
# configuration, deleting what was paid for.
TENANT_RIGHTS: Final[dict[str, str]] = {
    "accounts": "SELECT",
    "former_slugs": "SELECT",
    "users": "SELECT (id, email, first_name, last_name, is_active, date_joined, last_login)",
    "api_keys": "SELECT, INSERT, "
    "UPDATE (name, networks, expires_at, revoked_at, rotated_at, "
    "last_used_at, first_used_at)",
    "memberships": ALL,
    "invitations": ALL,
    "account_limits": ALL,
    "budgets": ALL,
    "rate_states": ALL,
    # Counted for many accounts at once, by the platform's role.
    "refusal_days": "SELECT",
    "audit_log": "SELECT, INSERT",
    "support_accesses": "SELECT",
    "webhook_endpoints": ALL,
    # The database deletes a row with its endpoint, and the worker when it is old.
    "webhook_deliveries": "SELECT, INSERT, UPDATE (state, tries, next_try_at, error, data)",
}
# The platform's role has all rights on the tables that are not listed here.
PLATFORM_RIGHTS: Final[Mapping[str, str]] = {
    "django_migrations": "SELECT",
    # On a cluster no key of the log's takes its entries along when an account is erased.
    "audit_log": f"SELECT, INSERT{', DELETE' if settings.DATABASE_DISTRIBUTED else ''}",
}
_RIGHT = re.compile(r"([A-Z]+)(?: \(([^)]*)\))?")

# One right: the privilege and the column ("": all columns).
type Right = tuple[str, str]
type Rights = dict[str, set[Right]]


def register_tables(rights: Mapping[str, str], *, audited: Iterable[str]) -> None:
    """Add an app's tables: the tenant role's rights to them, and which the audit log is about.

    `rights` maps a table to what GRANT takes, such as "SELECT, INSERT, UPDATE (name)".
    """
    TENANT_RIGHTS.update(rights)
    OBJECT_TYPES.extend(table for table in audited if table not in OBJECT_TYPES)


def parsed(rights: str, columns: Iterable[str]) -> set[Right]:
    """Read rights as they stand in GRANT; columns that the table does not have yet are left out."""
    have = set(columns)
    found: set[Right] = set()
    for match in _RIGHT.finditer(rights):
        named = match[2].split(", ") if match[2] else [""]
        found |= {(match[1], column) for column in named if not column or column in have}
    return found


def tenant_tables() -> list[str]:
    """Return every table with rows of accounts."""
    return sorted(model._meta.db_table for model in apps.get_models() if has_account(model))


def has_account(model: type[models.Model]) -> bool:
    return any(field.column == "account_id" for field in model._meta.concrete_fields)


class Database:
    """Reads our tables and roles from the catalog."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def rows(self, query: Any, values: Any = None) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def run(self, statement: sql.Composable | str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def missing_roles(self) -> list[str]:
        have = {name for (name,) in self.rows("SELECT rolname FROM pg_roles")}
        return [role for role in ROLES if role not in have]

    def columns(self) -> dict[str, list[str]]:
        """Return the columns of the tables of Django's models that exist."""
        ours = [*self.connection.introspection.django_table_names(), "django_migrations"]
        found: dict[str, list[str]] = {}
        for table, column in self.rows(
            "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') "
            "AND attnum > 0 AND NOT attisdropped AND relname = ANY(%s)",
            [ours],
        ):
            found.setdefault(table, []).append(column)
        return found

    def secured(self) -> set[str]:
        """Return the tables with row-level security."""
        query = (
            "SELECT relname FROM pg_class WHERE relrowsecurity "
            "AND relnamespace = current_schema()::regnamespace"
        )
        return {table for (table,) in self.rows(query)}

    def rights_of(self, role: str) -> Rights:
        query = """
            SELECT relname, '', acl.privilege_type, acl.grantee
            FROM pg_class, aclexplode(relacl) AS acl
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            UNION ALL
            SELECT relname, attname, acl.privilege_type, acl.grantee
            FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl) AS acl
            WHERE relnamespace = current_schema()::regnamespace
        """
        found: Rights = {}
        for table, column, privilege in self.rows(
            f"SELECT relname, column2, privilege_type FROM ({query}) "  # noqa: S608
            "AS rights (relname, column2, privilege_type, grantee) "
            "WHERE grantee = (SELECT oid FROM pg_roles WHERE rolname = %s)",
            [role],
        ):
            found.setdefault(table, set()).add((privilege, column))
        return found

    def policies(self) -> dict[str, set[tuple[str, ...]]]:
        """Return each table's policies: name, kind, roles, command, USING, WITH CHECK."""
        query = r"""
            SELECT tablename, policyname, permissive, array_to_string(roles, ','), cmd,
                regexp_replace(qual, '\s+', ' ', 'g'), regexp_replace(with_check, '\s+', ' ', 'g')
            FROM pg_policies WHERE schemaname = current_schema()
        """
        found: dict[str, set[tuple[str, ...]]] = {}
        for table, *policy in self.rows(query):
            found.setdefault(table, set()).add(tuple(policy))
        return found

    def logins(self) -> list[str]:
        """Return the logins that may take on both roles and may CONNECT here by name.

        By name, because roles belong to the whole server: what PUBLIC may, the logins of other
        databases may too.
        """
        query = """
            SELECT rolname FROM pg_roles AS login
            WHERE rolcanlogin AND NOT rolsuper
                AND oid NOT IN (SELECT relowner FROM pg_class WHERE oid = to_regclass('accounts'))
                AND login.oid IN (SELECT grantee FROM pg_database,
                    aclexplode(datacl) AS acl
                    WHERE datname = current_database() AND acl.privilege_type = 'CONNECT')
                AND 2 = (
                    SELECT count(DISTINCT role.oid) FROM pg_auth_members
                    JOIN pg_roles AS role ON role.oid = roleid
                    WHERE member = login.oid AND role.rolname = ANY(%s)
                )
        """
        return [name for (name,) in self.rows(query, [list(ROLES)])]

    def strangers(self) -> list[str]:
        """Return the logins of other databases that may take on one of the roles."""
        query = """
            SELECT DISTINCT rolname FROM pg_roles AS login, unnest(%s::text[]) AS role
            WHERE rolcanlogin AND NOT rolsuper AND rolname <> ALL (%s)
                AND pg_has_role(login.oid, role, 'MEMBER')
                AND oid NOT IN (SELECT relowner FROM pg_class WHERE oid = to_regclass('accounts'))
                AND oid NOT IN (SELECT datdba FROM pg_database WHERE datname = current_database())
            ORDER BY 1
        """
        return [name for (name,) in self.rows(query, [list(ROLES), self.logins()])]

    def public_rights(self) -> set[str]:
        """Return what PUBLIC may do with this database: CONNECT, TEMPORARY."""
        query = """
            SELECT privilege_type FROM pg_database,
                aclexplode(coalesce(datacl, acldefault('d', datdba))) AS acl
            WHERE datname = current_database() AND grantee = 0
        """
        return {right for (right,) in self.rows(query)}

    def creators(self, logins: Iterable[str]) -> list[tuple[str, str]]:
        """Return (name, TEMPORARY or CREATE) of the roles and logins that may make tables."""
        query = """
            SELECT name, 'TEMPORARY' FROM unnest(%s::text[]) AS name
            WHERE has_database_privilege(name, current_database(), 'TEMPORARY')
            UNION ALL
            SELECT name, 'CREATE' FROM unnest(%s::text[]) AS name
            WHERE has_schema_privilege(name, current_schema()::text, 'CREATE')
            ORDER BY 1, 2
        """
        names = [*ROLES, *logins]
        return list(self.rows(query, [names, names]))

    def unfixed_functions(self) -> list[str]:
        """Return our functions without a search_path of their own, with their arguments."""
        query = r"""
            SELECT oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'app\_%%'
                AND NOT EXISTS (SELECT FROM unnest(proconfig) AS setting
                    WHERE setting LIKE 'search\_path=%%')
            ORDER BY 1
        """
        return [name for (name,) in self.rows(query, [])]

    def uncallable(self, logins: Iterable[str]) -> list[tuple[str, str]]:
        """Return (login, name) of the look-up functions that exist and the login may not call."""
        query = """
            SELECT login, name FROM unnest(%s::text[]) AS login, unnest(%s::text[]) AS name
            WHERE NOT has_function_privilege(login, to_regprocedure(name || '(text)'), 'EXECUTE')
        """
        return list(self.rows(query, [list(logins), list(FUNCTIONS)]))


def make_roles(connection: BaseDatabaseWrapper) -> None:
    """Make the missing roles, and let the migrating login take them on.

    Stable: the migration accounts.0001 calls it. It prepares the server, not the schema.
    Raises DatabaseProblem, one line, where the rights do not suffice.
    """
    database = Database(connection)
    try:
        for role in database.missing_roles():
            with transaction.atomic(using=connection.alias):
                database.run(CREATE_ROLE.format(role=role))
    except ProgrammingError as error:
        user = connection.settings_dict["USER"]
        raise DatabaseProblem(
            f"the database user {user!r} may not make the roles {' and '.join(ROLES)}: have an "
            "administrator run what “manage.py database_roles --sql” prints, then migrate again"
        ) from error
    for role in ROLES:
        database.run(JOIN_ROLE.format(role=role))


# Roles belong to the whole server: another database's migration may make them at the same moment.
CREATE_ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
# INHERIT FALSE: outside a context the login has no right of the role. A login that may not grant
# it to itself may migrate only, with another one that serves; `database_roles` reports.
JOIN_ROLE = """
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        IF NOT pg_has_role(current_user, '{role}', 'SET') THEN
            EXECUTE 'GRANT {role} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE';
        END IF;
    ELSIF NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN
        GRANT {role} TO CURRENT_USER;
    END IF;
EXCEPTION WHEN insufficient_privilege OR unique_violation THEN NULL;
END $$
"""


def wanted_rights(database: Database, logins: Iterable[str]) -> dict[str, Rights]:
    """Return the rights that each role and login should have on the tables that exist.

    A login itself has rights only on what belongs to no account: people, their sessions, Django's
    tables.
    """
    columns, secured = database.columns(), database.secured()
    wanted: dict[str, Rights] = {
        TENANT_ROLE: {
            table: parsed(rights, columns[table])
            for table, rights in TENANT_RIGHTS.items()
            if table in secured and table in columns
        },
        PLATFORM_ROLE: {table: parsed(_whole(table), ()) for table in columns},
    }
    of_accounts = {model._meta.db_table for model in apps.get_models() if has_account(model)}
    of_accounts |= TENANT_RIGHTS.keys()
    shared = [table for table in columns if table == "users" or table not in of_accounts]
    for login in logins:
        wanted[login] = {table: parsed(_whole(table), ()) for table in shared}
    return wanted


def _whole(table: str) -> str:
    return PLATFORM_RIGHTS.get(table, ALL)


def lacking_rights(database: Database, logins: Iterable[str]) -> dict[str, Rights]:
    """Return the wanted rights of the tables where a role has others."""
    lacking: dict[str, Rights] = {}
    for role, wanted in wanted_rights(database, logins).items():
        have = database.rights_of(role)
        different = {t: rights for t, rights in wanted.items() if have.get(t, set()) != rights}
        if different:
            lacking[role] = different
    return lacking


def grants(lacking: Mapping[str, Rights]) -> Iterator[sql.Composed]:
    """Yield the statements that give exactly these rights."""
    for role, tables in lacking.items():
        by_rights: dict[frozenset[Right], list[str]] = {}
        for table, rights in sorted(tables.items()):
            by_rights.setdefault(frozenset(rights), []).append(table)
        for shared, names in by_rights.items():
            yield from _exactly(shared, names, sql.Identifier(role))


def _exactly(
    rights: frozenset[Right], tables: list[str], role: sql.Identifier
) -> Iterator[sql.Composed]:
    listed = sql.SQL(", ").join(map(sql.Identifier, tables))
    yield sql.SQL("REVOKE ALL ON {} FROM {}").format(listed, role)
    if rights:
        words = sql.SQL(", ").join(_in_words(rights))
        yield sql.SQL("GRANT {} ON {} TO {}").format(words, listed, role)


def _in_words(rights: Iterable[Right]) -> Iterator[sql.Composable]:
    columns: dict[str, list[str]] = {}
    for privilege, column in sorted(rights):
        columns.setdefault(privilege, []).append(column)
    for privilege, names in columns.items():
        if names == [""]:
            yield sql.SQL(privilege)
        else:
            listed = sql.SQL(", ").join(map(sql.Identifier, names))
            yield sql.SQL("{} ({})").format(sql.SQL(privilege), listed)


def usage(database: Database, logins: Iterable[str]) -> Iterator[sql.Composed]:
    """Yield GRANT USAGE ON SCHEMA for those without it; PUBLIC mostly has it."""
    [(schema,)] = database.rows("SELECT current_schema()::text")
    for role in (*ROLES, *logins):
        [(has,)] = database.rows("SELECT has_schema_privilege(%s, %s, 'USAGE')", [role, schema])
        if not has:
            yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(
                sql.Identifier(schema), sql.Identifier(role)
            )


def function_grants(lacking: Iterable[tuple[str, str]]) -> Iterator[sql.Composed]:
    """Yield the statements that let these logins call these functions."""
    for login, name in lacking:
        yield sql.SQL("GRANT EXECUTE ON FUNCTION {}(text) TO {}").format(
            sql.Identifier(name), sql.Identifier(login)
        )


def fixed_paths(database: Database) -> Iterator[sql.Composed]:
    """Set the search_path of our functions, so that no temporary table hides one of ours.

    PostgreSQL searches pg_temp first where it is not named.
    """
    [(schema,)] = database.rows("SELECT current_schema()::text")
    for function in database.unfixed_functions():
        yield sql.SQL("ALTER FUNCTION {} SET search_path = pg_catalog, {}, pg_temp").format(
            sql.SQL(function), sql.Identifier(schema)
        )


def grant_rights(using: str) -> None:
    """Give every role the rights that it lacks, and every function its search_path.

    It runs after each migrate, for new tables and replaced functions.
    """
    database = Database(connections[using])
    if database.missing_roles():
        return
    with transaction.atomic(using=using):
        logins = database.logins()
        for statements in (
            usage(database, logins),
            grants(lacking_rights(database, logins)),
            function_grants(database.uncallable(logins)),
            fixed_paths(database),
        ):
            for statement in statements:
                database.run(statement)
