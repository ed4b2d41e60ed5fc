"""The text of a secret API key: `sal_sk_<id12>_<secret32><crc6>`."""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass

from django.conf import settings

_ALPHABET = string.digits + string.ascii_letters
_KEY = re.compile(r"sal_sk_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")


@dataclass(frozen=True, slots=True)
class KeyText:
    """A new key: the whole text is shown once, the id and the hash are stored."""

    key_id: str
    text: str

    @property
    def secret_hash(self) -> str:
        return secret_hash(self.text)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """Six characters of CRC-32: secret scanners and typing errors are told apart by it."""
    number, digits = zlib.crc32(text.encode()), []
    for _ in range(6):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def new_key() -> KeyText:
    key_id = _random(12)
    text = f"sal_sk_{key_id}_{_random(32)}"
    return KeyText(key_id, text + _checksum(text))


def key_id_of(text: str) -> str | None:
    """Return the id inside a well-formed key, None for anything else."""
    match = _KEY.fullmatch(text)
    if match is None or _checksum(text[:-6]) != match[3]:
        return None
    return match[1]


def secret_hash(text: str) -> str:
    """HMAC-SHA256 under the server's pepper, in hex: a stolen table opens nothing."""
    return hmac.new(settings.API_KEY_PEPPER.encode(), text.encode(), hashlib.sha256).hexdigest()
