"""How long a run waits for its model: for the first token, for the next one, and in all."""

import asyncio
from collections.abc import AsyncGenerator

from agents.runtime.errors import ProviderTimeout

# After so many events of a model other tasks of the event loop may run.
EVENTS_WITHOUT_PAUSE = 64
# Between two looks at least: a configuration may set a limit of a nanosecond.
LOOK_SECONDS = 0.01


class TimedStream[T]:
    """The events of one call within its time limits, with one timer for all of them.

    Only the time that is spent waiting for the model counts: a slow reader of the answer
    does not make the model late.
    """

    __slots__ = (
        "_deadline",
        "_events",
        "_expired",
        "_limit",
        "_loop",
        "_number",
        "_since",
        "_stall",
        "_timer",
        "_waiting",
    )

    def __init__(
        self, events: AsyncGenerator[T], *, first: float, stall: float, deadline: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._events = events
        self._number = 0
        self._limit = first
        self._stall = stall
        self._deadline = deadline
        self._since = 0.0
        self._waiting: asyncio.Task[object] | None = None
        self._expired = False
        self._timer = self._set_timer(self._loop.time())

    async def next(self) -> T | None:
        """The next event, None at the end; raises ProviderTimeout when it is late."""
        self._number += 1
        if self._number % EVENTS_WITHOUT_PAUSE == 0:
            # Events that have come already are read without a pause.
            await asyncio.sleep(0)
        self._since = self._loop.time()
        if self._since >= self._deadline:
            raise ProviderTimeout("the run's time is over")
        task = self._waiting = asyncio.current_task()
        try:
            event = await anext(self._events, None)
        except asyncio.CancelledError:
            # As asyncio.timeout() does: a cancellation from elsewhere is passed on.
            if self._expired and task is not None and task.uncancel() == 0:
                raise ProviderTimeout("the model kept us waiting") from None
            raise
        finally:
            self._waiting = None
        # The first has come: from now on the limit between two of them applies.
        self._limit = self._stall
        return event

    async def close(self) -> None:
        """End the call."""
        self._timer.cancel()
        await self._events.aclose()

    def _set_timer(self, since: float) -> asyncio.TimerHandle:
        """Look when the limit is reached, and before the one between two events can be."""
        now = self._loop.time()
        soonest = min(since + self._limit, now + self._stall, self._deadline)
        return self._loop.call_at(max(soonest, now + LOOK_SECONDS), self._look)

    def _look(self) -> None:
        now = self._loop.time()
        since = now if self._waiting is None else self._since
        if now < min(since + self._limit, self._deadline):
            self._timer = self._set_timer(since)
        elif self._waiting is not None:
            self._expired = True
            self._waiting.cancel()
