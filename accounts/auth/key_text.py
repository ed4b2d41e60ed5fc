"""The text of an API key: `sal_sk_<id12>_<secret32><crc6>`, or with `sal_pk_` or `sal_tk_`."""

import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from django.conf import settings

SECRET: Final = "sal_sk"  # noqa: S105 - a prefix, no secret
PUBLISHABLE: Final = "sal_pk"
# A secret key in test mode: the text alone shows it.
TEST: Final = "sal_tk"

_ALPHABET = string.digits + string.ascii_letters
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_KEY = re.compile(r"sal_[spt]k_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")


@dataclass(frozen=True, slots=True)
class KeyText:
    """A new key: the whole text is shown once, the id and the hash are stored."""

    key_id: str
    text: str = field(repr=False)

    @property
    def secret_hash(self) -> str:
        return secret_hash(self.text)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """Return six characters of CRC-32: secret scanners and mistyped keys are recognised by it."""
    rest, last = divmod(zlib.crc32(text.encode()), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]


def new_key(prefix: str = SECRET) -> KeyText:
    key_id = _random(12)
    text = f"{prefix}_{key_id}_{_random(32)}"
    return KeyText(key_id, text + _checksum(text))


def key_id_of(text: str) -> str | None:
    """Return the id inside a well-formed key, None for anything else."""
    match = _KEY.fullmatch(text)
    if match is None or _checksum(text[:-6]) != match[3]:
        return None
    return match[1]


def secret_hash(text: str) -> str:
    """Return the HMAC-SHA256 under the server's pepper, in hex: a stolen table opens nothing.

    The prefix is hashed too, so that another prefix does not turn a test key into a live one.
    """
    keyed = _keyed(settings.API_KEY_PEPPER).copy()
    keyed.update(text.encode())
    return keyed.hexdigest()


@lru_cache(maxsize=4)
def _keyed(pepper: str) -> hmac.HMAC:
    """Begin the HMAC once: with its key and the look-up of SHA-256 it takes twice as long."""
    return hmac.new(pepper.encode(), digestmod="sha256")
