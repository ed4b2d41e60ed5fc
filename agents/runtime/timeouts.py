"""How long a run waits for its model: for the first token, for the next one, and in all."""

import asyncio
from collections.abc import AsyncGenerator

from agents.runtime.errors import ProviderTimeout


class CallTimeout:
    """The time limits of one call, with one timer for all of its tokens.

    Only the time that is spent waiting for the model counts: a slow reader of the answer
    does not make the model late.
    """

    __slots__ = (
        "_deadline",
        "_expired",
        "_limit",
        "_loop",
        "_since",
        "_stall",
        "_timer",
        "_waiting",
    )

    def __init__(self, first: float, stall: float, deadline: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = first
        self._stall = stall
        self._deadline = deadline
        self._since = 0.0
        self._waiting: asyncio.Task[object] | None = None
        self._expired = False
        self._timer = self._set_timer(self._loop.time())

    async def next[T](self, stream: AsyncGenerator[T]) -> T | None:
        """The stream's next event, None at its end; raises ProviderTimeout when it is late."""
        self._since = self._loop.time()
        if self._since >= self._deadline:
            raise ProviderTimeout("the run's time is over")
        task = self._waiting = asyncio.current_task()
        try:
            return await anext(stream, None)
        except asyncio.CancelledError:
            # As asyncio.timeout() does: a cancellation from elsewhere is passed on.
            if self._expired and task is not None and task.uncancel() == 0:
                raise ProviderTimeout("the model kept us waiting") from None
            raise
        finally:
            self._waiting = None

    def begun(self) -> None:
        """The first token has come: from now on the limit between tokens applies."""
        self._limit = self._stall
        self._timer.cancel()
        self._timer = self._set_timer(self._loop.time())

    def end(self) -> None:
        self._timer.cancel()

    def _set_timer(self, since: float) -> asyncio.TimerHandle:
        return self._loop.call_at(min(since + self._limit, self._deadline), self._look)

    def _look(self) -> None:
        now = self._loop.time()
        since = now if self._waiting is None else self._since
        if now < min(since + self._limit, self._deadline):
            self._timer = self._set_timer(since)
        elif self._waiting is not None:
            self._expired = True
            self._waiting.cancel()
