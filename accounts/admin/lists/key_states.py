"""The states of API keys in words: badges, the filter of their list, and which ones ended."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.formatting import badge, quiet
from accounts.models import ApiKey
from accounts.models.api_key import KeyState
from salient.formatting import moment

# What revoking several keys is called, and what follows from it.
ENDS_MANY: dict[str, Any] = {
    "verb": "Revoke",
    "means": "These end for good within 5 seconds, with their successors and their visitors:",
    "is_dangerous": True,
}
STATES = {
    KeyState.ACTIVE: "ok",
    KeyState.ENDS_SOON: "warn",
    KeyState.WAITING: "info",
    KeyState.NOT_TAKEN: "bad",
    KeyState.ROTATED: "info",
    KeyState.EXPIRED: "bad",
    KeyState.SUSPENDED: "bad",
    KeyState.REVOKED: "bad",
}


def key_badge(key: ApiKey) -> SafeString:
    """Show the key's state, and for whom it waits."""
    more = quiet(f"to be taken by {key.taker}") if key.is_waiting else ""
    if key.state is KeyState.SUSPENDED:
        more = quiet(key.suspended_reason)
    return format_html("{} {}", badge(key.state.label, STATES[key.state]), more)


class StateFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("active", "active"),
            ("waits", "waits to be taken"),
            ("ended", "revoked or expired"),
            ("unused", "never used"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        now = timezone.now()
        ended = queryset.filter(revoked_at__isnull=False) | queryset.filter(expires_at__lte=now)
        match self.value():
            case "active":
                return queryset.exclude(pk__in=ended.values("pk")).exclude(secret_hash="")
            case "waits":
                return queryset.filter(secret_hash="", revoked_at=None)
            case "ended":
                return ended
            case "unused":
                return queryset.filter(last_used_at=None).exclude(secret_hash="")
        return queryset


def ended_text(ended: list[str]) -> str:
    """Name the keys that were ended."""
    if not ended:
        return "No key was revoked: it had ended before."
    what, them = ("1 key", "it") if len(ended) == 1 else (f"{len(ended)} keys", "them")
    return f"{what} revoked ({', '.join(ended)}): every server refuses {them} within 5 seconds."


def owner_and_use(key: ApiKey) -> str:
    """Say whose a key is, and when it was used last."""
    used = moment(key.last_used_at) if key.last_used_at else "never"
    return f"of {key.account.name}, last used: {used}"
