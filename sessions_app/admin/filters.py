"""The filters above the lists of conversations, messages, requests and feedback."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Model, Q, QuerySet

from accounts.admin.formatting import lower_first
from accounts.admin.lists.filters import ACCOUNT, FROM, MOST_CHOICES, TO, FilterForm
from accounts.admin.lists.private import SearchField
from accounts.tenancy.accounts import account_named
from agents.instances.services import instance_with_account, instances_of
from salient.ids import parse_uuid
from sessions_app.conversations import search
from sessions_app.conversations.search import MessageSearch
from sessions_app.models import OPEN_FEEDBACK, CompletionStatus, FeedbackStatus, Message, Role

ENDED = [(status.value, status.value) for status in CompletionStatus if status != "running"]
# Who says something in a conversation.
SPEAKERS = (Role.HUMAN, Role.ASSISTANT)
INSTANCE, SESSION = "agent_instance__id__exact", "session__id__exact"


class CostField(forms.DecimalField):
    """An amount with as many digits as the column has, because more would break the query."""

    def __init__(self, label: str) -> None:
        super().__init__(label=label, required=False, min_value=0, max_digits=20, decimal_places=8)


class IdSearchForm(FilterForm):
    """Searches by the row's id or the session's, each given whole."""

    search_label = "id, or session's id"
    ids = {INSTANCE: "agent", SESSION: "session"}

    def search(self, text: str) -> Q:
        key = parse_uuid(text)
        return Q(pk=key) | Q(session_id=key) if key else Q(pk__in=[])


class MessageFilters(IdSearchForm):
    choices = ("role",)
    choice_names = {Role.HUMAN.value: Message(role=Role.HUMAN).role_name}
    needs_account = True


class FeedbackFilters(IdSearchForm):
    choices = ("rating",)

    status = forms.ChoiceField(
        choices=[("", "any"), ("open", "open"), *FeedbackStatus.choices], required=False
    )

    def queryset[M: Model](self, rows: QuerySet[M]) -> QuerySet[M]:
        rows, status = super().queryset(rows), self.cleaned_data.get("status")
        if status == "open":
            return rows.filter(OPEN_FEEDBACK)
        return rows.filter(status=status) if status else rows


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
    """Finds conversations by what was said in them, by the person, the time and how they went."""

    search_label = "id, e-mail or end user"
    ids = {INSTANCE: "agent"}
    with_times = True
    private = frozenset({"q", "text"})

    text = SearchField(
        label="words", help_text="Words in an account's messages: choose the account."
    )
    role = forms.ChoiceField(
        label="said by",
        choices=[
            ("", "anybody"),
            *((role.value, lower_first(Message(role=role).role_name)) for role in SPEAKERS),
        ],
        required=False,
    )
    last_status__exact = forms.ChoiceField(
        label="last turn", choices=[("", "any"), *ENDED], required=False
    )
    feedback__exact = forms.ChoiceField(
        label="feedback", choices=[("", "any"), ("1", "good"), ("-1", "bad")], required=False
    )
    cost_from = CostField(label="cost from, $")
    cost_to = CostField(label="to, $")

    # Whether only the newest of the messages with the words were looked at.
    is_cut = False

    def _chosen(self, name: str) -> forms.Widget:
        """Offer the agents of the chosen account."""
        account = account_named(str(self.data.get(ACCOUNT) or ""))
        agents = [] if account is None else list(instances_of(account.pk)[: MOST_CHOICES + 1])
        if not 0 < len(agents) <= MOST_CHOICES:
            return super()._chosen(name)
        choices = [(str(each.pk), each.instance_slug) for each in agents]
        return forms.Select(choices=[("", "any"), *choices])

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if values.get("text") and self.account is None and ACCOUNT not in self.errors:
            self.add_error(ACCOUNT, "Messages are searched inside one account: choose it.")
        return values

    def words(self) -> str:
        return str(self.cleaned_data.get("text") or "").strip()

    def searched(self) -> MessageSearch | None:
        """Return the search for words; None where none are looked for."""
        values, words = self.cleaned_data, self.words()
        if not words or self.account is None:
            return None
        who = str(values.get("q") or "").strip()
        return MessageSearch(
            self.account.pk,
            words,
            role=values.get("role", ""),
            instance_id=values.get(INSTANCE),
            who="" if parse_uuid(who) else who,
            begin=self.begin(),
            end=self.end(),
        )

    def times(self) -> Q:
        """Return the condition of the time: when the conversation was active last.

        Of a person, also one that went on afterwards; the words of a time have their own.
        """
        end, begin = self.end(), self.begin()
        if self.words():
            return Q()
        if self.cleaned_data.get("q") and end:
            return Q(created_at__lt=end) & (Q(last_activity_at__gte=begin) if begin else Q())
        return super().times()

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
        if (searched := self.searched()) is not None:
            found, self.is_cut = searched.sessions()
            rows = rows.filter(pk__in=found)
        return rows

    def search(self, text: str) -> Q:
        key = parse_uuid(text)
        return Q(pk=key) if key else Q(pk__in=search.sessions_of(text))
