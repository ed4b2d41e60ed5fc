"""The forms of the pages that change a configuration."""

from __future__ import annotations

from typing import Any

from django import forms

from agents.config.versions.publishing import LONGEST_NOTE


class MultilineField(forms.CharField):
    """A text as it was typed, with the line ends of files."""

    def __init__(self, *, rows: int, **options: Any) -> None:
        attributes = {"rows": rows, "cols": 80}
        super().__init__(widget=forms.Textarea(attributes), strip=False, **options)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value) or "").replace("\r\n", "\n")

    def validate(self, value: Any) -> None:
        super().validate(str(value).strip())


class EditForm(forms.Form):
    """The draft, with the ETag of the draft and the publication that its author saw."""

    text = MultilineField(rows=18, required=False, label="Values published over the files (YAML)")
    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    base = forms.IntegerField(min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)


class PublishForm(forms.Form):
    note = MultilineField(
        rows=2,
        max_length=LONGEST_NOTE,
        label="What changes, and why",
        help_text="Kept with the publication, and in the account's audit log.",
    )
    gate_reason = MultilineField(
        rows=2,
        required=False,
        max_length=LONGEST_NOTE,
        label="Why publish anyway",
        help_text="After a failed test chat, publishing needs a reason. It is stored.",
    )
    base = forms.IntegerField(min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
    seen = forms.CharField(required=False, widget=forms.HiddenInput)


class RollBackForm(forms.Form):
    note = PublishForm.base_fields["note"]
    base = forms.IntegerField(min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
