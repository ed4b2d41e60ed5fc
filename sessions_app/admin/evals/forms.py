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
PARTS = ("message", "better", "contains", "excludes")
LONGEST_EXPECTATION, MOST_EXPECTATIONS, LONGEST_ANSWER = 500, 20, 20_000
CONTAINS = "One text a line; upper and lower case are the same."
TOO_MUCH = f"Expect at most {MOST_EXPECTATIONS} texts of {LONGEST_EXPECTATION} characters."
NAME_TAKEN = ValidationError("This agent has a test chat of that name.")


def turn_fields() -> dict[str, forms.Field]:
    return {name: field for number in TURNS for name, field in _turn(number)}


def _turn(number: int) -> Iterator[tuple[str, forms.Field]]:
    yield f"message_{number}", _area("The user says")
    better = "Shown beside the answers, to compare them with."
    yield f"better_{number}", _area("A better answer", better, max_length=LONGEST_ANSWER)
    yield f"contains_{number}", _area("The answer contains", CONTAINS)
    yield f"excludes_{number}", _area("The answer does not contain", "One text a line.")


def _area(label: str, help_text: str = "", *, rows: int = 2, **options: Any) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": rows, "cols": 60})
    options = {"required": False, "widget": widget, **options}
    return forms.CharField(label=label, help_text=help_text, **options)


class InstanceChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, instance: Any) -> str:
        return str(instance.full_slug)


class SavedChatForm(forms.ModelForm[SavedChat]):
    """A test chat's turns; those that are left blank are left out."""

    agent_instance = InstanceChoice(None, label="Agent", help_text="It cannot be changed later.")

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
            self.add_error("message_1", "Write at least one message.")
        self.instance.messages = [message for message, _, _ in turns]
        better = [text for _, text, _ in turns]
        self.instance.better_answers = better if any(better) else []
        self.instance.expected = [expected for _, _, expected in turns]
        agent = cleaned.get("agent_instance")
        agent_id = agent.pk if agent else self.instance.agent_instance_id
        if is_name_taken(agent_id, cleaned.get("name"), but=self.instance.pk):
            self.add_error("name", NAME_TAKEN)
        return cleaned

    def _turns(self, cleaned: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, list[str]]]]:
        for number in TURNS:
            message, better, *expected = (cleaned.get(f"{part}_{number}") or "" for part in PARTS)
            contains, excludes = map(_lines, expected)
            if message:
                self._check(number, message, [*contains, *excludes])
                yield message, better, {"contains": contains, "excludes": excludes}
            elif better or contains or excludes:
                self.add_error(f"message_{number}", "An answer needs a user message.")

    def _check(self, number: int, message: str, expected: list[str]) -> None:
        try:
            ChatIn(message=message)
        except ShapeError as error:
            self.add_error(f"message_{number}", Invalid.of(error).detail)
        if is_too_much(expected):
            self.add_error(f"contains_{number}", TOO_MUCH)


class BetterAnswerForm(forms.Form):
    """The answer that should have been given, and what every answer there must hold."""

    better = _area(
        "A better answer",
        "It becomes a test chat, and is shown beside the answers when the agent is next tested.",
        rows=6,
        required=True,
        max_length=LONGEST_ANSWER,
    )
    contains = _area("The answer must contain", CONTAINS)
    excludes = _area("The answer must not contain", "One text a line.")
    is_gate = forms.BooleanField(
        label="Must pass before a draft is published", required=False, initial=True
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in ("contains", "excludes"):
            cleaned[name] = _lines(cleaned.get(name) or "")
        if is_too_much([*cleaned["contains"], *cleaned["excludes"]]):
            self.add_error("contains", TOO_MUCH)
        return cleaned


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
    found: dict[str, str] = {}
    expected = [*(chat.expected or []), *({} for _ in TURNS)]
    better = [*(chat.better_answers or []), *("" for _ in TURNS)]
    for number, (message, answer, parts) in enumerate(
        zip(chat.messages or [], better, expected),  # noqa: B905
        start=1,
    ):
        found |= {f"message_{number}": message, f"better_{number}": answer}
        for part in ("contains", "excludes"):
            found[f"{part}_{number}"] = "\n".join(parts.get(part, ()))
    return found


def is_too_much(expected: list[str]) -> bool:
    """Whether there are more or longer texts than an answer is searched for."""
    too_long = any(len(text) > LONGEST_EXPECTATION or "\0" in text for text in expected)
    return too_long or len(expected) > MOST_EXPECTATIONS


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
