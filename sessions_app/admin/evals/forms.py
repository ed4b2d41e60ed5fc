"""A test chat as a form: turns, each with what its answer must and must not contain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from pydantic import ValidationError as ShapeError

from agents.instances.services import instances_with_accounts
from salient.api.problems import Invalid
from sessions_app.api.schemas import ChatIn
from sessions_app.evals.saved_chats import MOST_MESSAGES, is_name_taken
from sessions_app.models import SavedChat

TURNS = range(1, MOST_MESSAGES + 1)
PARTS = ("message", "contains", "excludes")
LONGEST_EXPECTATION, MOST_EXPECTATIONS = 500, 20
NAME_TAKEN = ValidationError("This agent has a test chat of that name.")


def turn_fields() -> dict[str, forms.Field]:
    return {name: field for number in TURNS for name, field in _turn(number)}


def _turn(number: int) -> Iterator[tuple[str, forms.Field]]:
    def area(label: str, rows: int, help_text: str = "") -> forms.CharField:
        widget = forms.Textarea(attrs={"rows": rows, "cols": 60})
        return forms.CharField(label=label, required=False, widget=widget, help_text=help_text)

    yield f"message_{number}", area("The user says", 2)
    yield (
        f"contains_{number}",
        area("The answer contains", 2, "One text a line; upper and lower case are the same."),
    )
    yield f"excludes_{number}", area("The answer does not contain", 2, "One text a line.")


class InstanceChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, instance: Any) -> str:
        return f"{instance.account.slug}/{instance.instance_slug}"


class SavedChatForm(forms.ModelForm[SavedChat]):
    """A test chat's turns; those that are left blank are left out."""

    agent_instance = InstanceChoice(None, label="agent", help_text="It can not be changed later.")

    class Meta:
        model = SavedChat
        fields = ("agent_instance", "name", "is_gate")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "agent_instance" in self.fields:
            field = cast(InstanceChoice, self.fields["agent_instance"])
            field.queryset = instances_with_accounts()
        self.initial.update(_initial(self.instance))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        turns = list(self._turns(cleaned))
        if not turns and not self.errors:
            self.add_error("message_1", "Say at least one thing.")
        self.instance.messages = [message for message, _ in turns]
        self.instance.expected = [expected for _, expected in turns]
        agent = cleaned.get("agent_instance")
        agent_id = agent.pk if agent else self.instance.agent_instance_id
        if is_name_taken(agent_id, cleaned.get("name"), but=self.instance.pk):
            self.add_error("name", NAME_TAKEN)
        return cleaned

    def _turns(self, cleaned: dict[str, Any]) -> Iterator[tuple[str, dict[str, list[str]]]]:
        for number in TURNS:
            message, *expected = (cleaned.get(f"{part}_{number}") or "" for part in PARTS)
            contains, excludes = map(_lines, expected)
            if message:
                self._check(number, message, [*contains, *excludes])
                yield message, {"contains": contains, "excludes": excludes}
            elif contains or excludes:
                self.add_error(f"message_{number}", "An answer needs something to answer.")

    def _check(self, number: int, message: str, expected: list[str]) -> None:
        try:
            ChatIn(message=message)
        except ShapeError as error:
            self.add_error(f"message_{number}", Invalid.of(error).detail)
        if len(expected) > MOST_EXPECTATIONS or any(
            len(text) > LONGEST_EXPECTATION or "\0" in text for text in expected
        ):
            self.add_error(
                f"contains_{number}",
                f"Expect at most {MOST_EXPECTATIONS} texts of {LONGEST_EXPECTATION} characters.",
            )


# Declared on the class, so that the admin finds them as any other field.
SavedChatForm.base_fields.update(turn_fields())
SavedChatForm.declared_fields.update(turn_fields())


class FromSessionForm(forms.Form):
    """The name of a test chat that is made of a conversation."""

    name = forms.CharField(max_length=100)
    is_gate = forms.BooleanField(
        label="Must pass before a draft is published", required=False, initial=True
    )


def _initial(chat: SavedChat) -> dict[str, str]:
    found = {}
    expected = [*(chat.expected or []), *({} for _ in TURNS)]
    for number, (message, parts) in enumerate(zip(chat.messages or [], expected), start=1):  # noqa: B905
        found[f"message_{number}"] = message
        for part in PARTS[1:]:
            found[f"{part}_{number}"] = "\n".join(parts.get(part, ()))
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
