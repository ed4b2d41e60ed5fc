"""The filters above the lists of conversations, messages, requests and feedback."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Model, Q, QuerySet

from accounts.admin.lists.filters import ACCOUNT, FROM, TO, FilterForm
from agents.instances.services import instance_with_account
from salient.ids import parse_uuid
from sessions_app.conversations import search
from sessions_app.models import CompletionStatus, Message, Role

ENDED = [(status.value, status.value) for status in CompletionStatus if status != "running"]
INSTANCE, SESSION = "agent_instance__id__exact", "session__id__exact"


class CostField(forms.DecimalField):
    """An amount with as many digits as the column has, because more would break the query."""

    def __init__(self, label: str) -> None:
        super().__init__(label=label, required=False, min_value=0, max_digits=20, decimal_places=8)


class IdSearchForm(FilterForm):
    """Searches by the row's id or the session's, each given whole."""

    search_label = "id, or session's id"
    ids = {INSTANCE: "agent instance", SESSION: "session"}

    def search(self, text: str) -> Q:
        key = parse_uuid(text)
        return Q(pk=key) | Q(session_id=key) if key else Q(pk__in=[])


class MessageFilters(IdSearchForm):
    choices = ("role",)
    choice_names = {Role.HUMAN.value: Message(role=Role.HUMAN).role_name}
    needs_account = True


class FeedbackFilters(IdSearchForm):
    choices = ("rating",)


class UsageFilters(FilterForm):
    """Narrows rows of whole days: they have a date instead of a moment."""

    def queryset[M: Model](self, rows: QuerySet[M]) -> QuerySet[M]:
        start, end = self.cleaned_data.get(FROM), self.cleaned_data.get(TO)
        if self.account is not None:
            rows = rows.filter(account_id=self.account.pk)
        if start:
            rows = rows.filter(day__gte=start)
        return rows.filter(day__lte=end) if end else rows


class SessionFilters(FilterForm):
    search_label = "id, e-mail or end user"
    ids = {INSTANCE: "agent instance"}

    text = forms.CharField(
        label="words",
        required=False,
        help_text="Words in an account's messages: choose the account.",
    )
    last_status__exact = forms.ChoiceField(
        label="last turn", choices=[("", "any"), *ENDED], required=False
    )
    feedback__exact = forms.ChoiceField(
        label="feedback", choices=[("", "any"), ("1", "good"), ("-1", "bad")], required=False
    )
    cost_from = CostField(label="cost from, $")
    cost_to = CostField(label="to, $")

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if values.get("text") and self.account is None and ACCOUNT not in self.errors:
            self.add_error(ACCOUNT, "Messages are searched inside one account: choose it.")
        return values

    def words(self) -> str:
        return str(self.cleaned_data.get("text") or "").strip()

    def queryset[M: Model](self, rows: QuerySet[M]) -> QuerySet[M]:
        rows, values = super().queryset(rows), self.cleaned_data
        if self.account is None and (instance_id := values.get(INSTANCE)):
            # The index of an agent's conversations begins with its account.
            instance = instance_with_account(instance_id)
            rows = rows.filter(account_id=instance and instance.account_id)
        for name in ("last_status__exact", "feedback__exact"):
            if values.get(name):
                rows = rows.filter(**{name: values[name]})
        if (least := values.get("cost_from")) is not None:
            rows = rows.filter(total_cost__gte=least)
        if (most := values.get("cost_to")) is not None:
            rows = rows.filter(total_cost__lte=most)
        if self.words() and self.account is not None:
            rows = rows.filter(pk__in=search.sessions_with(self.account.pk, self.words()))
        return rows

    def search(self, text: str) -> Q:
        key = parse_uuid(text)
        return Q(pk=key) if key else Q(pk__in=search.sessions_of(text))
