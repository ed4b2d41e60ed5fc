"""Identifiers: made so that they sort by their moment, and read from what somebody sent."""

import os
import time
import uuid

import msgspec


def uuid7() -> uuid.UUID:
    """Return a version 7 UUID (RFC 9562, method 3): milliseconds, their 12-bit fraction, random."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) & (2**62 - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random)


def uuid_text(made: uuid.UUID) -> str:
    """Return what str() does, in a seventh of the time: msgspec writes it in C."""
    text: str = msgspec.to_builtins(made)
    return text


def parse_uuid(text: str) -> uuid.UUID | None:
    """Read an id that somebody sent; None for what is no UUID."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
