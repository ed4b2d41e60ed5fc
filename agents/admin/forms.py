"""The forms of the pages that change a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Self

from django import forms
from django.http import QueryDict

from agents.config import ConfigProblem
from agents.config.versions.form_values import KEYS, ChangedTwice, FormValues, Merged, merged
from agents.config.versions.publishing import LONGEST_NOTE
from agents.runtime.tools import tool_names

# What a form showed of a value: digests of it, and of what the text says.
PAIR = 2


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


class ValuesForm(forms.Form):
    """The values that most drafts are about; `shown` says what the form showed of them.

    The text's own validator checks them, once they are written into the text.
    """

    model = forms.CharField(required=False, help_text="provider:model. Empty: as in the files.")
    temperature = forms.CharField(
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
        help_text="From 0 to 2. Empty: as in the files.",
    )
    tools = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    system_prompt = MultilineField(
        rows=16, required=False, label="System prompt", help_text="Empty: as in the files."
    )
    shown = forms.JSONField(required=False, widget=forms.HiddenInput)

    sent: QueryDict

    def __init__(self, data: Any = None, **options: Any) -> None:
        super().__init__(data, **options)
        self.faults: dict[str, list[str]] = {}
        self.refused = ""

    @classmethod
    def of(cls, values: FormValues) -> Self:
        """Return the form that shows these values, without those that the form can't show."""
        form = cls(initial={**values.values, "shown": values.shown})
        form.offer(values.tools)
        for key in values.others:
            del form.fields[key]
        return form

    @classmethod
    def as_sent(cls, data: QueryDict) -> Self:
        """Return the form as it was sent, to be shown again with what was typed."""
        form = cls(data)
        form.sent = data
        form.offer(dict.fromkeys([*tool_names(), *data.getlist("tools")]))
        return form

    def offer(self, tools: Iterable[str]) -> None:
        boxes: Any = self.fields["tools"]
        boxes.choices = [(name, name) for name in tools]

    def merged_into(self, text: str) -> Merged:
        """Write what was changed in the form into the text; raises ChangedTwice."""
        return merged(text, self._typed(), self._shown_before())

    def refuse(self, error: ChangedTwice) -> None:
        """Show the form again with what was typed, and say what was changed in the text as well."""
        self.refused = str(error)
        for key in error.keys:
            self.faults[key] = ["Changed here and in the YAML: make both the same."]

    def _typed(self) -> dict[str, Any]:
        """Return what was sent, without the fields of the page that were not."""
        found: dict[str, Any] = {}
        for name in KEYS:
            if name == "tools":
                # No box is no field: what the form showed says whether there were any.
                found[name] = self.sent.getlist(name)
            elif name in self.data:
                found[name] = self.data[name].replace("\r\n", "\n")
        return found

    def _shown_before(self) -> dict[str, list[str]]:
        """Return what the form showed; nothing where it was not sent, or is none of ours."""
        try:
            sent = json.loads(self.data.get("shown", ""))
        except (ValueError, RecursionError):
            return {}
        pairs = sent.items() if isinstance(sent, dict) else ()
        return {key: pair for key, pair in pairs if isinstance(pair, list) and len(pair) == PAIR}

    def take_errors(self, problems: Iterable[ConfigProblem]) -> None:
        """Put the validator's errors at their fields."""
        for problem in problems:
            name = re.split(r"[.\[]", problem.key, maxsplit=1)[0]
            if name in self.fields:
                guess = f". Did you mean “{problem.suggestion}”?" if problem.suggestion else ""
                self.faults.setdefault(name, []).append(f"{problem.message}{guess}")

    def rows(self) -> Iterator[tuple[forms.BoundField, list[str]]]:
        """Yield each field with what is wrong with it."""
        for field in self.visible_fields():
            yield field, self.faults.get(field.name, [])


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
