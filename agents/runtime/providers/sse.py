"""Reads a model server's text/event-stream, however it is cut into chunks."""

from agents.runtime.errors import ProviderProtocol

MAX_EVENT_BYTES = 1024 * 1024


class EventStreamReader:
    """Bytes in, whole events out, as (name, data); holds at most one unfinished event.

    Comments, ids and retry times are passed over. Lines end with LF or CRLF; nobody sends
    the lone CR of the specification. https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        events: list[tuple[bytes, bytes]] = []
        for line in lines:
            self._take(line.removesuffix(b"\r"), events)
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise ProviderProtocol("an event of the stream has no end")
        return events

    def close(self) -> list[tuple[bytes, bytes]]:
        """The last event, where the server left out the empty line that ends it."""
        return self.feed(b"\n\n")

    def _take(self, line: bytes, events: list[tuple[bytes, bytes]]) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._size += len(line)
        elif not line:
            if self._data:
                events.append((self._name, b"\n".join(self._data)))
            self._name, self._data, self._size = b"", [], 0
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()
