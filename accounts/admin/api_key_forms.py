"""The staff's forms for API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone

from accounts.api.schemas import LONGEST_OVERLAP
from accounts.keys import offers
from accounts.members.email_addresses import is_same
from accounts.models import Account, ApiKey, KeyKind, KeyMode, Scope, SupportAccess, User
from accounts.models.api_key import LASTING
from salient.ids import parse_uuid

USUAL_SCOPES = [Scope.CHAT, Scope.HISTORY_READ, Scope.AGENTS_READ]
NEVER = "never"
LIVES = [("30", "30 days"), ("90", "90 days"), ("365", "a year"), (NEVER, "for ever")]
MOST_HOURS = LONGEST_OVERLAP // 3600
HAND, SHOW = "hand", "show"
WAYS = [
    (HAND, "Hand it over: the person gets an e-mail and takes it, nobody else sees it"),
    (SHOW, "Show it to me: needs a support access where it reads texts, and ends with that"),
]
LASTS = (
    "What is done with {scopes} stays when your support access ends, so such a key is not shown to "
    "staff: hand it over."
)


class LinesField(forms.CharField):
    """Several values, one a line; each once."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = value if isinstance(value, list) else (value or "").replace(",", "\n").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


class HandingForm(forms.Form):
    """Who gets the key: a person of the account, or, while their access lasts, this one."""

    way = forms.ChoiceField(
        label="Who gets it", choices=WAYS, initial=HAND, widget=forms.RadioSelect
    )
    person = forms.ChoiceField(
        label="Hand it over to",
        required=False,
        help_text="Owners and admins of the account, also those who are still invited.",
    )

    # Of whoever fills the form in.
    viewer: User | None = None
    access: SupportAccess | None = None

    def offer_to_people_of(self, account_id: UUID | None) -> None:
        people = offers.takers(account_id) if account_id else []
        shown = [(email, f"{email} ({role})") for email, role in people]
        field: Any = self.fields["person"]
        field.choices = [("", "choose a person"), *shown]
        if not people:
            field.help_text = "Nobody of this account may hold a key yet: invite an owner first."

    def clean_way_of(self, key: ApiKey) -> None:
        """Tell what is wrong with handing this key over, or with showing it."""
        match self.cleaned_data.get("way"):
            case "hand":
                self._check_taker(self.cleaned_data.get("person", ""))
            case "show" if key.is_lasting:
                lasting = ", ".join(scope for scope in key.scopes if scope in LASTING)
                self.add_error("way", LASTS.format(scopes=lasting))
            case "show" if key.reads_texts and self.access is None:
                self.add_error("way", "This key reads texts: that needs a support access.")

    def _check_taker(self, taker: str) -> None:
        if not taker and "person" not in self.errors:
            self.add_error("person", "Say who is to take it.")
        elif self.viewer and is_same(taker, self.viewer.email):
            self.add_error("person", "To you it is shown, under a support access.")

    @property
    def is_handed(self) -> bool:
        return bool(self.cleaned_data.get("way") == HAND)


class ApiKeyForm(HandingForm, forms.ModelForm[ApiKey]):
    """What a key may do, where and for how long; the model says what cannot be."""

    kind = forms.ChoiceField(choices=KeyKind, initial=KeyKind.SECRET, required=False)
    mode = forms.ChoiceField(choices=KeyMode, initial=KeyMode.LIVE, required=False)
    scopes = forms.MultipleChoiceField(
        choices=Scope,
        initial=USUAL_SCOPES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What the key may do; it cannot be changed later. A publishable key starts "
        "visitors and does nothing else.",
    )
    instance_ids = forms.TypedMultipleChoiceField(
        label="Agents",
        coerce=UUID,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None: all of the account's, also those to come. A publishable key has one.",
    )
    origins = LinesField(
        required=False, help_text="For publishable keys, one a line: https://shop.example"
    )
    networks = LinesField(
        required=False,
        help_text="From where it may be used, one a line: 203.0.113.0/24. Empty: from anywhere.",
    )
    life = forms.ChoiceField(label="Works for", choices=LIVES, initial="365", required=False)

    class Meta:
        model = ApiKey
        fields = ["account", "name", "kind", "mode", "scopes", "instance_ids", "origins"]
        fields += ["networks", "expires_at"]
        widgets = {"account": forms.HiddenInput}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_new = self.instance._state.adding
        if not self.is_new:
            for name in ("way", "person", "life"):
                self.fields.pop(name, None)
            return
        self.fields["instance_ids"].choices = list(self._agents())  # type: ignore[attr-defined]
        account = self._account()
        self.offer_to_people_of(account.pk if account else None)

    def _account(self) -> Account | None:
        asked = self.data.get("account") or self.initial.get("account") or ""
        account_id = parse_uuid(str(asked))
        return Account(pk=account_id) if account_id else None

    def _agents(self) -> Any:
        """The account's agents, whichever is asked for."""
        account = self._account()
        return account.agent_instances.values_list("pk", "instance_slug") if account else []

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if not self.is_new:
            return values
        values["kind"] = values.get("kind") or KeyKind.SECRET
        values["mode"] = values.get("mode") or KeyMode.LIVE
        if values["kind"] == KeyKind.PUBLISHABLE:
            values["scopes"] = [Scope.VISITORS_WRITE]
        elif not values.get("scopes") and "scopes" not in self.errors:
            self.add_error("scopes", "A key needs at least one scope.")
        self.instance.expires_at = _end_of(values.get("life") or "365")
        if not self.errors:
            self._clean_handing(values)
        return values

    def _clean_handing(self, values: dict[str, Any]) -> None:
        names = ("kind", "mode", "scopes", "instance_ids")
        key = ApiKey(**{name: values[name] for name in names})
        self.clean_way_of(key)
        if not self.is_handed and key.reads_texts and self.access is not None:
            self.instance.bind_to(self.access)


def _end_of(life: str) -> datetime | None:
    return None if life == NEVER else timezone.now() + timedelta(days=int(life))


class OverlapForm(forms.Form):
    """How long a key works on beside its successor."""

    overlap_hours = forms.IntegerField(
        label="The old key works on for (hours)",
        initial=24,
        min_value=0,
        max_value=MOST_HOURS,
        help_text=f"Long enough to bring the new key everywhere; at most {MOST_HOURS}.",
    )


class RotateForm(HandingForm, OverlapForm):
    """A successor: how long the old key works on, and who gets the new one."""

    field_order = ("way", "person", "overlap_hours")

    def __init__(
        self, *args: Any, key: ApiKey, viewer: User, access: SupportAccess | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.key, self.viewer, self.access = key, viewer, access
        self.offer_to_people_of(key.account_id)
        self.fields["overlap_hours"].required = False

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        hours = values.get("overlap_hours")
        if values.get("way") == SHOW and hours is None and "overlap_hours" not in self.errors:
            self.add_error("overlap_hours", "Say how long the old key works on.")
        if "way" in values:
            self.clean_way_of(self.key)
        return values
