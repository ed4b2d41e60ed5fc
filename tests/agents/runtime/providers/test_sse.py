"""The event stream is read the same however it is cut."""

from itertools import pairwise

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runtime.errors import ProviderProtocol
from agents.runtime.providers.sse import MAX_EVENT_BYTES, EventStreamReader

STREAM = (
    b": a comment\n\nid: 7\nretry: 10\nevent: message\ndata: {}\r\n\r\n"
    b"data: two\ndata:lines\n\nevent: error\n\nevent:error\ndata:  oops\n\ndata: \xc3\xa9\n"
)
EVENTS = [(b"message", b"{}"), (b"", b"two\nlines"), (b"error", b" oops"), (b"", b"\xc3\xa9")]


class EventStreamReaderTests(SimpleTestCase):
    def test_a_stream_in_one_piece(self) -> None:
        reader = EventStreamReader()
        self.assertEqual(reader.feed(STREAM) + reader.close(), EVENTS)

    @settings(deadline=None)
    @given(st.lists(st.integers(0, len(STREAM)), max_size=20))
    def test_chunks_do_not_matter(self, cuts: list[int]) -> None:
        reader = EventStreamReader()
        events = []
        places = [0, *sorted(cuts), len(STREAM)]
        for begin, end in pairwise(places):
            events += reader.feed(STREAM[begin:end])
        self.assertEqual(events + reader.close(), EVENTS)

    def test_a_line_without_end_is_refused(self) -> None:
        reader = EventStreamReader()
        with self.assertRaises(ProviderProtocol):
            for _ in range(MAX_EVENT_BYTES // 65536 + 1):
                reader.feed(b"x" * 65536)

    def test_an_event_without_end_is_refused(self) -> None:
        reader = EventStreamReader()
        with self.assertRaises(ProviderProtocol):
            for _ in range(MAX_EVENT_BYTES // 65536 + 1):
                reader.feed(b"data: " + b"x" * 65536 + b"\n")
