"""Encrypts secrets at rest under keys that can be rotated, each bound to the row it belongs to.

SECRET_ENCRYPTION_KEYS lists the keys: the first one encrypts, all of them decrypt. What is not
stored, such as a text in an address, or stands in a session is encrypted under SECRET_KEY.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_PURPOSE, _TRAVELS = b"salient/secrets/1", b"salient/addresses/1"


class SecretUnreadable(Exception):
    """No key decrypts it, or it is bound to something else; the message names no secret."""


def seal(text: str, *, bound_to: tuple[str, ...]) -> str:
    """Encrypt and sign; `unseal` returns the text only for the same `bound_to`."""
    content = json.dumps({"for": list(bound_to), "text": text}).encode()
    return _box().encrypt(content).decode()


def unseal(sealed: str, *, bound_to: tuple[str, ...]) -> str:
    """Return the text; raises SecretUnreadable, also where it was copied to another row."""
    try:
        content = json.loads(_box().decrypt(sealed.encode()))
    except InvalidToken as error:
        raise SecretUnreadable("no key of SECRET_ENCRYPTION_KEYS decrypts this secret") from error
    if not hmac.compare_digest(json.dumps(content["for"]), json.dumps(list(bound_to))):
        raise SecretUnreadable("this secret was encrypted for something else")
    return str(content["text"])


def reseal(sealed: str) -> str:
    """Encrypt it again under the first key, bound as before; raises SecretUnreadable."""
    try:
        return _box().rotate(sealed.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable("no key of SECRET_ENCRYPTION_KEYS decrypts this secret") from error


def is_current(sealed: str) -> bool:
    """Whether the first key decrypts it."""
    try:
        _fernet(_keys()[0]).decrypt(sealed.encode())
    except (InvalidToken, binascii.Error):
        return False
    return True


def conceal(text: str) -> str:
    """Encrypt and sign a text that an address or a session holds; it is safe in a URL."""
    return _travel_box().encrypt(text.encode()).decode()


def reveal(concealed: str) -> str:
    """Return the text; raises SecretUnreadable where it was changed, or the key is another."""
    try:
        return _travel_box().decrypt(concealed.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable("SECRET_KEY does not decrypt this text") from error


def _travel_box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([_fernet(key, _TRAVELS) for key in keys])


def _keys() -> list[str]:
    keys = [key for key in settings.SECRET_ENCRYPTION_KEYS if key]
    if not keys:
        raise ImproperlyConfigured("Set SECRET_ENCRYPTION_KEYS: secrets are stored encrypted only.")
    return keys


def _box() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in _keys()])


@lru_cache(maxsize=16)
def _fernet(key: str, purpose: bytes = _PURPOSE) -> Fernet:
    """The encryption key that is derived from a setting, which may be any long random text."""
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose)
    return Fernet(base64.urlsafe_b64encode(derived.derive(key.encode())))
