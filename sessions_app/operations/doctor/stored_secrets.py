"""Whether the secrets of the environment are the ones under which the rows were written."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from accounts.models import ApiKey
from accounts.tenancy.context import platform_context
from accounts.tenancy.resealing import Rotation
from accounts.webhooks.signing import reseal_secrets
from agents.connections.connections import reseal_keys
from sessions_app.operations.doctor.findings import Finding, Subject, fault, ok, warning

NAMED = 3


def _encrypted() -> Iterator[Finding]:
    rotation = Rotation()
    reseal_keys(rotation, write=False)
    reseal_secrets(rotation, write=False)
    if rotation.unreadable:
        some = ", ".join(rotation.unreadable[:NAMED])
        yield fault(
            f"no key of SECRET_ENCRYPTION_KEYS opens {len(rotation.unreadable)} of them: {some}",
            "Put the key back under which they were encrypted, or set them anew.",
        )
    if rotation.resealed:
        yield warning(
            f"{rotation.resealed} are encrypted under an older key", "Run manage.py rotate_secrets."
        )
    if not rotation.unreadable:
        yield ok(f"all {rotation.current + rotation.resealed} can be decrypted")


def _pepper() -> Iterator[Finding]:
    """Of a key only its hash is stored, so that nothing can be compared without its text."""
    with platform_context():
        keys = ApiKey.objects.active()
        count, last = keys.count(), keys.exclude(last_used_at=None).order_by("-last_used_at")
        used = last.values_list("last_used_at", flat=True).first()
    since = f"one was accepted last at {used:%F %T} UTC" if used else "none was ever used"
    text = f"{count} working keys, {since}"
    if count and settings.API_KEY_PEPPER == settings.SECRET_KEY:
        yield warning(
            f"{text}; API_KEY_PEPPER is not set, so they end when SECRET_KEY changes",
            "Set API_KEY_PEPPER to the value that SECRET_KEY has now, and change SECRET_KEY.",
        )
    else:
        yield ok(f"{text}; if all are refused, the pepper was changed")


SUBJECTS = (
    Subject("stored secrets", _encrypted),
    Subject("API_KEY_PEPPER", _pepper),
)
