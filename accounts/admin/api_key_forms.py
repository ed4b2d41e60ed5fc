"""The forms of API keys in the admin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin.lists.private import sealed
from accounts.api.schemas import LONGEST_OVERLAP
from accounts.audit.log import makers_of
from accounts.keys import offers
from accounts.members.email_addresses import is_same
from accounts.models import ApiKey, KeyKind, KeyMode, Scope, SupportAccess, User
from accounts.models.api_key import DEFAULT_SCOPES, LASTING
from accounts.models.audit import ActorKind, AuditEntry
from accounts.tenancy.agents import agent_slugs
from salient.ids import parse_uuid

NEVER = "never"
LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("365", "a year"), (NEVER, "for ever")]
MOST_HOURS = LONGEST_OVERLAP // 3600
HAND, SHOW = "hand", "show"
# The fields that name a person, which no address shows.
PERSONAL = frozenset({"person"})
PEOPLE = (ActorKind.STAFF, ActorKind.MEMBER)
WAYS = [
    (HAND, "Hand it over: the person gets an e-mail with a link, and nobody else sees the key"),
    (SHOW, "Show it to me: a key that reads texts needs a support access, and ends with it"),
]
SHOWING_NEEDS_ACCESS = (
    "Whoever sees a key that may {scopes} can read what people wrote. So it is shown to you only "
    "under a support access, and expires with it. It is better to hand it over: a person of the "
    "account takes it, and nobody else sees it."
)
LASTING_IS_NOT_SHOWN = (
    "What a key does with {scopes} outlasts your support access, so it is not shown to staff: hand "
    "it over."
)


class ValuesField(forms.CharField):
    """Several values, one a line, without repetitions."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = value if isinstance(value, list) else (value or "").replace(",", "\n").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


class RecipientForm(forms.Form):
    """Who gets the key: a person of the account, or whoever fills in the form."""

    way = forms.ChoiceField(
        label="Who gets it", choices=WAYS, initial=HAND, widget=forms.RadioSelect
    )
    person = forms.ChoiceField(
        label="Hand it over to",
        required=False,
        help_text="Owners and admins of the account, invited ones included.",
    )

    # Whoever fills in the form, with their support access to the account.
    viewer: User | None = None
    access: SupportAccess | None = None

    def offer_to_people_of(self, account_id: UUID | None) -> None:
        people = offers.takers(account_id) if account_id else []
        self.roles = {email: role.partition(",")[0] for email, role in people}
        shown = [(email, f"{email} ({role})") for email, role in people]
        field: Any = self.fields["person"]
        field.choices = [("", "choose a person"), *shown]
        if not people:
            field.help_text = "Nobody of this account may hold a key: invite an owner first."

    def check_recipient(self, key: ApiKey) -> None:
        """Add an error where the key may not be handed to this person, or not be shown."""
        match self.cleaned_data.get("way"):
            case "hand":
                self._check_taker(self.cleaned_data.get("person", ""), key)
            case "show" if key.is_lasting:
                lasting = ", ".join(scope for scope in key.scopes if scope in LASTING)
                self.add_error("way", LASTING_IS_NOT_SHOWN.format(scopes=lasting))
            case "show" if key.reads_texts and self.access is None:
                self.add_error("way", "This key reads texts, so it needs a support access.")

    def _check_taker(self, taker: str, key: ApiKey) -> None:
        if not taker and "person" not in self.errors:
            self.add_error("person", "Choose who gets it.")
        elif self.viewer and is_same(taker, self.viewer.email):
            self.add_error("person", "You cannot hand a key to yourself: have it shown to you.")
        elif taker in self.roles and not offers.may_hold(self.roles[taker], key):
            self.add_error("person", "The key may do what this person may not: choose an owner.")

    @property
    def is_handed(self) -> bool:
        return bool(self.cleaned_data.get("way") == HAND)


class ApiKeyForm(RecipientForm, forms.ModelForm[ApiKey]):
    """What a key may do, where and for how long; the model refuses impossible combinations."""

    kind = forms.ChoiceField(choices=KeyKind, initial=KeyKind.SECRET, required=False)
    mode = forms.ChoiceField(choices=KeyMode, initial=KeyMode.LIVE, required=False)
    scopes = forms.MultipleChoiceField(
        choices=Scope,
        initial=list(DEFAULT_SCOPES),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What the key may do; this cannot be changed later. A publishable key can only "
        "start visitors.",
    )
    instance_ids = forms.TypedMultipleChoiceField(
        label="Agents",
        coerce=UUID,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None: all agents of the account, future ones too. A publishable key has one.",
    )
    origins = ValuesField(
        required=False, help_text="For publishable keys, one a line: https://shop.example"
    )
    networks = ValuesField(
        required=False,
        help_text="The networks it may be used from, one a line: 203.0.113.0/24. Empty: any.",
    )
    life = forms.ChoiceField(label="Works for", choices=LIFETIMES, initial="365", required=False)

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
        account_id = parse_uuid(str(self.data.get("account") or self.initial.get("account") or ""))
        agents = agent_slugs(account_id) if account_id else {}
        self.fields["instance_ids"].choices = list(agents.items())  # type: ignore[attr-defined]
        self.offer_to_people_of(account_id)

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
        life = values.get("life") or "365"
        self.instance.expires_at = (
            None if life == NEVER else timezone.now() + timedelta(days=int(life))
        )
        if not self.errors:
            names = ("kind", "mode", "scopes", "instance_ids")
            key = ApiKey(**{name: values[name] for name in names})
            self.check_recipient(key)
            if not self.is_handed and key.reads_texts and self.access is not None:
                self.instance.bind_to(self.access)
        return values


class OverlapForm(forms.Form):
    """How long a key stays valid beside its successor."""

    overlap_hours = forms.IntegerField(
        label="The old key works on for (hours)",
        initial=24,
        min_value=0,
        max_value=MOST_HOURS,
        help_text=f"Long enough to replace the old key everywhere; at most {MOST_HOURS}.",
    )


class SuccessorForm(RecipientForm):
    """Who gets the key that replaces another."""

    def __init__(
        self, *args: Any, key: ApiKey, viewer: User, access: SupportAccess | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.key, self.viewer, self.access = key, viewer, access
        self.offer_to_people_of(key.account_id)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if "way" in values:
            self.check_recipient(self.key)
        return values


class RotateForm(SuccessorForm, OverlapForm):
    """A successor: how long the old key stays valid, and who gets the new one."""

    field_order = ("way", "person", "overlap_hours")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["overlap_hours"].required = False

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        hours = values.get("overlap_hours")
        if values.get("way") == SHOW and hours is None and "overlap_hours" not in self.errors:
            self.add_error("overlap_hours", "Say how long the old key works on.")
        return values


class RevokeForm(forms.Form):
    """Whether the keys that replace the revoked one end with it."""

    with_successors = forms.BooleanField(required=False)

    def __init__(self, *args: Any, successors: Sequence[ApiKey], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not successors:
            del self.fields["with_successors"]
            return
        makers = makers_of(successors)
        entries = [(key, makers.get(str(key.pk))) for key in successors]
        field = self.fields["with_successors"]
        field.label = "End its successor too"
        field.help_text = "; ".join(_made_by(key, entry) for key, entry in entries)
        # Whoever found the key could make one; a person who logged in did not need the key.
        field.initial = any(entry is None or entry.actor_kind not in PEOPLE for _, entry in entries)

    @property
    def ends_successors(self) -> bool:
        return bool(self.cleaned_data.get("with_successors", True))


def _made_by(key: ApiKey, entry: AuditEntry | None) -> str:
    who = f"{entry.actor} ({entry.actor_kind})" if entry else "nobody known"
    return f"{key} was made by {who}"


def key_of_form(request: HttpRequest) -> ApiKey:
    """Return a key with the rights that the form names; it is never stored."""
    data = request.POST
    return ApiKey(
        kind=data.get("kind") or KeyKind.SECRET,
        mode=data.get("mode", ""),
        scopes=data.getlist("scopes"),
        instance_ids=data.getlist("instance_ids"),
    )


def filled_in(request: HttpRequest, way: str) -> str:
    """Return the form's values as an address that fills the form in; it shows no person's."""
    data = request.POST.copy()
    for name in ("csrfmiddlewaretoken", "_save"):
        data.pop(name, None)
    data["way"] = way
    return sealed(data, PERSONAL).urlencode()
