"""Links from a row's page to the next and the previous row of the same search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.http import urlencode

from accounts.admin.formatting import row_address
from accounts.admin.lists.bounded import in_time
from accounts.admin.lists.filters import FilterForm
from accounts.admin.lists.keyset import KeysetAdmin
from salient.cursor import Cursor, newer, older

# Where Django puts a list's filters in the addresses of its rows.
KEPT = "_changelist_filters"


@dataclass(frozen=True, slots=True)
class Way:
    """A row's place in the list that led to it; addresses are "" where there is no such row."""

    form: FilterForm
    kept: str
    results: str
    newer: str = ""
    older: str = ""

    @classmethod
    def of(cls, page: KeysetAdmin[Any], request: HttpRequest, row: Model) -> Self | None:
        """Return the way by the filters of the page's address; None without any."""
        form = kept_filters(page, request)
        if form is None:
            return None
        kept = request.GET[KEPT]
        results = reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")
        found = in_time(partial(_neighbours, page, request, form, row)) or (None, None)
        addresses = (_address(each, kept) for each in found)
        return cls(form, kept, f"{results}?{kept}", *addresses)


def kept_filters(page: KeysetAdmin[Any], request: HttpRequest) -> FilterForm | None:
    """Return the filters of the list that led to a row's page, where they are good ones."""
    query = QueryDict(request.GET.get(KEPT, ""))
    if not page.filter_form.names() & query.keys():
        return None
    form = page.filters(query)
    return form if form.is_valid() and not form.lacks_account() else None


def _neighbours(
    page: KeysetAdmin[Any], request: HttpRequest, form: FilterForm, row: Model
) -> tuple[Model | None, Model | None]:
    """Return the rows before and after this one in the list: the newer, and the older."""
    rows: QuerySet[Any] = form.queryset(page.get_queryset(request)).only("pk")
    place, moment = Cursor(getattr(row, page.moment), row.pk), page.moment
    before = newer(rows, moment, place).order_by(moment, "id").first()
    return before, older(rows, moment, place).order_by(f"-{moment}", "-id").first()


def _address(row: Model | None, kept: str) -> str:
    return f"{row_address(row)}?{urlencode({KEPT: kept})}" if row is not None else ""
