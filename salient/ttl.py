"""A small cache whose entries live for a few seconds: what a process may believe without asking."""

import time
from weakref import WeakSet

_caches: WeakSet["TTLCache[object, object]"] = WeakSet()


class TTLCache[K, V]:
    """Holds at most `size` values for `seconds` each; the oldest give way."""

    def __init__(self, *, seconds: float, size: int = 10_000) -> None:
        self._seconds, self._size = seconds, size
        self._entries: dict[K, tuple[float, V]] = {}
        _caches.add(self)  # type: ignore[arg-type]

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None or entry[0] < time.monotonic():
            return None
        return entry[1]

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


def clear_caches() -> None:
    """Forget everything in this process; tests start with it."""
    for cache in list(_caches):
        cache.clear()
