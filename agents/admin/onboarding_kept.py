"""What the onboarding page keeps for a person: what was filled in and could not be made yet.

It stands in their session, which every page of theirs reads, so it is bounded. It has addresses of
people and prompts: it is encrypted there, and dropped after a week. A customer who has no account
yet has a place by a random name in the page's address: in two tabs, two are begun.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Account
from salient.security.encryption import SecretUnreadable, conceal, reveal
from salient.security.logs import without_secrets

KEPT, BEGUN = "onboarding", "begun"
MOST_KEPT = 20
# Characters of everything that is kept, as JSON.
LONGEST_KEPT = 256 * 1024
KEPT_FOR = timedelta(days=7)
_BEGUN = re.compile(r"[0-9a-f]{12}")

type Fault = tuple[str, str | None, str]
type Values = dict[str, str]


def place_of(request: HttpRequest, account: Account | None) -> str:
    """Return where the page's words are kept: of its account, or of the customer it begins.

    An address that names none leads to the customer who was begun last.
    """
    if account is not None:
        return str(account.pk)
    wanted = request.POST.get(BEGUN) or request.GET.get(BEGUN)
    if wanted is not None and _BEGUN.fullmatch(wanted):
        return wanted
    begun = [place for place in _all(request) if _BEGUN.fullmatch(place)]
    return begun[-1] if begun and wanted is None else secrets.token_hex(6)


def kept_at(request: HttpRequest, place: str) -> dict[str, Any]:
    """Return the `values` and `faults` that are kept at a place; nothing where none are."""
    found: dict[str, Any] = _all(request).get(place, {})
    return found


def others_begun(request: HttpRequest, place: str) -> list[tuple[str, str]]:
    """Return the other customers who were begun, the newest first: place and name."""
    return [
        (other, kept["values"].get("account-name") or "a customer without a name")
        for other, kept in reversed(_all(request).items())
        if other != place and _BEGUN.fullmatch(other)
    ]


def keep(request: HttpRequest, place: str, values: Values, faults: list[Fault]) -> bool:
    """Keep these words as the newest, and drop the oldest that are too many or too long.

    False where these alone are too long to be kept: then all others stay. The secrets of keys are
    never kept.
    """
    kept = _all(request)
    kept.pop(place, None)
    clean = {name: without_secrets(text) for name, text in values.items()}
    now = timezone.now().timestamp()
    newest = {place: {"values": clean, "faults": faults, "at": now}} if any(clean.values()) else {}
    if fits := len(json.dumps(newest)) <= LONGEST_KEPT:
        kept |= newest
    while len(kept) > MOST_KEPT or len(json.dumps(kept)) > LONGEST_KEPT:
        del kept[next(iter(kept))]
    _store(request, kept)
    return fits


def forget(request: HttpRequest, place: str) -> None:
    _store(request, {name: each for name, each in _all(request).items() if name != place})


def _store(request: HttpRequest, kept: dict[str, Any]) -> None:
    request.session[KEPT] = conceal(json.dumps(kept)) if kept else ""


def _all(request: HttpRequest) -> dict[str, Any]:
    """Return what is kept and not too old, by its place; the oldest first."""
    try:
        kept: dict[str, Any] = json.loads(reveal(str(request.session[KEPT])))
    except (KeyError, SecretUnreadable):
        return {}
    oldest = (timezone.now() - KEPT_FOR).timestamp()
    return {place: each for place, each in kept.items() if each["at"] > oldest}
