"""Which LLM requests are listed, and in which order: the newest, the slowest or the dearest first.

No index is kept for keys, errors, latencies and costs, because every turn would pay for it. What
asks for them reads the requests of some days, which an index finds: few days of all accounts, or a
month of one.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Model, Q, QuerySet
from django.http import QueryDict

from accounts.admin.lists.filters import ACCOUNT, FROM, TO
from accounts.admin.lists.private import SearchField
from accounts.keys.services import keys_of
from accounts.tenancy.accounts import account_named
from agents.instances.services import instances_of
from sessions_app.admin.filters import INSTANCE, CostField, IdSearchForm
from sessions_app.usage.error_help import all_help
from sessions_app.usage.orders import MOST_DAYS, MOST_DAYS_OF_ACCOUNT, ORDERS
from sessions_app.usage.queries import DAY, Days, today

MILLISECONDS = 1000
FIRST = "choose an account first"


class RequestFilters(IdSearchForm):
    choices = ("completion_status", "cost_source")

    # "provider:model", as the usage figures name it.
    model_name = SearchField(label="model")
    error = forms.ChoiceField(required=False)
    key = forms.ChoiceField(label="API key", required=False)
    latency_from = forms.DecimalField(
        label="seconds from", required=False, min_value=0, max_value=100_000, decimal_places=3
    )
    cost_from = CostField(label="cost from, $")
    order = forms.ChoiceField(
        label="first",
        required=False,
        choices=[("", "the newest"), *((name, f"the {name}") for name in ORDERS)],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"] = self.fields.pop("model_name")
        known = [("", "any"), *((code, code) for code in sorted(all_help()))]
        self._choose("error", known)
        of = account_named(str(self.data.get(ACCOUNT) or "")) if self.data.get(ACCOUNT) else None
        keys = [(str(key.pk), str(key)) for key in keys_of(of.pk)] if of else []
        self._choose("key", [("", "any" if of else FIRST), *keys])
        if of is not None:
            agents = [(str(each.pk), each.instance_slug) for each in instances_of(of.pk)]
            widget = forms.Select(choices=[("", "any"), *agents])
            self.fields[INSTANCE] = forms.UUIDField(label="agent", required=False, widget=widget)
        self._bound()

    def _choose(self, name: str, known: list[tuple[str, str]]) -> None:
        """Offer these choices, and what the address has: an older row may have it."""
        field: Any = self.fields[name]
        text = str(self.data.get(name) or "")
        other = [] if text in dict(known) else [(text[:50], text[:50])]
        field.choices = [*known, *other]

    def hide_key_names(self) -> None:
        """Offer no key but the one that the address names: for who may not see keys."""
        self._choose("key", [("", "any")])

    def _bound(self) -> None:
        """Fill in the last days where rows are asked for that no index finds."""
        if not self.looks_through() or self.data.get(FROM) or self.data.get(TO):
            return
        data = QueryDict(mutable=True)
        data.update(self.data)
        days = Days.until_today(self.most_days())
        data[FROM], data[TO] = str(days.first), str(days.last)
        self.data = data

    def looks_through(self) -> bool:
        """Return whether rows are asked for that no index finds by itself."""
        names = ("error", "key", "latency_from", "cost_from", "order")
        is_found = self.data.get("q") or self.data.get("session__id__exact")
        return not is_found and any(self.data.get(name) for name in names)

    def most_days(self) -> int:
        return MOST_DAYS_OF_ACCOUNT if self.data.get(ACCOUNT) else MOST_DAYS

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        first, last = values.get(FROM), values.get(TO)
        if self.looks_through() and not self.errors and not self._is_short(first, last):
            text = f"Choose at most {self.most_days()} days"
            more = "" if self.account else f", or an account and {MOST_DAYS_OF_ACCOUNT} days"
            self.add_error(FROM, f"{text}{more}.")
        return values

    def _is_short(self, first: date | None, last: date | None) -> bool:
        return first is not None and (last or today()) - first < self.most_days() * DAY

    @classmethod
    def names(cls) -> set[str]:
        return super().names() - {"model_name"} | {"model"}

    def queryset[M: Model](self, rows: QuerySet[M]) -> QuerySet[M]:
        rows, values = super().queryset(rows), self.cleaned_data
        if error := values.get("error"):
            rows = rows.filter(error_code=error)
        if key := values.get("key"):
            rows = rows.filter(caller=f"key:{key}")
        if (least := values.get("latency_from")) is not None:
            rows = rows.filter(latency_ms__gte=int(least * MILLISECONDS))
        if (least := values.get("cost_from")) is not None:
            rows = rows.filter(total_cost__gte=least)
        return rows.filter(self._of_model())

    def _of_model(self) -> Q:
        text = self.cleaned_data.get("model", "").strip()
        provider, colon, model = text.partition(":")
        if colon:
            return Q(provider=provider, model=model)
        return Q(model=text) if text else Q()

    def with_order(self, order: str) -> str:
        """Return the address of the same rows in this order."""
        return f"?{urlencode(self.chosen() | {'order': order})}"
