"""Bearer tokens that are signed and need no row: a visitor's, and staff's for the playground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core import signing
from django.utils import timezone

from salient.api.problems import Unauthenticated


@dataclass(frozen=True, slots=True)
class SignedTokens:
    """Writes and reads the tokens of one kind; one of another kind is refused by its salt.

    `unknown` and `expired` are the texts of the 401. The holder of a token can read its facts.
    """

    prefix: str
    salt: str
    unknown: str
    expired: str

    def write(self, facts: Mapping[str, Any], expires_at: datetime) -> str:
        """Sign JSON facts; the key "e" is the moment of the end, in seconds."""
        end = int(expires_at.timestamp())
        return self.prefix + self._signer().sign_object({**facts, "e": end})

    def read(self, text: str) -> tuple[dict[str, Any], datetime]:
        """Return the facts and the end; raises Unauthenticated when it is forged or has expired."""
        try:
            facts = self._signer().unsign_object(text.removeprefix(self.prefix))
        except signing.BadSignature as error:
            raise Unauthenticated(self.unknown) from error
        expires_at = datetime.fromtimestamp(facts.pop("e"), UTC)
        if expires_at <= timezone.now():
            raise Unauthenticated(self.expired)
        return facts, expires_at

    def _signer(self) -> signing.Signer:
        # A dot, because a bearer token may not contain a colon (RFC 6750, 2.1).
        return signing.Signer(salt=self.salt, sep=".")
