"""Reports are read from a replica of the database, where there is one that is up to date.

The replica is a standby of PostgreSQL: roles, policies and contexts are those of the primary. What
only reads, and may miss what happened a moment ago, comes here; rights and limits do not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections, models
from psycopg.errors import QueryCanceled

from accounts.tenancy.context import (
    PLATFORM,
    alias_in_use,
    current_context,
    platform_context,
    tenant_context,
)
from salient.database.config import REPLICA

logger = logging.getLogger(__name__)
# For how long a replica that could not be used is not asked again.
PAUSE_SECONDS: Final = 15.0
# A server process writes a row every two seconds (server_processes), so a replica that replays
# nothing has lost its primary. A server that is no standby has no lag.
_ENTER: Final = """
    SELECT set_config('transaction_read_only', 'on', true), CASE WHEN pg_is_in_recovery()
        THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) ELSE 0 END
"""


class _Unusable(Exception):
    """The replica is too far behind."""


class _State:
    """What this process knows of the replica; each change is one line of the log."""

    def __init__(self) -> None:
        self.is_away = False
        self.ask_at = 0.0

    def failed(self, reason: object) -> None:
        if not self.is_away:
            logger.warning("Reports are read from the primary database: the replica %s.", reason)
        self.is_away = True
        self.ask_at = time.monotonic() + PAUSE_SECONDS

    def answered(self) -> None:
        if self.is_away:
            logger.warning("Reports are read from the replica again.")
        self.is_away = False


_state = _State()


def has_replica() -> bool:
    """Whether a replica is configured and was usable when it was last asked."""
    return REPLICA in connections.settings and time.monotonic() >= _state.ask_at


def read_as_tenant[T](
    account_id: UUID,
    read: Callable[[], T],
    *,
    then: Callable[[], object] | None = None,
    snapshot: bool = False,
) -> T:
    """Return what `read` finds in the account's context; `then` runs on the primary afterwards.

    `read` may run twice: where the replica fails, it is called again on the primary. With
    `snapshot` all of its statements see one moment, and `then` does not go with it.
    """
    return _read(account_id, read, then, snapshot=snapshot)


def read_as_platform[T](read: Callable[[], T]) -> T:
    """Return what `read` finds in the platform context, also inside an open one."""
    return _read(PLATFORM, read, None)


def _read[T](
    context: UUID | str,
    read: Callable[[], T],
    then: Callable[[], object] | None,
    *,
    snapshot: bool = False,
) -> T:
    if has_replica():
        try:
            found = _from_replica(context, read, snapshot=snapshot)
        except _Unusable:
            pass
        else:
            if then is not None:
                _on_primary(context, then)
            return found

    def both() -> T:
        found = read()
        if then is not None:
            then()
        return found

    return _on_primary(context, both, snapshot=snapshot)


def _on_primary[T](context: UUID | str, work: Callable[[], T], *, snapshot: bool = False) -> T:
    if current_context() == context:
        return work()
    with _context(context, DEFAULT_DB_ALIAS, snapshot=snapshot):
        return work()


def _context(context: UUID | str, using: str, *, snapshot: bool) -> AbstractContextManager[None]:
    if context == PLATFORM:
        return platform_context(using=using)
    return tenant_context(UUID(str(context)), using=using, snapshot=snapshot)


def _from_replica[T](context: UUID | str, read: Callable[[], T], *, snapshot: bool) -> T:
    """Read there; raises _Unusable, noted in the log, where the primary has to be asked."""
    try:
        with _context(context, REPLICA, snapshot=snapshot):
            _require_up_to_date()
            found = read()
    except _Unusable as error:
        _state.failed(error)
        raise
    except (DatabaseError, InterfaceError) as error:
        # It took too long, and would do so on the primary as well.
        if isinstance(error.__cause__, QueryCanceled):
            raise
        _state.failed(f"failed ({' '.join(str(error).split())})")
        raise _Unusable from error
    finally:
        # Back to its pool: threads of the API would keep it.
        connections[REPLICA].close()
    _state.answered()
    return found


def _require_up_to_date() -> None:
    """Let the transaction on the replica only read; raises _Unusable where it is too far behind."""
    with connections[REPLICA].cursor() as cursor:
        cursor.execute(_ENTER)
        _, behind = cursor.fetchone()
    if behind is None or behind > settings.DATABASE_REPLICA_MAX_LAG:
        how_far = "has replayed nothing yet" if behind is None else f"is {behind:.0f} s behind"
        raise _Unusable(how_far)


class ReplicaRouter:
    """Sends the statements of a context to its database; installed where there is a replica.

    Writes too: inside a replica's context they fail, and they never run outside of any context.
    """

    def db_for_read(self, model: type[models.Model], **_hints: Any) -> str:
        return alias_in_use()

    db_for_write = db_for_read

    def allow_relation(self, *_rows: models.Model, **_hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool | None:
        return False if db == REPLICA else None
