"""The caches of one process, whose entries live for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from weakref import WeakSet

from salient.database import in_database_once

# A revoked key, a suspended account, a lost role or a changed connection is noticed by every
# process after this many seconds at the latest.
CACHE_TTL = 5
_caches: WeakSet[TTLCache[object, object]] = WeakSet()


class TTLCache[K, V]:
    """Holds at most `size` values for `seconds` each; the oldest are dropped first.

    Our own, because the event loop and the database threads share these caches. Each method is one
    operation of a dict, so none needs a lock. cachetools.TTLCache breaks without one (four threads
    left it raising KeyError for ever); with one it is no less code and takes 2.5 µs a look-up
    instead of 0.3.
    """

    def __init__(
        self, *, seconds: float = CACHE_TTL, size: int = 10_000, of_rows: bool = True
    ) -> None:
        self._seconds, self._size = seconds, size
        # Others count, or hold what this process has found out: no changed row makes them wrong.
        self.is_of_rows = of_rows
        self._entries: dict[K, tuple[float, V]] = {}
        _caches.add(self)  # type: ignore[arg-type]

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None or entry[0] < time.monotonic():
            return None
        return entry[1]

    def __bool__(self) -> bool:
        """Return whether it holds anything, be it past its time."""
        return bool(self._entries)

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    async def get_or_load[*Ks](
        self: TTLCache[tuple[*Ks], V], load: Callable[[*Ks], V | None], *key: *Ks
    ) -> V | None:
        """Return the entry, or what `load` reads from the database; None is not stored."""
        value = self.get(key)
        if value is None:
            value = await in_database_once(load, *key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        # Removed first, so that the order of the dict is the order of age.
        self._entries.pop(key, None)
        while len(self._entries) >= self._size:
            self._entries.pop(next(iter(self._entries)), None)
        self._entries[key] = (time.monotonic() + self._seconds, value)

    def pop(self, key: K) -> None:
        """Forget one entry, if it is there."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()


def forget_rows() -> None:
    """Have every row read again in this process; counts of wrong keys and of calls go on."""
    for cache in list(_caches):
        if cache.is_of_rows:
            cache.clear()


def clear_caches() -> None:
    """Forget everything in this process; tests start with it."""
    for cache in list(_caches):
        cache.clear()
