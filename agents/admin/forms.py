"""The forms of a configuration's pages."""

from __future__ import annotations

from typing import Any

from django import forms

from agents.config.versions.publishing import LONGEST_NOTE


class LinesField(forms.CharField):
    """A text as it was typed, with line ends as files have them."""

    def __init__(self, *, rows: int, **options: Any) -> None:
        attributes = {"rows": rows, "cols": 80}
        super().__init__(widget=forms.Textarea(attributes), strip=False, **options)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value) or "").replace("\r\n", "\n")

    def validate(self, value: Any) -> None:
        super().validate(str(value).strip())


class EditForm(forms.Form):
    """The draft, with what its author had before them: the draft's mark, the number in force."""

    text = LinesField(rows=18, required=False, label="What lies over the files (YAML)")
    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    base = forms.IntegerField(widget=forms.HiddenInput)


class PublishForm(forms.Form):
    note = LinesField(
        rows=2,
        max_length=LONGEST_NOTE,
        label="What changes, and why",
        help_text="Kept with the publication, and in the account's audit log.",
    )
    gate_reason = LinesField(
        rows=2,
        required=False,
        max_length=LONGEST_NOTE,
        label="Why publish all the same",
        help_text="Only a reason goes past a test chat that failed; it is kept.",
    )
    base = forms.IntegerField(widget=forms.HiddenInput)
    seen = forms.CharField(required=False, widget=forms.HiddenInput)


class RollBackForm(forms.Form):
    note = PublishForm.base_fields["note"]
    base = forms.IntegerField(widget=forms.HiddenInput)
