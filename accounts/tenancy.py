"""The doors to the database: the only way to tenant data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, models, transaction

if TYPE_CHECKING:
    from accounts.models import Account

PLATFORM: Final = "platform"
_door: ContextVar[UUID | str | None] = ContextVar("door", default=None)


class NoDoor(RuntimeError):
    """Tenant data was asked for outside tenant() and platform()."""


@contextmanager
def tenant(account_id: UUID) -> Iterator[None]:
    """One transaction that sees and writes the rows of one account only."""
    with _open(account_id, str(account_id)):
        yield


@contextmanager
def platform() -> Iterator[None]:
    """One transaction that sees all accounts: staff, jobs, commands."""
    with _open(PLATFORM, ""):
        yield


@contextmanager
def _open(door: UUID | str, account: str) -> Iterator[None]:
    with _transaction(account):
        token = _door.set(door)
        try:
            yield
        finally:
            _door.reset(token)


@contextmanager
def _transaction(account: str) -> Iterator[None]:
    """Open the outermost transaction; a connection that died while idle is replaced once."""
    was_open = connection.connection is not None
    try:
        block = _begin(account)
    except (OperationalError, InterfaceError):
        if not was_open:
            raise
        connection.close()
        block = _begin(account)
    with block:
        yield


@contextmanager
def _entered(block: transaction.Atomic) -> Iterator[None]:
    error: tuple[Any, Any, Any] = (None, None, None)
    try:
        yield
    except BaseException as exception:
        error = (type(exception), exception, exception.__traceback__)
        raise
    finally:
        block.__exit__(*error)


def _begin(account: str) -> Any:
    """Begin and set the account; both end with the transaction."""
    block = transaction.atomic(durable=True)
    block.__enter__()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('app.account_id', %s, true)", [account])
    except BaseException as exception:
        block.__exit__(type(exception), exception, exception.__traceback__)
        raise
    return _entered(block)


def in_platform[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Run function inside platform()."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with platform():
            return function(*args, **kwargs)

    return wrapper


class TenantQuerySet[M: models.Model](models.QuerySet[M]):
    def for_account(self, account: Account | UUID) -> Self:
        return self.filter(account=account)


class TenantManager[M: models.Model](models.Manager[M]):
    """Gives the rows of the door that is open; refuses where none is."""

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        match _door.get():
            case None:
                raise NoDoor(f"Open tenant() or platform() before you touch {self.model.__name__}.")
            case UUID() as account_id:
                return rows.filter(account_id=account_id)
            case _:
                return rows


class TenantModel(models.Model):
    """Data that belongs to one account, named by its column account_id."""

    account_id: UUID

    class Meta:
        abstract = True
