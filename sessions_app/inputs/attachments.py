"""Images and files of a call: read from data URLs, or fetched from where the caller says they are.

Nothing of them is stored. A URL is fetched by us, through the guard of salient/security/ssrf.py:
no model server is told of it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Iterator

import aiohttp
from msgspec.structs import replace

from agents.runtime.providers.base import Attachment, ChatMessage
from salient.security.ssrf import Limits, UnsafeURL, safe_fetch
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.turns.problems import ContentRefused

# Of one call, all its messages together.
MOST = 20
MOST_BYTES = 8 * 1024 * 1024
LARGEST = 5 * 1024 * 1024
# Of all its URLs together.
FETCH = Limits(seconds=15.0, max_bytes=LARGEST, max_redirects=3, only_public=True)
# By their first bytes: what a caller or a server says of them is not believed.
_KINDS = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "application/pdf": re.compile(rb"%PDF-"),
}
TYPES = ", ".join(_KINDS)
_DATA, _BASE64 = "data:", ";base64"


async def loaded(asked: TurnInput) -> TurnInput:
    """Return the turn with the data of all its attachments; raises ContentRefused."""
    known = await _loaded_each(list(_all(asked)))
    conversation = asked.conversation
    if conversation is not None:
        conversation = tuple(_with(message, known) for message in conversation)
    return replace(
        asked,
        attachments=tuple(known[attachment] for attachment in asked.attachments),
        conversation=conversation,
    )


def needs_fetching(asked: TurnInput) -> bool:
    """Whether something must be fetched from a URL before the turn can begin."""
    return any(attachment.url for attachment in _all(asked))


def _all(asked: TurnInput) -> Iterator[Attachment]:
    for message in asked.conversation or ():
        yield from message.attachments
    yield from asked.attachments


def _with(message: ChatMessage, known: dict[Attachment, Attachment]) -> ChatMessage:
    if not message.attachments:
        return message
    return replace(message, attachments=tuple(known[each] for each in message.attachments))


async def _loaded_each(sent: list[Attachment]) -> dict[Attachment, Attachment]:
    if len(sent) > MOST:
        raise ContentRefused(f"A call has at most {MOST} images and files.")
    known: dict[Attachment, Attachment] = {}
    size = 0
    until = asyncio.get_running_loop().time() + FETCH.seconds
    for attachment in dict.fromkeys(sent):
        data = await _fetched(attachment, until) if attachment.url else _decoded(attachment.data)
        size += len(data)
        if len(data) > LARGEST or size > MOST_BYTES:
            raise ContentRefused(
                f"An image or file has at most {LARGEST} bytes, and all of a call {MOST_BYTES}."
            )
        known[attachment] = replace(
            attachment, url="", media_type=_kind(data), data=base64.b64encode(data).decode()
        )
    return known


async def _fetched(attachment: Attachment, until: float) -> bytes:
    try:
        async with asyncio.timeout_at(until):
            fetched = await safe_fetch(attachment.url, limits=FETCH)
    except UnsafeURL as error:
        raise ContentRefused(f"The URL of an image or file cannot be used: {error}") from error
    except (TimeoutError, OSError, aiohttp.ClientError, ValueError, asyncio.IncompleteReadError):
        raise ContentRefused("An image or file could not be fetched from its URL.") from None
    if fetched.status != 200:  # noqa: PLR2004 - HTTP
        raise ContentRefused("An image or file could not be fetched from its URL.")
    return fetched.body


def _decoded(text: str) -> bytes:
    """Read base64, as it is or within a data URL."""
    if text.startswith(_DATA):
        # No pattern: it would look for an end that is not there for days.
        head, _, data = text.partition(",")
        text = data if head.endswith(_BASE64) else head
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ContentRefused("An image or file is no valid base64.") from None


def _kind(data: bytes) -> str:
    kind = next((name for name, begin in _KINDS.items() if begin.match(data)), None)
    if kind is None:
        raise ContentRefused(f"Images and files are of these types: {TYPES}.")
    return kind
