"""Reads a model server's text/event-stream, however it is cut into chunks.

Own code, because a framework with its SDK in the loop took ten times the CPU for 20 chunks
(docs/adr/0007) and stock readers drop what servers send beside the standard: see EventStreamReader.
"""

import re

from agents.runtime.errors import ProviderProtocol

# A whole answer is one event too: the longest, with every character escaped in JSON, is 6 MB.
MAX_EVENT_BYTES = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
# As a number: bytes are searched for a single one ten times as fast.
CR = ord("\r")
_DATA, _END = b"data: ", b"\n\n"
# A field's name and its colon, or a name alone. Any other line is no field.
_FIELD = re.compile(rb"[\w.-]+ *(?::|$)")


class EventStreamReader:
    """Bytes in, whole events out, as (name, data); holds at most one unfinished event.

    Lines, fields and events are those of WHATWG HTML 9.2.6; comments, ids, retry times and
    unknown fields are passed over. Two things are read beyond it, because servers send them and
    nothing may be lost: the last event when the empty line after it is missing, and lines that
    are no fields (JSON without "data:"), which become the data of an event of their own.
    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._name = b""
        self._data: list[bytes] = []
        self._bare: list[bytes] = []
        # Of the unfinished line and event, or more.
        self._size = 0
        self._begun = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        if not self._begun:
            chunk = self._without_bom(chunk)
        if self._after_cr or CR in chunk:
            chunk = self._with_line_feeds(chunk)
        is_between = not (self._rest or self._data or self._bare or self._name)
        if is_between and (whole := _whole_events(chunk)):
            self._size = 0
            return whole
        return self._read_lines(chunk)

    def _read_lines(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        events: list[tuple[bytes, bytes]] = []
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines and self._rest:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest = []
        data = self._data
        for line in lines:
            # The two that nearly all lines are, without a call for each.
            if not line:
                if self._bare:
                    self._end_bare(events)
                if data:
                    events.append((self._name, data[0] if len(data) == 1 else b"\n".join(data)))
                    data.clear()
                self._name = b""
            elif line.startswith(b"data:") and not self._bare:
                data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            else:
                self._take(line, events)
        if rest:
            self._rest.append(rest)
        if rest or data or self._bare:
            self._check_size(len(chunk))
        else:
            self._size = 0
        return events

    def close(self) -> list[tuple[bytes, bytes]]:
        """The last event, where the server left out the empty line that ends it."""
        self._begun = True
        return self.feed(b"\n\n")

    def _without_bom(self, chunk: bytes) -> bytes:
        """One byte order mark at the very beginning is no part of the stream."""
        start = b"".join((*self._rest, chunk))
        if len(start) < len(BOM) and BOM.startswith(start):
            self._rest = [start] if start else []
            return b""
        self._rest, self._begun = [], True
        return start.removeprefix(BOM)

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Lines end with LF, CR LF or CR; a CR LF may be cut in two."""
        if self._after_cr and chunk:
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check_size(self, more: int) -> None:
        """Refuse an event that has no end; counted again only when it seems to be too large."""
        self._size += more
        if self._size > MAX_EVENT_BYTES:
            self._size = sum(map(len, (*self._rest, *self._data, *self._bare)))
        if self._size > MAX_EVENT_BYTES:
            raise ProviderProtocol("an event of the stream has no end")

    def _end_bare(self, events: list[tuple[bytes, bytes]]) -> None:
        events.append((self._name, b"\n".join(self._bare)))
        self._bare = []

    def _take(self, line: bytes, events: list[tuple[bytes, bytes]]) -> None:
        """Take a line that is neither blank nor plain data."""
        if line.startswith(b"data:"):
            self._end_bare(events)
            self._data.append(line[5:].removeprefix(b" "))
        elif self._bare:
            self._bare.append(line)
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()
        elif line == b"data":
            self._data.append(b"")
        elif not (line.startswith(b":") or line.isspace() or _FIELD.match(line)):
            self._take_bare(line, events)

    def _take_bare(self, line: bytes, events: list[tuple[bytes, bytes]]) -> None:
        if line.startswith(b"{") and line.rstrip().endswith(b"}"):
            # One JSON object a line.
            events.append((self._name, line))
        else:
            self._bare.append(line)


def _whole_events(chunk: bytes) -> list[tuple[bytes, bytes]]:
    """Read a chunk of whole events with one line of data each, as nearly all are; else nothing."""
    if not (chunk.startswith(_DATA) and chunk.endswith(_END)):
        return []
    events = chunk.removesuffix(_END).split(_END)
    # Every line end is one between two events, and every event begins with its data.
    if chunk.count(b"\n") != 2 * len(events) or chunk.count(_END + _DATA) != len(events) - 1:
        return []
    skipped = len(_DATA)
    return [(b"", event[skipped:]) for event in events]
