"""In which state a key is: the words of the API and of the admin."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone

from accounts.models import ApiKey

SOON = timedelta(days=14)


class KeyState(models.TextChoices):
    ACTIVE = "active", "active"
    ENDS_SOON = "ends_soon", "ends soon"
    # It has a successor, and works on for the overlap.
    ROTATED = "rotated", "rotated"
    # Offered to a person who has not taken it yet, or who did not take it in time.
    WAITING = "waiting", "waits"
    NOT_TAKEN = "not_taken", "not taken"
    EXPIRED = "expired", "expired"
    SUSPENDED = "suspended", "suspended"
    REVOKED = "revoked", "revoked"


def state_of(key: ApiKey) -> KeyState:
    now = timezone.now()
    if key.suspended_reason and not key.revoked_at:
        return KeyState.SUSPENDED
    if key.is_waiting and not key.revoked_at:
        waits = (key.offer_expires_at or now) > now
        return KeyState.WAITING if waits else KeyState.NOT_TAKEN
    if key.refusal(now) is not None:
        return KeyState.REVOKED if key.revoked_at else KeyState.EXPIRED
    if key.rotated_at is not None:
        return KeyState.ROTATED
    ends_soon = key.expires_at is not None and key.expires_at < now + SOON
    return KeyState.ENDS_SOON if ends_soon else KeyState.ACTIVE
