"""Slugs: the names of accounts and instances in URLs and folder names."""

import re

from django.core.exceptions import ValidationError

SLUG_PATTERN = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
RESERVED = frozenset(
    {"accounts", "admin", "agents", "api", "chat", "health", "healthz", "history", "me"}
    | {"members", "metadata", "new", "readyz", "static", "stream", "usage", "widget"}
)
# `manage.py isolation_check` makes and removes accounts with it.
CHECK_PREFIX = "isolation-check-"
_SLUG = re.compile(SLUG_PATTERN)


def is_slug(value: str) -> bool:
    """Return whether value may name an account or an instance."""
    return _SLUG.fullmatch(value) is not None and value not in RESERVED


def validate_slug(value: str) -> None:
    """Raise Django's ValidationError where value is no slug, or a reserved one."""
    if value in RESERVED or value.startswith(CHECK_PREFIX):
        raise ValidationError(f"“{value}” is a reserved name.", code="reserved")
    if not is_slug(value):
        raise ValidationError(
            "Use 1 to 63 lower-case letters, digits, hyphens or underscores, "
            "with a letter or digit at both ends.",
            code="invalid",
        )


def title_of(slug: str) -> str:
    """Make a name for people out of a slug: “shop-bot” is Shop Bot."""
    return slug.replace("-", " ").replace("_", " ").title()
