"""First-party visitors: an unguessable cookie, minted by the server for one agent instance."""

import hashlib
import secrets

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

COOKIE_SECONDS = 180 * 24 * 3600


def cookie_name(account: str, instance: str) -> str:
    """One cookie per instance; `__Host-` needs HTTPS, which a development machine has not."""
    prefix = "__Host-" if settings.HTTPS else ""
    return f"{prefix}salient.{account}.{instance}"


def _signer(account: str, instance: str) -> signing.Signer:
    return signing.Signer(salt=f"visitor/{account}/{instance}")


def set_cookie(response: HttpResponse, account: str, instance: str) -> None:
    """Mint a new visitor: 256 bits, signed for this account and instance alone."""
    response.set_cookie(
        cookie_name(account, instance),
        _signer(account, instance).sign(secrets.token_urlsafe(32)),
        max_age=COOKIE_SECONDS,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


def session_key_of(request: HttpRequest, account: str, instance: str) -> str | None:
    """Return the stored form of the visitor's cookie; None unless this server minted it."""
    value = request.COOKIES.get(cookie_name(account, instance))
    if value is None:
        return None
    try:
        token = _signer(account, instance).unsign(value)
    except signing.BadSignature:
        return None
    return hashlib.sha256(token.encode()).hexdigest()
