"""Searches for texts of people: what is looked for stands in an address only encrypted.

The form is sent by POST. So pages, links and exports work as with other filters, and neither a log
nor the history of a browser holds the text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from django.http import QueryDict

from salient.security.encryption import SecretUnreadable, seal, unseal

SEALED = "private"
# An address has a longest length; the form says where a text is longer.
LONGEST = 300
_PURPOSE = ("search of a list",)


def sealed(query: QueryDict, names: Collection[str]) -> QueryDict:
    """Return the query with one unreadable parameter in place of those with these names."""
    texts = {name: query[name][: LONGEST + 1] for name in names if query.get(name)}
    if not texts:
        return query
    others = query.copy()
    for name in texts:
        del others[name]
    others[SEALED] = seal(json.dumps(texts), bound_to=_PURPOSE)
    return others


def opened(query: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return the parameters by their own names; SEALED stays where it cannot be read."""
    values = {name: query[name] for name in query}
    if not names or not values.get(SEALED):
        return values
    try:
        texts = json.loads(unseal(str(values[SEALED]), bound_to=_PURPOSE))
    except SecretUnreadable:
        return values
    del values[SEALED]
    return values | {name: text for name, text in texts.items() if name in names}
