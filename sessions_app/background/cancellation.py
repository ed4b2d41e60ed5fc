"""Cancels running turns: the process that runs one looks for that several times a second."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from django.db import InterfaceError, OperationalError

from accounts.auth.revocation import Watch
from accounts.tenancy.context import platform_context
from salient.api.lifespan import in_rounds
from salient.database import in_database
from sessions_app.models import TurnCancellation
from sessions_app.turns.problems import TurnCancelled

logger = logging.getLogger(__name__)
# A turn ends within this time and the two statements, wherever it was cancelled.
LOOK_SECONDS = 0.4

# An id is unique within its account only.
type TurnKey = tuple[UUID, UUID]


class _Canceller:
    """The running turns of one event loop, and the task that looks which of them were cancelled.

    It ends when a look finds no turn: a task for each turn that runs alone would cost more.
    """

    def __init__(self) -> None:
        self.watches: dict[TurnKey, Watch] = {}
        in_rounds(self._run)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._look_in_rounds()
        finally:
            del _cancellers[loop]

    async def _look_in_rounds(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self.watches:
                return
            try:
                for key in await in_database(_cancelled):
                    if (watch := self.watches.get(key)) is not None:
                        watch.end(TurnCancelled)
            except (OperationalError, InterfaceError) as error:
                logger.debug("The database did not say which turns were cancelled: %s", error)
            except Exception:
                logger.exception("Unexpected error while looking for cancelled turns")


_cancellers: dict[asyncio.AbstractEventLoop, _Canceller] = {}


class Cancellable:
    """Lets the running turn be cancelled, from this process and from any other."""

    __slots__ = ("_canceller", "_key", "_watch")

    def __init__(self, account_id: UUID, request_id: UUID, watch: Watch) -> None:
        self._key, self._watch = (account_id, request_id), watch

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        canceller = _cancellers.get(loop)
        if canceller is None:
            canceller = _cancellers[loop] = _Canceller()
        self._canceller = canceller
        canceller.watches[self._key] = self._watch

    def __exit__(self, *_: object) -> None:
        del self._canceller.watches[self._key]


def cancel_here(account_id: UUID, request_id: UUID) -> None:
    """Cancel the turn at once, if this process runs it."""
    canceller = _cancellers.get(asyncio.get_running_loop())
    watch = canceller.watches.get((account_id, request_id)) if canceller else None
    if watch is not None:
        watch.end(TurnCancelled)


def _cancelled() -> set[TurnKey]:
    with platform_context():
        return set(TurnCancellation.objects.values_list("account_id", "llm_request_id"))
