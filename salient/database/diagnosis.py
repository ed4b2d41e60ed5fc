"""Explains in one line what is wrong with the database and what to do about it."""

import errno
from collections.abc import Iterator
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from psycopg_pool import PoolTimeout

from salient.database import embedded
from salient.local.shared_process import SharedProcessError

OLDEST = 15
INSUFFICIENT_PRIVILEGE = "42501"
DISK_FULL = "53100"
# A class of codes: psycopg raises OperationalError, but the server answers, and refuses a value.
PROGRAM_LIMIT_EXCEEDED = "54"
# The errors of a folder that cannot be written to.
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
# libpq has no codes for errors while it connects, only these words.
CONNECTING = {
    "Connection refused": "nothing answers: does it run, and are host and port right?",
    "No such file or directory": "there is no such socket: does it run?",
    "could not translate host name": "this host name is not known",
    "failed to resolve host": "this host name is not known",
    "password authentication failed": "user or password is wrong",
    "no password supplied": "a password is needed",
    "does not exist": "create it first, or correct the name",
    "timeout": "the server does not answer in time",
    "too many clients": "all its connections are taken",
    "remaining connection slots": "all its connections are taken",
    "starting up": "it is just starting: try again in a moment",
    "permission denied": "the database user may not connect: GRANT CONNECT is missing",
    "no pg_hba.conf entry": "the server's pg_hba.conf does not let this client in",
}


class DatabaseProblem(Exception):
    """The database cannot be used as it is; the message is one line that says why."""


def is_unavailable(error: BaseException) -> bool:
    """Whether the database does not answer or cannot work; False when it refuses some data."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    condition = getattr(error.__cause__, "sqlstate", None) or ""
    return not condition.startswith(PROGRAM_LIMIT_EXCEEDED)


def ensure_started() -> None:
    """Start the embedded server where it is the configured one; it runs until this process ends."""
    if connection.settings_dict.get("EMBEDDED"):
        embedded.ensure_running()


def check_server() -> None:
    """Connect once, outside the pool, and raise `DatabaseProblem` if anything is wrong."""
    try:
        ensure_started()
        with psycopg.connect(**parameters()) as probe:
            check_version(probe.info.server_version)
            _check_rights(probe)
    except (SharedProcessError, psycopg.Error) as error:
        raise DatabaseProblem(in_one_line(error)) from error


def check_version(number: int) -> None:
    """Raise DatabaseProblem for a server that is too old; libpq's number 150004 is 15.4."""
    if number // 10_000 < OLDEST:
        version = f"{number // 10_000}.{number % 10_000}"
        raise DatabaseProblem(f"{_server()} is PostgreSQL {version}: at least {OLDEST} is needed")


def explain(error: BaseException) -> str | None:
    """Return the line for an error of the database or its settings, and None for others."""
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, (DatabaseProblem, SharedProcessError, ImproperlyConfigured)):
            return first_line(cause)
        if isinstance(cause, OSError) and cause.filename and cause.errno in UNWRITABLE:
            return f"{cause.filename} cannot be used: {str(cause.strerror).lower()}"
        if isinstance(cause, PoolTimeout):
            return _pool_timeout_reason()
        if isinstance(cause, psycopg.Error) and (line := _explain_postgres(cause)):
            return line
    # Django's own refusal of an old server, and a lost connection, have no code.
    known = (InterfaceError, psycopg.InterfaceError)
    return next((f"{_server()}: {first_line(e)}" for e in causes if isinstance(e, known)), None)


def in_one_line(error: BaseException) -> str:
    """Return what `explain` does, or else how the error itself begins."""
    return explain(error) or first_line(error)


def _explain_postgres(error: psycopg.Error) -> str | None:
    if error.sqlstate == INSUFFICIENT_PRIVILEGE:
        user = connection.settings_dict["USER"]
        return (
            f"{_server()}: the database user {user!r} lacks a right: {first_line(error)} "
            "(“manage.py database_roles” says what is missing)"
        )
    if error.sqlstate == DISK_FULL:
        return f"{_server()}: its disk is full ({first_line(error)})"
    if isinstance(error, psycopg.OperationalError):
        text = str(error)
        advice = next((line for words, line in CONNECTING.items() if words in text), None)
        return f"{_server()} cannot be used: {advice or first_line(error)}"
    return None


def _pool_timeout_reason() -> str:
    """Connect outside the pool, which does not report the reason."""
    try:
        check_server()
    except DatabaseProblem as problem:
        return str(problem)
    return f"{_server()}: all connections of DATABASE_POOL_SIZE are in use"


def _check_rights(probe: psycopg.Connection[Any]) -> None:
    """Check that the user may read the migrations' table, if it is there."""
    row = probe.execute(
        "SELECT coalesce(has_table_privilege(to_regclass('django_migrations'), 'SELECT'), true)"
    ).fetchone()
    if row != (True,):
        user = connection.settings_dict["USER"]
        raise DatabaseProblem(f"{_server()}: the database user {user!r} may not read the tables")


def parameters() -> dict[str, Any]:
    """Return the settings as libpq's parameters, without those that only Django knows."""
    options = {**connection.settings_dict["OPTIONS"]}
    for name in ("pool", "assume_role", "isolation_level", "server_side_binding"):
        options.pop(name, None)
    keys = {
        "dbname": "NAME",
        "user": "USER",
        "password": "PASSWORD",
        "host": "HOST",
        "port": "PORT",
    }
    named = {key: connection.settings_dict[name] for key, name in keys.items()}
    return {**options, **{key: value for key, value in named.items() if value}}


def _server() -> str:
    """Return the server's name for people, without a password."""
    settings = connection.settings_dict
    if settings.get("EMBEDDED"):
        return "the embedded PostgreSQL"
    host = settings["HOST"] or "localhost"
    return f"the database {settings['NAME']!r} on {host}:{settings['PORT'] or 5432}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes; Django's own errors have theirs as context only."""
    while error is not None:
        yield error
        context = error.__context__ if isinstance(error, DatabaseError) else None
        error = error.__cause__ or context


def first_line(error: BaseException) -> str:
    """Return how an error begins: PostgreSQL's have further lines, with values of rows."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
