"""The bar above a big table's list: which rows, by account, choice, time and id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from accounts.admin.formatting import lower_first
from accounts.admin.lists.private import (
    SEALED,
    SEARCHED,
    UNREADABLE,
    SearchField,
    opened,
    without_texts,
)
from accounts.models import Account
from accounts.tenancy.accounts import account_named, account_of_row, all_accounts, row_name
from salient.ids import parse_uuid

# Where there are more accounts than this, their name is typed instead of chosen from a list.
MOST_CHOICES = 200
ACCOUNT, FROM, TO = "account__id__exact", "from", "to"
FROM_TIME, TO_TIME = "from_time", "to_time"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


class FilterForm(forms.Form):
    """Each field narrows the rows; its name in the address is as in Django's own lists."""

    # Fields of the model that have choices.
    choices: ClassVar[tuple[str, ...]] = ()
    # Look-ups by a whole id that other pages link to; shown only while they narrow.
    ids: ClassVar[Mapping[str, str]] = {}
    # What choices are called, where that is not their value.
    choice_names: ClassVar[Mapping[str, str]] = {}
    search_label: ClassVar[str] = ""
    # Whether the rows are listed inside one account only, or by an id.
    needs_account: ClassVar[bool] = False
    # Whether a time may be given with each date.
    with_times: ClassVar[bool] = False
    # The fields that may hold texts of people, which no address shows.
    private: ClassVar[frozenset[str]] = SEARCHED

    account: Account | None = None

    def __init__(self, query: Mapping[str, Any], *, model: type[Model], moment: str) -> None:
        super().__init__(opened(query, self.private), auto_id="filter_%s")
        self.model, self.moment = model, moment
        # Not as class attributes: `from` is a keyword in Python.
        self.fields = {**self._shared_fields(), **self.fields}

    @classmethod
    def names(cls) -> set[str]:
        """Return the fields' names, without reading which accounts there are to choose from."""
        search = {"q"} if cls.search_label else set()
        choices = {f"{name}__exact" for name in cls.choices}
        times = {FROM_TIME, TO_TIME} if cls.with_times else set()
        shown = {ACCOUNT, FROM, TO, *search, *choices, *times, *cls.ids, *cls.base_fields}
        return shown | {SEALED} if shown & cls.private else shown

    def _shared_fields(self) -> dict[str, forms.Field]:
        fields: dict[str, forms.Field] = {}
        if self.search_label:
            fields["q"] = SearchField(label=self.search_label)
        fields[ACCOUNT] = _account_field()
        for name in self.choices:
            fields[f"{name}__exact"] = self._choice(name)
        for name, time_name, label in ((FROM, FROM_TIME, "from"), (TO, TO_TIME, "to")):
            widget = forms.DateInput(attrs={"type": "date"})
            fields[name] = forms.DateField(label=label, required=False, widget=widget)
            if self.with_times:
                clock = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
                fields[time_name] = forms.TimeField(
                    label=f"{label} time, UTC", required=False, widget=clock
                )
        for name, label in self.ids.items():
            fields[name] = forms.UUIDField(label=label, required=False, widget=self._chosen(name))
        return fields

    def _chosen(self, name: str) -> forms.Widget:
        """Show the row that narrows the list by its name; nothing where none does."""
        key = parse_uuid(str(self.data.get(name) or ""))
        if key is None:
            return forms.TextInput() if self.data.get(name) else forms.HiddenInput()
        related: Any = self.model._meta.get_field(name.partition("__")[0]).related_model
        return forms.Select(choices=[("", "any"), (str(key), row_name(related, key))])

    def _choice(self, name: str) -> forms.Field:
        field: Any = self.model._meta.get_field(name)
        names = [
            (value, lower_first(str(label).partition(":")[0]))
            for value, label in field.choices or ()
        ]
        shown = [(value, self.choice_names.get(value, name)) for value, name in names]
        label = str(field.verbose_name).replace("completion status", "status")
        return forms.ChoiceField(label=label, choices=[("", "any"), *shown], required=False)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if self.data.get(SEALED):
            self.add_error(None, UNREADABLE)
        for day, clock in ((FROM, FROM_TIME), (TO, TO_TIME)):
            if values.get(clock) and not values.get(day) and day not in self.errors:
                self.add_error(clock, "Choose the day too.")
        begin, end = self.begin(), self.end()
        if begin and end and begin >= end:
            what = "time" if values[FROM] == values[TO] else "date"
            self.add_error(FROM, f"This is after the other {what}.")
        if values.get(ACCOUNT):
            self.account = account_named(values[ACCOUNT])
            if self.account is None:
                self.add_error(ACCOUNT, ValidationError("There is no such account."))
        return values

    def queryset[M: Model](self, rows: QuerySet[M]) -> QuerySet[M]:
        """Return the rows that match all filters."""
        values = self.cleaned_data
        if self.account is not None:
            rows = rows.filter(account_id=self.account.pk)
        for name in (*(f"{name}__exact" for name in self.choices), *self.ids):
            if values.get(name) not in {None, ""}:
                rows = rows.filter(**{name: values[name]})
        rows = rows.filter(self.times())
        text = values.get("q", "").strip()
        return rows.filter(self.search(text)) if text else rows

    def times(self) -> Q:
        """Return the condition of the chosen days, or from one time to another."""
        wanted = Q()
        if begin := self.begin():
            wanted &= Q(**{f"{self.moment}__gte": begin})
        if end := self.end():
            wanted &= Q(**{f"{self.moment}__lt": end})
        return wanted

    def begin(self) -> datetime | None:
        """Return the first moment that is wanted."""
        day = self.cleaned_data.get(FROM)
        return _moment(day, self.cleaned_data.get(FROM_TIME)) if day else None

    def end(self) -> datetime | None:
        """Return the first moment that is not wanted any more; a last day is wanted whole."""
        day, clock = self.cleaned_data.get(TO), self.cleaned_data.get(TO_TIME)
        # There is no day after date.max.
        if not day or day == date.max:
            return None
        return _moment(day, clock) + (MINUTE if clock else DAY)

    def search(self, text: str) -> Q:
        """Return which rows the searched text finds."""
        raise NotImplementedError

    def lacks_account(self) -> bool:
        """Return whether an account has to be chosen before rows are listed."""
        given = [self.cleaned_data.get(name) for name in ("q", *self.ids)]
        return self.needs_account and self.account is None and not any(given)

    def account_of_rows(self) -> Account | None:
        """Return the account that the filters narrow the rows to; None where they do not."""
        if self.account is not None:
            return self.account
        for name in self.ids:
            if key := self.cleaned_data.get(name):
                field: Any = self.model._meta.get_field(name.partition("__")[0])
                return account_of_row(field.related_model, key)
        return None

    def chosen(self) -> dict[str, str]:
        """Return the filters of the page's address."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}

    def for_audit_log(self) -> dict[str, str]:
        """Return the filters by the names that the audit log has for them."""
        return {name.removesuffix("__exact"): value for name, value in self.chosen().items()}

    def address(self, **place: str) -> str:
        return f"?{urlencode(self._in_address | place)}"

    @cached_property
    def _in_address(self) -> dict[str, str]:
        """The filters as addresses have them, which hold no texts of people."""
        return without_texts(self.chosen(), self.private)


def _moment(day: date, clock: time | None) -> datetime:
    return timezone.make_aware(datetime.combine(day, clock or time.min))


def _account_field() -> forms.Field:
    """Choose from the accounts, or type a slug where there are too many."""
    found = list(all_accounts().values_list("pk", "slug")[: MOST_CHOICES + 1])
    if len(found) > MOST_CHOICES:
        widget: forms.Widget = forms.TextInput(attrs={"placeholder": "slug", "size": 16})
    else:
        widget = forms.Select(choices=[("", "all"), *((str(pk), slug) for pk, slug in found)])
    return forms.CharField(label="account", required=False, widget=widget)
