"""Sends the savepoints and the contexts of tests to PostgreSQL without a cursor of Django's.

A test is one transaction, so each context and each `atomic` of the product is a savepoint in it.
That is more than a third of all statements of the suite. A cursor takes 80 µs for one of them,
libpq 10.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import ClientCursor
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

from accounts.tenancy import context

_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
_execute = context._execute


@contextmanager
def quick_savepoints() -> Iterator[None]:
    operations = ("savepoint_create_sql", "savepoint_rollback_sql", "savepoint_commit_sql")
    methods = ("_savepoint", "_savepoint_rollback", "_savepoint_commit")
    with ExitStack() as patches:
        for method, operation in zip(methods, operations, strict=True):
            quick = _quick(getattr(BaseDatabaseWrapper, method), operation)
            patches.enter_context(mock.patch.object(BaseDatabaseWrapper, method, quick))
        patches.enter_context(mock.patch.object(context, "_execute", _execute_quickly))
        yield


def _quick(plain: Any, operation: str) -> Any:
    def quick(connection: BaseDatabaseWrapper, sid: str) -> None:
        if not _is_sent(connection, getattr(connection.ops, operation)(sid)):
            plain(connection, sid)

    return quick


def _execute_quickly(
    connection: BaseDatabaseWrapper, statement: str, values: Sequence[str] | None = None
) -> None:
    if not _is_sent(connection, statement, values):
        _execute(connection, statement, list(values) if values else None)


def _is_sent(
    connection: BaseDatabaseWrapper, statement: str, values: Sequence[str] | None = None
) -> bool:
    """Send a statement whose result nobody reads; False where Django's cursor has to do it.

    It does where statements are logged, where more than the guard of all tests watches them, where
    psycopg has a transaction to begin first, and where the connection is lost. Raises what is wrong
    with the statement, which is sent once: a second try would only say that the first one failed.
    """
    opened: Any = connection.connection
    if connection.queries_logged or len(connection.execute_wrappers) > 1 or opened is None:
        return False
    if opened.pgconn.transaction_status != TransactionStatus.INTRANS:
        return False
    text = ClientCursor(opened).mogrify(statement, values) if values else statement
    with opened.lock:
        result = opened.pgconn.exec_(text.encode())
    if opened.pgconn.transaction_status == TransactionStatus.INERROR:
        with connection.wrap_database_errors:
            raise error_from_result(result)
    return result.status in _DONE
