"""Reasons that people give for what they do, as the audit log keeps them."""

from __future__ import annotations

from django.core.exceptions import ValidationError

LONGEST_REASON = 500


def clean_reason(reason: str, *, missing: str) -> str:
    """Return the reason in one line; raises ValidationError, with `missing` where there is none."""
    reason = " ".join(reason.split())
    if not reason:
        raise ValidationError(missing)
    if len(reason) > LONGEST_REASON:
        raise ValidationError(f"A reason has at most {LONGEST_REASON} characters.")
    return reason
