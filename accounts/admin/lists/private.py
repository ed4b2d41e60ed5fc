"""Searches, which may contain personal data, are in addresses only in encrypted form.

The form is sent by POST. So pages, links and exports work as with other filters, and neither a log
nor the history of a browser holds the text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from django import forms
from django.contrib.admin.views.main import SEARCH_VAR
from django.contrib.admin.views.main import ChangeListSearchForm as SearchForm
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict

from accounts.admin.lists.bounded import LinkedList, in_time
from salient.ids import parse_uuid
from salient.security.encryption import SecretUnreadable, conceal, reveal

SEALED = "private"
UNREADABLE = "The search in this address cannot be read: search again."
# What every list looks for: whoever searches may type an e-mail address into any of them.
SEARCHED = frozenset({SEARCH_VAR})
# An address has a longest length; the form says where a text is longer.
LONGEST = 300
TOO_LONG = f"This is too long: search for at most {LONGEST} characters."


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


def texts_in(query: Mapping[str, Any], names: Collection[str]) -> dict[str, str]:
    """Return the texts of an address by these names, with which a form is filled in."""
    values = opened(query, names)
    return {name: str(values[name]) for name in names if values.get(name)}


class SearchField(forms.CharField):
    """A text to search for. One that is too long is refused: with maxlength a browser cuts it."""

    def __init__(self, **options: Any) -> None:
        at_most = MaxLengthValidator(LONGEST, message=TOO_LONG)
        super().__init__(required=False, validators=[at_most], **options)


class OpenedSearch(SearchForm):
    """Reads the search of an address, where it may stand encrypted."""

    def __init__(self, query: Mapping[str, Any], **options: Any) -> None:
        super().__init__(opened(query, SEARCHED), **options)
        self.fields = {SEARCH_VAR: SearchField(strip=False)}

    def clean(self) -> dict[str, Any]:
        if self.data.get(SEALED):
            raise ValidationError(UNREADABLE)
        return self.cleaned_data


class SearchedList(LinkedList):
    """A list of Django's whose pages, orders and filters pass an encrypted search on.

    It reads and counts within bounds, and says so where they are reached.
    """

    search_form_class = OpenedSearch
    is_cut = is_too_slow = is_refused = False

    def get_results(self, request: HttpRequest) -> None:
        if in_time(partial(self._read, request)) is None:
            self.queryset, self.is_too_slow = self.queryset.none(), True
            self._read(request)

    def _read(self, request: HttpRequest) -> bool:
        super().get_results(request)
        self.is_cut = self.paginator.is_cut
        self.result_list = list(self.result_list)
        return True

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found = super().get_filters_params(params)
        return {name: values for name, values in found.items() if name != SEALED}

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Model, Model]:
        """Return no row for a search that is refused: “all” of an action would be every row."""
        rows = super().get_queryset(request, exclude_parameters)
        self.is_refused = not OpenedSearch(request.GET).is_valid()
        return rows.none() if self.is_refused else rows
