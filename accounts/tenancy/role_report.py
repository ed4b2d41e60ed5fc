"""Checks the database's roles, and writes the SQL that makes them where Salient may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from accounts.tenancy.rls import policy_problems
from accounts.tenancy.roles import (
    CREATE_ROLE,
    FUNCTIONS,
    ROLES,
    Database,
    fixed_paths,
    function_grants,
    grants,
    lacking_rights,
    usage,
    wanted_rights,
)

LOGIN = "salient_app"
SEE_SQL = "see `database_roles --sql`"
CREATE_LOGIN = """DO $$ BEGIN
    CREATE ROLE {} LOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object THEN NULL; END $$"""


def check_roles(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return {"ok", "login", "problems", "advice"} of the roles and of the present login."""
    database = Database(connection)
    [(login,)] = database.rows("SELECT session_user::text")
    if missing := database.missing_roles():
        problems = [f"the role {role} is missing" for role in missing]
        return {"ok": False, "login": login, "problems": problems, "advice": []}
    problems = [
        *_role_problems(database),
        *_login_problems(database),
        *policy_problems(database),
        *_right_problems(database),
        *_function_problems(database),
        *_access_problems(database),
    ]
    advice = list(_advice(database))
    return {"ok": not problems, "login": login, "problems": problems, "advice": advice}


def _role_problems(database: Database) -> Iterator[str]:
    query = (
        "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = ANY(%s)"
    )
    for role, *forbidden in database.rows(query, [list(ROLES)]):
        words = ("may log in", "is a superuser", "bypasses row-level security")
        for word, is_so in zip(words, forbidden, strict=True):
            if is_so:
                yield f"the role {role} {word}"


def _login_problems(database: Database) -> Iterator[str]:
    """From PostgreSQL 16 on, a member of a role may be forbidden to SET it."""
    for role in ROLES:
        [(may,)] = database.rows(
            "SELECT pg_has_role(session_user, %s, CASE WHEN "
            "current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)",
            [role],
        )
        if not may:
            yield f"the login may not take on {role}: GRANT {role} TO it"


def _right_problems(database: Database) -> Iterator[str]:
    for role, tables in lacking_rights(database, database.logins()).items():
        have = database.rights_of(role)
        for table, wanted in tables.items():
            yield (
                f"{role} has other rights on {table} than it should: "
                f"{in_words(have.get(table, set()))} instead of {in_words(wanted)} "
                "(migrate sets them right)"
            )


def in_words(rights: Any) -> str:
    listed = (f"{privilege} ({column})" if column else privilege for privilege, column in rights)
    return ", ".join(sorted(listed)) or "none"


def _function_problems(database: Database) -> Iterator[str]:
    for name in FUNCTIONS:
        [(may,)] = database.rows(
            "SELECT has_function_privilege(session_user, to_regprocedure(%s), 'EXECUTE')",
            [f"{name}(text)"],
        )
        if not may:
            yield f"the login may not call {name}(), or there is no such function"


def _access_problems(database: Database) -> Iterator[str]:
    """Find logins of other databases that may connect, and tables that could hide ours."""
    public = database.public_rights()
    members = database.strangers()
    [(login,)] = database.rows("SELECT session_user::text")
    if login in members:
        yield (
            f"{login} was not let into this database by name, so migrate gives it no rights: "
            f"{SEE_SQL}"
        )
    strangers = ", ".join(each for each in members if each != login)
    if "CONNECT" in public:
        who = f", among them {strangers}, who may read every row" if strangers else ""
        yield f"every login of this server may connect to this database{who}: {SEE_SQL}"
    if "TEMPORARY" in public:
        yield f"every login may make temporary tables in this database: {SEE_SQL}"
    logins = database.logins()
    for name, right in database.creators(logins):
        if right == "CREATE":
            yield f"{name} may make tables in the schema of ours: {SEE_SQL}"
        elif "TEMPORARY" not in public:
            yield f"{name} may make temporary tables in this database: {SEE_SQL}"
    for function in database.unfixed_functions():
        yield f"{function} has no search_path of its own (migrate gives it one)"


def _advice(database: Database) -> Iterator[str]:
    """Find what the login may do outside a context; inside one it has the rights of its role."""
    [(is_super, owns, inherits)] = database.rows(
        """
        SELECT rolsuper,
            EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('accounts') AND relowner = r.oid),
            EXISTS (SELECT FROM unnest(%s::text[]) AS role WHERE pg_has_role(r.oid, role, 'USAGE'))
        FROM pg_roles AS r WHERE rolname = session_user
        """,
        [list(ROLES)],
    )
    rest = f"outside a context row-level security does not bind it; {SEE_SQL}"
    if (strangers := database.strangers()) and "CONNECT" not in database.public_rights():
        yield (
            f"members of the roles that are no logins of this database: {', '.join(strangers)}; "
            "they may not connect to it"
        )
    if is_super:
        yield f"the login is a superuser: {rest}"
    elif owns:
        yield f"the login owns the tables: {rest}"
    elif inherits:
        yield "the login inherits the roles' rights outside a context: ALTER ROLE … NOINHERIT"


def statements(connection: BaseDatabaseWrapper, login: str) -> list[str]:
    """Return the SQL after which Salient serves with a login that owns nothing."""
    name, database = sql.Identifier(login), sql.Identifier(connection.settings_dict["NAME"])
    owner = _owner(connection)
    made = [
        "-- 1. As an administrator of the server (a superuser, or a role with CREATEROLE):",
        *(CREATE_ROLE.format(role=role).strip() + ";" for role in ROLES),
        "-- the login that Salient serves with; give it a password (psql: \\password)",
        *_finished(
            sql.SQL(CREATE_LOGIN).format(name),
            *(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name) for role in ROLES),
        ),
        "-- the owner of the tables runs commands too: migrate, backup, check_integrity, …",
        *_finished(
            *(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), owner) for role in ROLES)
        ),
        "-- 2. As the owner of the database, or a superuser: close it to the server's other logins",
        *_strangers(connection),
        *_finished(
            sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(database),
            sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM {}").format(database, name),
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, name),
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, owner),
        ),
        "-- 3. As the owner of the tables: manage.py migrate (it gives the rights below),",
        "--    or, where the tables are there already, in this database:",
    ]
    return [*made, *_finished(*_rights(Database(connection), login))]


def apply(connection: BaseDatabaseWrapper, login: str, password: str) -> list[str]:
    """Run these statements in one transaction, and set the login's password where one is given."""
    lines = [line for line in statements(connection, login) if not line.startswith("--")]
    database = Database(connection)
    with transaction.atomic(using=connection.alias):
        for line in lines:
            database.run(line)
        if password:
            # Hashed here, so that the server's log and statistics never contain it.
            name = login.encode()
            hashed = connection.connection.pgconn.encrypt_password(password.encode(), name)
            change = sql.SQL("ALTER ROLE {} PASSWORD {}")
            database.run(change.format(sql.Identifier(login), sql.Literal(hashed.decode())))
    return lines


def _owner(connection: BaseDatabaseWrapper) -> sql.Identifier:
    """Return the login that migrates: the tables' owner or, before there are any, this one."""
    query = "SELECT relowner::regrole::text FROM pg_class WHERE oid = to_regclass('accounts')"
    try:
        found = Database(connection).rows(query)
    except DatabaseError:
        found = []
    return sql.Identifier(found[0][0] if found else connection.settings_dict["USER"])


def _strangers(connection: BaseDatabaseWrapper) -> list[str]:
    """Return comments that name the logins which lose access."""
    try:
        database = Database(connection)
        found = [] if database.missing_roles() else database.strangers()
    except DatabaseError:
        return []
    return [f"-- no more for the member of the roles {each!r}" for each in found]


def _finished(*parts: sql.Composed) -> Iterator[str]:
    yield from (part.as_string(None) + ";" for part in parts)


def _rights(database: Database, login: str) -> Iterator[sql.Composed]:
    """Yield nothing where the database or the tables do not exist yet."""
    try:
        if database.missing_roles() or not database.secured():
            return
    except DatabaseError:
        return
    yield from usage(database, ())
    yield from grants(wanted_rights(database, [login]))
    yield from function_grants((login, name) for name in FUNCTIONS)
    [(schema,)] = database.rows("SELECT current_schema()::text")
    yield sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC").format(sql.Identifier(schema))
    yield from _revocations(database, login)
    yield from fixed_paths(database)


def _revocations(database: Database, login: str) -> Iterator[sql.Composed]:
    """Yield REVOKEs of what an earlier `migrate` gave to logins of other databases."""
    for stranger in database.strangers():
        if stranger != login and (tables := sorted(database.rights_of(stranger))):
            listed = sql.SQL(", ").join(map(sql.Identifier, tables))
            yield sql.SQL("REVOKE ALL ON {} FROM {}").format(listed, sql.Identifier(stranger))
