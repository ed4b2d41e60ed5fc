"""The API's shapes for callers and keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from salient.api.schemas import In, Out

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
