"""Secrets at rest: sealed under keys that can be changed, bound to what they belong to.

SECRET_ENCRYPTION_KEYS lists the keys: the first one seals, each of them opens.
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

_PURPOSE = b"salient/secrets/1"


class SecretUnreadable(Exception):
    """No key opens it, or it was sealed for something else; the message names no secret."""


def seal(text: str, *, bound_to: tuple[str, ...]) -> str:
    """Encrypt and sign; `unseal` gives it back for the same `bound_to` only."""
    content = json.dumps({"for": list(bound_to), "text": text}).encode()
    return _box().encrypt(content).decode()


def unseal(sealed: str, *, bound_to: tuple[str, ...]) -> str:
    """Return the text; raises SecretUnreadable, also where the row was moved or changed."""
    try:
        content = json.loads(_box().decrypt(sealed.encode()))
    except InvalidToken as error:
        raise SecretUnreadable("no key of SECRET_ENCRYPTION_KEYS opens this secret") from error
    if not hmac.compare_digest(json.dumps(content["for"]), json.dumps(list(bound_to))):
        raise SecretUnreadable("this secret was sealed for something else")
    return str(content["text"])


def reseal(sealed: str) -> str:
    """Seal it anew under the first key, bound as it was; raises SecretUnreadable."""
    try:
        return _box().rotate(sealed.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable("no key of SECRET_ENCRYPTION_KEYS opens this secret") from error


def is_current(sealed: str) -> bool:
    """Tell whether the first key alone opens it."""
    try:
        _fernet(_keys()[0]).decrypt(sealed.encode())
    except (InvalidToken, binascii.Error):
        return False
    return True


def _keys() -> list[str]:
    keys = [key for key in settings.SECRET_ENCRYPTION_KEYS if key]
    if not keys:
        raise ImproperlyConfigured("Set SECRET_ENCRYPTION_KEYS: secrets are stored encrypted only.")
    return keys


def _box() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in _keys()])


@lru_cache(maxsize=16)
def _fernet(key: str) -> Fernet:
    """Any long random text is a key; what encrypts is derived from it."""
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PURPOSE)
    return Fernet(base64.urlsafe_b64encode(derived.derive(key.encode())))
