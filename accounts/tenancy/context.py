"""Tenant and platform contexts: the only way to tenant data."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    models,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col
from django.db.models.lookups import Exact
from django.db.models.signals import class_prepared
from django.db.models.sql.where import WhereNode
from django.dispatch import receiver

from salient.actors import actor_text
from salient.database import Answer, call_batched, circuit, in_database, json_array, split_answers
from salient.ids import uuid_text

if TYPE_CHECKING:
    from accounts.models import Account

PLATFORM: Final = "platform"
# The roles that a context takes on; row-level security is written for them
# (accounts/tenancy/rls.py).
TENANT_ROLE, PLATFORM_ROLE = "salient_tenant", "salient_platform"
# How long one statement may take in a context. This, the lock and the idle time-out are set here,
# because SET ROLE does not apply a role's own settings.
STATEMENT_SECONDS = 5
STATEMENT_TIMEOUT = f"{STATEMENT_SECONDS}s"
_ENTER = """
    SELECT set_config('role', %s, true), set_config('app.account_id', %s, true),
        set_config('statement_timeout', %s, true), set_config('app.actor', %s, true),
        set_config('lock_timeout', '2s', true),
        set_config('idle_in_transaction_session_timeout', '10s', true)
"""
# On a cluster only a statement SET LOCAL reaches the workers: accounts/sql/cluster/app_enter.sql.
if settings.DATABASE_DISTRIBUTED:
    _ENTER = "SELECT app_enter(%s, %s, %s, %s)"
# The same for the event loop's connections, where values go by number.
_ENTER_BY_NUMBER = (_ENTER % ("$1", "$2", "$3", "$4")).encode()
_LEAVE = """
    SELECT set_config('role', NULL, true), set_config('app.account_id', NULL, true),
        set_config('statement_timeout', NULL, true), set_config('app.actor', NULL, true),
        set_config('lock_timeout', NULL, true),
        set_config('idle_in_transaction_session_timeout', NULL, true)
"""
# Before the first query of the transaction.
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
type Context = UUID | str
_context: ContextVar[Context | None] = ContextVar("tenant_context", default=None)
# The database of the open context: the primary, or the replica (accounts/tenancy/replica.py).
_using: ContextVar[str] = ContextVar("database_in_use", default=DEFAULT_DB_ALIAS)


class NoTenantContext(RuntimeError):
    """Tenant data was asked for outside tenant_context() and platform_context()."""


def current_context() -> Context | None:
    """Return the account of the open context, PLATFORM, or None."""
    return _context.get()


def alias_in_use() -> str:
    """Return Django's name of the database in which the open context is."""
    return _using.get()


def connection_in_use() -> BaseDatabaseWrapper:
    """Return the open context's connection, for SQL that may be run on the replica."""
    return connections[_using.get()]


@contextmanager
def tenant_context(
    account_id: UUID, *, using: str = DEFAULT_DB_ALIAS, snapshot: bool = False
) -> Iterator[None]:
    """One transaction that sees and writes the rows of one account only.

    With `snapshot` it only reads, and all of it as it is at this moment.
    """
    values = [TENANT_ROLE, str(account_id), STATEMENT_TIMEOUT, actor_text()]
    with _open(account_id, values, using, snapshot=snapshot):
        yield


async def call_as_tenant(
    account_id: UUID, function: str, value: str, *, batch_key: Hashable, order: str = ""
) -> Answer:
    """Call a function (the_account uuid, values jsonb) with one value, in the tenant context.

    The context's statement and the call are one message and one transaction: one round trip instead
    of four. Calls of one context with equal `batch_key` that wait for a connection are sent as one
    batch, sorted by `order`. A call that raises is rolled back; no other call of its batch fails.
    """
    if not settings.DATABASE_API_THREADS or settings.DATABASE_DISTRIBUTED:
        # A cluster wants a transaction that was begun before, which costs a round trip.
        return await in_database(_ask_inside, account_id, function, value)
    account = uuid_text(account_id)
    values = [TENANT_ROLE, account, STATEMENT_TIMEOUT, actor_text()]
    return await call_batched(
        (_ENTER_BY_NUMBER, values),
        (_call_of(function), [account, value]),
        batch_key=batch_key,
        order=order,
    )


@cache
def _call_of(function: str) -> bytes:
    return f"SELECT {function}($1, $2)".encode()


def _ask_inside(account_id: UUID, function: str, value: str) -> Answer:
    """Do it on Django's connection, which tests share."""
    with tenant_context(account_id), connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s::uuid, %s::jsonb)", [account_id, json_array([value])])
        [answer] = split_answers(cursor.fetchone()[0], 1)
        return answer


@contextmanager
def platform_context(
    *, statement_seconds: int = STATEMENT_SECONDS, using: str = DEFAULT_DB_ALIAS
) -> Iterator[None]:
    """One transaction that sees all accounts: staff, jobs, commands."""
    with _open(PLATFORM, [PLATFORM_ROLE, "", f"{statement_seconds}s", actor_text()], using):
        yield


@contextmanager
def _open(
    context: Context, values: list[str], using: str, *, snapshot: bool = False
) -> Iterator[None]:
    with _transaction(values, using, snapshot=snapshot):
        token, database = _context.set(context), _using.set(using)
        try:
            yield
        finally:
            _using.reset(database)
            _context.reset(token)


@contextmanager
def _transaction(values: list[str], using: str, *, snapshot: bool) -> Iterator[None]:
    """Open the outermost transaction; a connection that died while idle is replaced once."""
    opened = connections[using]
    was_open = opened.connection is not None
    try:
        block = _begin(values, opened, snapshot=snapshot)
    except (OperationalError, InterfaceError):
        if not was_open:
            raise
        opened.close()
        block = _begin(values, opened, snapshot=snapshot)
    with block:
        yield


@contextmanager
def _entered(block: transaction.Atomic, opened: BaseDatabaseWrapper) -> Iterator[None]:
    error: tuple[Any, Any, Any] = (None, None, None)
    try:
        yield
    except BaseException as exception:
        error = (type(exception), exception, exception.__traceback__)
        raise
    finally:
        block.__exit__(*error)
        if opened.in_atomic_block and error[0] is None:
            # Only inside a test's transaction: its savepoint is released, the settings stay.
            _execute(opened, _LEAVE)


def _begin(values: list[str], opened: BaseDatabaseWrapper, *, snapshot: bool) -> Any:
    """Begin, take on the role and set the account; all of it ends with the transaction."""
    circuit.refuse()
    # Inside a test's transaction there is none to begin.
    snapshot = snapshot and not opened.in_atomic_block
    block = transaction.atomic(using=opened.alias, durable=True)
    block.__enter__()
    try:
        if snapshot:
            _execute(opened, _SNAPSHOT)
        _execute(opened, _ENTER, values)
    except BaseException as exception:
        block.__exit__(type(exception), exception, exception.__traceback__)
        raise
    return _entered(block, opened)


def _execute(opened: BaseDatabaseWrapper, statement: str, values: list[str] | None = None) -> None:
    with opened.cursor() as cursor:
        cursor.execute(statement, values)


class TenantQuerySet[M: models.Model](models.QuerySet[M]):
    def for_account(self, account: Account | UUID) -> Self:
        return self.filter(account=account)


class TenantManager[M: models.Model](models.Manager[M]):
    """Gives the rows that the open context may see; raises NoTenantContext without one."""

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        match _context.get():
            case None:
                raise NoTenantContext(
                    f"Open tenant_context() or platform_context() to use {self.model.__name__}."
                )
            case UUID() as account_id:
                return rows.filter(account_id=account_id)
            case _:
                return rows


class TenantModel(models.Model):
    """Data that belongs to one account, named by its column account_id."""

    account_id: UUID

    class Meta:
        abstract = True

    def _do_update(self, base_qs: Any, *values: Any, **named: Any) -> Any:
        """Find the row by its account too, which is part of its key: else all servers of a cluster
        would be asked for it.
        """
        return super()._do_update(base_qs.filter(account_id=self.account_id), *values, **named)


@receiver(class_prepared)
def scope_rows(sender: type[models.Model], **_more: Any) -> None:
    """Require a context also for what Django does with a row: save, refresh, follow a key.

    Not by Meta.base_manager_name, which every model and every migration would have to name. Keys to
    other rows of accounts join them by the account as well: it is part of each row's key, and
    distributed tables can be joined only by it.
    """
    if issubclass(sender, TenantModel):
        sender._meta.base_manager_name = "objects"
        for field in sender._meta.local_fields:
            if isinstance(field, models.ForeignKey) and field.name != "account":
                field.get_extra_restriction = partial(_same_account, field)  # type: ignore[method-assign]


def _same_account(
    field: models.ForeignKey[Any, Any], alias: str | None, related_alias: str
) -> WhereNode | None:
    """Return what a join by this key asks for besides; None where the row has no account."""
    if alias is None or not issubclass(field.related_model, TenantModel):
        return None
    account: Any = field.model._meta.get_field("account")
    equal: Any = Exact(Col(alias, account), Col(related_alias, account))
    return WhereNode([equal])
