"""The API's shapes for callers and keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from accounts.models import Account, FormerSlug
from salient.api.schemas import In, Out, Printable

LONGEST_OVERLAP = 7 * 24 * 3600


class MeOut(Out):
    """Who calls and what they may do. `agents` and `networks`: null is all of them."""

    account: str
    kind: str
    name: str | None
    role: str | None
    mode: str
    scopes: list[str]
    agents: list[str] | None
    networks: list[str] | None
    expires_at: datetime | None
    # The account's limits and what is left of them; null for visitors.
    limits: dict[str, Any] | None


class RotateIn(In):
    """For how many seconds the old key works on, while the new one is deployed."""

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP)] = 24 * 3600


class RotatedOut(Out):
    """The new key, whose text is shown only here, and when the old one ends."""

    id: UUID
    created_at: datetime
    key: str
    expires_at: datetime | None
    old_key_expires_at: datetime | None


class AccountChangeIn(In):
    """What is to change of an account. Its old URLs answer 308 for 90 days after a new slug."""

    # What is left out stays as it is: an empty text is no default that the document may name.
    slug: Annotated[Printable, Field(min_length=1, max_length=63)] = Field(default_factory=str)
    name: Annotated[Printable, Field(min_length=1, max_length=255)] = Field(default_factory=str)


class FormerSlugOut(Out):
    """A slug that leads to the account until `expires_at`."""

    slug: str
    expires_at: datetime


class AccountOut(Out):
    """An account, and the slugs that still lead to it."""

    id: UUID
    slug: str
    name: str
    created_at: datetime
    updated_at: datetime
    former_slugs: list[FormerSlugOut]

    @classmethod
    def of(cls, account: Account, former: list[FormerSlug]) -> Self:
        slugs = [FormerSlugOut.of_row(each) for each in former]
        return cls.of_row(account, former_slugs=slugs)
