"""The staff's forms for API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone

from accounts.models import Account, ApiKey, KeyKind, KeyMode, Scope
from accounts.schemas import LONGEST_OVERLAP

USUAL_SCOPES = [Scope.CHAT, Scope.HISTORY_READ, Scope.AGENTS_READ]
NEVER = "never"
LIVES = [("30", "30 days"), ("90", "90 days"), ("365", "a year"), (NEVER, "for ever")]
MOST_HOURS = LONGEST_OVERLAP // 3600


class LinesField(forms.CharField):
    """Several values, one a line; each once."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = value if isinstance(value, list) else (value or "").replace(",", "\n").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


class ApiKeyForm(forms.ModelForm[ApiKey]):
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
        if "instance_ids" in self.fields:
            self.fields["instance_ids"].choices = list(self._agents())  # type: ignore[attr-defined]

    def _agents(self) -> Any:
        """The account's agents, whichever is asked for."""
        asked = self.data.get("account") or self.initial.get("account") or ""
        try:
            account = Account(pk=UUID(str(asked)))
        except ValueError:
            return []
        return account.agent_instances.values_list("pk", "instance_slug")

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
        days = values.get("life") or "365"
        life = None if days == NEVER else timezone.now() + timedelta(days=int(days))
        self.instance.expires_at = life
        return values


class RotateForm(forms.Form):
    overlap_hours = forms.IntegerField(
        label="The old key works on for (hours)",
        initial=24,
        min_value=0,
        max_value=MOST_HOURS,
        help_text=f"Long enough to bring the new key everywhere; at most {MOST_HOURS}.",
    )
