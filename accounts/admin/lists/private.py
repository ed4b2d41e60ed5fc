"""Searches for texts of people: what is looked for stands in an address only encrypted.

The form is sent by POST. So pages, links and exports work as with other filters, and neither a log
nor the history of a browser holds the text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from django.http import QueryDict

from salient.ids import parse_uuid
from salient.security.encryption import SecretUnreadable, conceal, reveal

SEALED = "private"
# An address has a longest length; the form says where a text is longer.
LONGEST = 300


def without_texts(values: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Return the values with one unreadable SEALED in place of those with these names.

    An id stays: it is not a text of anybody.
    """
    given = {name: values[name] for name in names if values.get(name)}
    texts = {name: text[: LONGEST + 1] for name, text in given.items() if not parse_uuid(text)}
    if not texts:
        return dict(values)
    others = {name: value for name, value in values.items() if name not in texts}
    return others | {SEALED: conceal(json.dumps(texts))}


def sealed(query: QueryDict, names: Collection[str]) -> QueryDict:
    """Return the same of a query, whose other parameters may have several values."""
    given = {name: text for name in names if (text := query.get(name))}
    shown = without_texts(given, names)
    if SEALED not in shown:
        return query
    others = query.copy()
    for name in given.keys() - shown.keys():
        del others[name]
    others[SEALED] = shown[SEALED]
    return others


def opened(query: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """Return the parameters by their own names; SEALED stays where it cannot be read."""
    if not names or not query.get(SEALED):
        return query
    try:
        texts = json.loads(reveal(str(query[SEALED])))
    except SecretUnreadable:
        return query
    # Other parameters may have several values.
    values = QueryDict(mutable=True)
    values.update(query)
    del values[SEALED]
    for name, text in texts.items():
        if name in names:
            values[name] = text
    return values
