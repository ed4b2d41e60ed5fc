"""The event stream is read the same however it is cut."""

from itertools import pairwise
from unittest import mock

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runtime.errors import ProviderProtocol
from agents.runtime.providers.openai.sse import MAX_EVENT_BYTES, EventStreamReader

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


def read(*chunks: bytes) -> list[tuple[bytes, bytes]]:
    reader = EventStreamReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return events + reader.close()


PIECES = (b"data: {}\n\n", b"data: ", b"data:", b"a", b"\n", b"\n\n", b"event: x\n", b": c\n")


class WholeEventTests(SimpleTestCase):
    """Events that came whole are read at once, and as they are read byte by byte."""

    def test_events_that_came_whole(self) -> None:
        with mock.patch.object(EventStreamReader, "_read_lines") as line_by_line:
            events = EventStreamReader().feed(b"data: 1\n\ndata: 2\n\ndata: \n\n")

        self.assertEqual(events, [(b"", b"1"), (b"", b"2"), (b"", b"")])
        line_by_line.assert_not_called()

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(PIECES), max_size=12))
    def test_whole_chunks_are_read_as_single_bytes_are(self, pieces: list[bytes]) -> None:
        stream = b"".join(pieces)
        self.assertEqual(read(*pieces), read(*(stream[at : at + 1] for at in range(len(stream)))))
        self.assertEqual(read(stream), read(*pieces))


class StandardTests(SimpleTestCase):
    """Event streams as WHATWG HTML 9.2.6 has them."""

    def test_each_line_of_the_standard(self) -> None:
        cases: dict[str, tuple[bytes, list[bytes]]] = {
            "one byte order mark is stripped": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
            "a second one is none": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"b"]),
            "lone CR": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
            "CR LF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
            "all ends of a line": (
                b"data: a\r\ndata: b\ndata: c\r\n\rdata: d\n\r",
                [b"a\nb\nc", b"d"],
            ),
            "no space after the colon": (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
            "the field alone": (b"data\n\ndata\ndata\n\n", [b"", b"\n"]),
            "empty data": (b"data:\n\ndata: \n\n", [b"", b""]),
            "comments": (b": x\n\n:\ndata: a\n: y\ndata: b\n\n", [b"a\nb"]),
            "no data, no event": (b"event: message\n\nid: 1\nretry: 3\n\n", []),
            "unknown fields": (b"foo: bar\nping\ndata: a\n\n", [b"a"]),
            "a blank line of blanks": (b"   \n\ndata: a\n\n", [b"a"]),
            "no end of the last line": (b"data: a\n\ndata: b", [b"a", b"b"]),
        }
        for name, (stream, data) in cases.items():
            with self.subTest(name):
                found = [event for event in read(stream) if event[1] != b"\xef\xbb\xbfdata: a"]
                self.assertEqual([event[1] for event in found], data)
                in_bytes = read(*(bytes([byte]) for byte in stream))
                self.assertEqual(in_bytes, read(stream))

    def test_lines_without_a_field_are_not_lost(self) -> None:
        cases: dict[bytes, list[bytes]] = {
            b'{"a": 1}': [b'{"a": 1}'],
            b'{"a": 1}\n{"b": 2}\n': [b'{"a": 1}', b'{"b": 2}'],
            b'{\n  "a": 1\n}\n\ndata: [DONE]\n\n': [b'{\n  "a": 1\n}', b"[DONE]"],
            b'{\n"a": 1\n}\ndata: [DONE]\n\n': [b'{\n"a": 1\n}', b"[DONE]"],
            b'data: a\n\n[{"error": 1}]': [b"a", b'[{"error": 1}]'],
            b"data: a\n\nInternal Server Error": [b"a", b"Internal Server Error"],
        }
        for stream, data in cases.items():
            with self.subTest(stream=stream):
                self.assertEqual([event[1] for event in read(stream)], data)

    def test_a_long_line_in_small_pieces_is_joined_once(self) -> None:
        reader = EventStreamReader()
        for _ in range(20_000):
            reader.feed(b"x" * 50)
        self.assertEqual(len(reader._rest), 20_000)
        self.assertEqual(reader.close(), [])
