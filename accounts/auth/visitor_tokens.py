"""Visitors: made by the server alone, unguessable, for one account and one agent instance.

The visitor of our own page has a cookie, the visitor of another site's page a bearer token. What a
client brings besides is ignored: it becomes a new visitor. The cookie of the application before
Salient counts where FORMER_SESSION_COOKIE names it (agents/instances/former_visitors.py).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from accounts.auth.signed_tokens import SignedTokens

COOKIE_SECONDS = 180 * 24 * 3600
TOKEN_PREFIX: Final = "sal_vt_"  # noqa: S105 - a prefix, no secret
UNKNOWN_TOKEN = "The visitor token is unknown."  # noqa: S105 - an answer's text
# Of one whose key gives out none any more; it was right once.
ENDED_TOKEN = "The visitor token has ended with the key that it came from."  # noqa: S105
_tokens = SignedTokens(
    TOKEN_PREFIX,
    salt="salient.visitor-token",
    unknown=UNKNOWN_TOKEN,
    expired="The visitor token has expired; ask for a new one.",
)


def cookie_name(account: str, instance: str) -> str:
    """Return the name of the instance's cookie; `__Host-` needs HTTPS."""
    prefix = "__Host-" if settings.HTTPS else ""
    return f"{prefix}salient.{account}.{instance}"


def _signer(account: str, instance: str) -> signing.TimestampSigner:
    # Not the salt of the earlier cookies without a timestamp: those are unknown here, not broken.
    return signing.TimestampSigner(salt=f"visitor-cookie/{account}/{instance}")


def carry_cookie(
    request: HttpRequest, response: HttpResponseBase, names: Mapping[str, str]
) -> None:
    """Let a visitor go on whose cookie is for the old names in the path: `names` are the new."""
    match: Any = request.resolver_match
    old = match.kwargs
    if "instance" not in old:
        return
    visitor = _signed_visitor(request, old["account"], old["instance"])
    if visitor is not None:
        new = {**old, **names}
        _set(response, new["account"], new["instance"], visitor)


@dataclass(frozen=True, slots=True)
class CookieVisitor:
    """Who a cookie stands for. `let_in` is the staff who opened the page; None: a visitor."""

    session_key: str
    let_in: UUID | None


def set_cookie(
    response: HttpResponse, account: str, instance: str, *, let_in: UUID | None = None
) -> None:
    """Set the cookie of a new visitor: 256 random bits, signed for this account and instance."""
    _set(response, account, instance, f"{secrets.token_urlsafe(32)}.{let_in.hex if let_in else ''}")


def _set(response: HttpResponseBase, account: str, instance: str, visitor: str) -> None:
    response.set_cookie(
        cookie_name(account, instance),
        _signer(account, instance).sign(visitor),
        max_age=COOKIE_SECONDS,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


def cookie_visitor(request: HttpRequest, account: str, instance: str) -> CookieVisitor | None:
    """Return the visitor of the cookie; None unless this server made it within COOKIE_SECONDS."""
    visitor = _signed_visitor(request, account, instance)
    if visitor is None:
        return None
    token, _, let_in = visitor.partition(".")
    return CookieVisitor(stored_key(token), UUID(let_in) if let_in else None)


def _signed_visitor(request: HttpRequest, account: str, instance: str) -> str | None:
    value = request.COOKIES.get(cookie_name(account, instance))
    if value is None:
        return None
    try:
        return _signer(account, instance).unsign(value, max_age=COOKIE_SECONDS)
    except signing.BadSignature:
        return None


def stored_key(visitor: str) -> str:
    """Return what the session of a visitor has as its key."""
    return hashlib.sha256(visitor.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class VisitorToken:
    """What a token says; its holder can read it."""

    # The key that made it: when the key is revoked, so is the token.
    key_id: str
    instance_id: UUID
    expires_at: datetime
    # The page's origin when a web page asked for it: it works from nowhere else.
    origin: str | None = None
    # The end user whom the account named; None: an anonymous visitor.
    end_user: str | None = None
    visitor: str = field(default="", repr=False)

    @property
    def session_key(self) -> str | None:
        return None if self.end_user is not None else stored_key(self.visitor)


def new_token(
    key_id: str,
    instance_id: UUID,
    *,
    seconds: int,
    origin: str | None = None,
    end_user: str | None = None,
    visitor: str | None = None,
) -> VisitorToken:
    """Make a token for an end user, for a known visitor, or for a new one of 256 random bits."""
    return VisitorToken(
        key_id=key_id,
        instance_id=instance_id,
        expires_at=timezone.now().replace(microsecond=0) + timedelta(seconds=seconds),
        origin=origin,
        end_user=end_user,
        visitor="" if end_user is not None else visitor or secrets.token_urlsafe(32),
    )


def write_token(token: VisitorToken) -> str:
    facts = {
        "k": token.key_id,
        "i": token.instance_id.hex,
        "o": token.origin,
        "s": token.end_user,
        "v": token.visitor,
    }
    return _tokens.write(facts, token.expires_at)


def read_token(text: str) -> VisitorToken:
    """Return what the token says; raises Unauthenticated when it is forged or has expired."""
    facts, expires_at = _tokens.read(text)
    return VisitorToken(
        key_id=facts["k"],
        instance_id=UUID(facts["i"]),
        expires_at=expires_at,
        origin=facts["o"],
        end_user=facts["s"],
        visitor=facts["v"],
    )
