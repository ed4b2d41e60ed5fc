"""The API's shapes for keys: a secret is in the answer that makes it, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone
from pydantic import AfterValidator, AwareDatetime, Field

from accounts.auth.networks import read_network
from accounts.keys.services import Rotated
from accounts.models import ApiKey, KeyKind, KeyMode, Scope
from accounts.models.api_key import DEFAULT_SCOPES, KeyState
from salient.api.schemas import In, ListOut, Origin, Out, Printable

MOST_ITEMS = 100


def _a_network(text: str) -> str:
    try:
        return str(read_network(text))
    except ValidationError as error:
        raise ValueError(" ".join(error.messages)) from None


def _in_the_future(moment: datetime) -> datetime:
    if moment <= timezone.now():
        raise ValueError("choose a moment in the future")
    return moment


type Name = Annotated[Printable, Field(min_length=1, max_length=100)]
type Networks = Annotated[
    list[Annotated[str, AfterValidator(_a_network)]], Field(min_length=1, max_length=MOST_ITEMS)
]
type Origins = Annotated[list[Origin], Field(max_length=MOST_ITEMS)]
# Empty would read as none, and an empty column means all.
type Slugs = Annotated[list[str], Field(min_length=1, max_length=MOST_ITEMS)]
type Future = Annotated[AwareDatetime, AfterValidator(_in_the_future)]


class KeyIn(In):
    """A new key. What is left out is as with `create_key`, and never more than the caller has."""

    name: Name
    kind: KeyKind = KeyKind.SECRET
    mode: KeyMode = KeyMode.LIVE
    # A publishable key has `visitors:write` alone.
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=MOST_ITEMS)] | None = None
    # Slugs; null: all agents of the account, future ones too.
    agents: Slugs | None = None
    origins: Origins = []
    # Null: the caller's own, or anywhere.
    networks: Networks | None = None
    # Null: never; left out: a year, or the end of the caller's own key.
    expires_at: Future | None = None

    def wanted(self) -> dict[str, Any]:
        """Return a KeyWanted of what was given."""
        wanted: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "mode": self.mode,
            "origins": self.origins,
        }
        if self.scopes is not None:
            wanted["scopes"] = [scope.value for scope in self.scopes]
        elif self.kind == KeyKind.SECRET:
            wanted["scopes"] = list(DEFAULT_SCOPES)
        if self.networks is not None:
            wanted["networks"] = self.networks
        if "expires_at" in self.model_fields_set:
            wanted["expires_at"] = self.expires_at
        return wanted


class KeyOut(Out):
    """A key, never with its secret. `agents` null: all; `networks` null: from anywhere."""

    id: UUID
    name: str
    # How its text begins: enough to find it in a configuration, nothing to call with.
    key_hint: str
    kind: KeyKind
    mode: KeyMode
    state: KeyState
    scopes: list[str]
    agents: list[str] | None
    origins: list[str]
    networks: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey, slugs: Mapping[UUID, str], /, **more: Any) -> Self:
        agents = sorted(slugs[pk] for pk in key.instance_ids if pk in slugs)
        return cls.of_row(
            key,
            key_hint=key.shown_id,
            agents=agents if key.instance_ids else None,
            networks=key.networks or None,
            **more,
        )


class KeysOut(ListOut[KeyOut]):
    """Keys, the newest first."""


class NewKeyOut(KeyOut):
    """A key that was just made, with its secret: it is shown only here."""

    key: str

    @classmethod
    def made(cls, key: ApiKey, text: str, slugs: Mapping[UUID, str]) -> Self:
        return cls.of(key, slugs, key=text)


class SuccessorOut(NewKeyOut):
    """The successor of a key, and when the old one ends."""

    old_key_expires_at: datetime

    @classmethod
    def rotated(cls, rotated: Rotated, slugs: Mapping[UUID, str]) -> Self:
        ends = rotated.old_expires_at
        return cls.of(rotated.key, slugs, key=rotated.text, old_key_expires_at=ends)


class RevokeIn(In):
    """An empty object: nothing is said of a key that ends."""


class RevokedOut(Out):
    """Which keys were ended: this one, its successors and what they made; empty if it had ended."""

    id: UUID
    revoked: list[str]
