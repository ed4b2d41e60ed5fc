"""Keys and tokens inside other text, such as an address or a line of a log."""

from __future__ import annotations

import re

# `sal_sk_<id>_<secret>`, also when it was cut off, and a key without its prefix.
_KEY = re.compile(r"(sal_[a-z]{2}_[0-9A-Za-z]+|\b[0-9A-Za-z]{12})_(?:[0-9A-Za-z]+|…|%E2%80%A6)")
# Tokens have no public part.
_TOKEN = re.compile(r"(sal_[vp]t_)[^\s&\"']+")
_SHORTEST_SECRET = 32


def without_secrets(text: str) -> str:
    """Return the text with the public parts of its keys alone."""
    return _TOKEN.sub(r"\1…", _KEY.sub(_public, text))


def _public(found: re.Match[str]) -> str:
    # Other words are written with underscores too.
    is_key = found[1].startswith("sal_") or len(found[0]) > len(found[1]) + _SHORTEST_SECRET
    return found[1] if is_key else found[0]
