"""Unpacks gzip and deflate that were not requested, within bounds."""

import zlib
from collections.abc import Iterator

from agents.runtime.errors import ProviderProtocol

# The most that is unpacked of one answer: a small body must not become a large one in memory.
MAX_UNPACKED_BYTES = 8 * 1024 * 1024
# Some gateways pack each event separately.
MAX_MEMBERS = 1024
PIECE_BYTES = 64 * 1024
GZIP = b"\x1f\x8b"
DEFLATE = "deflate"
_AUTOMATIC, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS
# What an answer in plain text can begin with.
_PLAIN = b'{[<: \t\r\n\xef"deirDH'


class Unpacker:
    """Chunks in, plain pieces out. The packing is recognised by its first bytes, not by the header.

    `encoding` is the header's: raw deflate has no first bytes of its own. Raises
    ProviderProtocol for what is broken, too large or packed in another way.
    """

    def __init__(self, encoding: str = "", most: int = MAX_UNPACKED_BYTES) -> None:
        self._encoding = encoding.strip().lower().removeprefix("identity")
        self._most = most
        self._held = b""
        # Whether nothing is packed; known from the second byte on.
        self.is_plain = False
        self._is_known = False
        self._engine: zlib._Decompress | None = None
        self._window = _AUTOMATIC
        self._size = 0
        self._members = 1

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if not self._is_known:
            chunk = self._recognised(chunk)
        if self._engine is None:
            if chunk:
                yield chunk
            return
        try:
            yield from self._unpacked(chunk)
        except zlib.error as error:
            raise ProviderProtocol(f"the answer cannot be unpacked: {error}") from error

    def close(self) -> bytes:
        """What was held back to be recognised."""
        held, self._held = self._held, b""
        return held

    def _recognised(self, chunk: bytes) -> bytes:
        start = self._held + chunk
        if len(start) < len(GZIP) and start[:1] in {b"", GZIP[:1], b"x"}:
            self._held = start
            return b""
        self._held, self._is_known = b"", True
        is_zlib = start[0] == ord("x") and int.from_bytes(start[:2]) % 31 == 0
        if start.startswith(GZIP) or is_zlib:
            self._engine = zlib.decompressobj(self._window)
        elif self._encoding and start[0] not in _PLAIN:
            if self._encoding != DEFLATE:
                raise ProviderProtocol(f"the answer is packed as {self._encoding[:40]!r}")
            self._window = _RAW
            self._engine = zlib.decompressobj(self._window)
        self.is_plain = self._engine is None
        return start

    def _unpacked(self, chunk: bytes) -> Iterator[bytes]:
        while chunk and self._engine is not None:
            piece = self._engine.decompress(chunk, PIECE_BYTES)
            self._size += len(piece)
            if self._size > self._most:
                raise ProviderProtocol("the unpacked answer is too large")
            if piece:
                yield piece
            chunk = self._engine.unconsumed_tail
            if self._engine.eof:
                chunk = self._next_member(self._engine.unused_data)

    def _next_member(self, rest: bytes) -> bytes:
        """Begin the next packed member; anything else is padding and passed over."""
        if not rest.startswith(GZIP[:1]) or self._members >= MAX_MEMBERS:
            return b""
        self._members += 1
        self._engine = zlib.decompressobj(self._window)
        return rest


def unpack(body: bytes, encoding: str, most: int) -> bytes:
    """The plain text of a body, as far as it can be unpacked and at most so many bytes of it."""
    unpacker = Unpacker(encoding)
    plain = bytearray()
    try:
        for piece in unpacker.feed(body):
            plain += piece
            if len(plain) >= most:
                break
    except ProviderProtocol:
        return bytes(plain[:most]) or body
    return bytes((plain or unpacker.close())[:most])
