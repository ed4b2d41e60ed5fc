"""An agent's test chats compared: with the published configuration, and with the draft."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agents.config.versions import publishing
from agents.models import AgentInstance, ConfigDraft, ConfigVersion
from salient.formatting import money
from sessions_app.evals.saved_chats import newest_runs, verdict
from sessions_app.models import SavedChat, SavedChatRun

# Returns the ids of the test chats whose texts must not be shown.
type Hidden = Callable[[list[SavedChat]], Collection[UUID]]


@dataclass(frozen=True, slots=True)
class Side:
    """A test chat's newest run with one configuration; `reason` says why it is not passed."""

    run: SavedChatRun | None
    reason: str

    @property
    def state(self) -> str:
        if self.run is None:
            return "info"
        if self.reason:
            return "bad" if not self.run.passed else "warn"
        return "ok"

    @property
    def cost(self) -> str:
        if self.run is None or self.run.cost is None:
            return "cost unknown"
        return money(self.run.cost)

    @property
    def word(self) -> str:
        return {"info": "not run", "bad": "failed", "warn": "outdated", "ok": "passed"}[self.state]


@dataclass(frozen=True, slots=True)
class Compared:
    """A test chat with its runs; if it is hidden, pages show only the lengths of its texts."""

    chat: SavedChat
    published: Side
    draft: Side | None
    is_hidden: bool = False

    @property
    def turns(self) -> list[dict[str, Any]]:
        """Each message with the better answer that staff wrote, "" where there is none, and the
        answer of each side, None where a side has none.
        """
        sides = [side.run.answers if side.run else [] for side in self._sides]
        rows = zip_longest(self.chat.messages, self.chat.better_answers, *sides)
        return [
            {
                "message": message,
                "better": better or "",
                "answers": answers,
                "differs": _differ(answers),
            }
            for message, better, *answers in rows
            if message is not None
        ]

    @property
    def has_better(self) -> bool:
        return any(self.chat.better_answers)

    @property
    def differing(self) -> int:
        """Count the messages that both sides answered, and not with the same words."""
        return sum(turn["differs"] for turn in self.turns)

    @property
    def is_on_both(self) -> bool:
        return all(side.run for side in self._sides)

    @property
    def _sides(self) -> list[Side]:
        return [self.published, *([self.draft] if self.draft else [])]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All test chats of an agent; `problem` says why its draft cannot be run."""

    draft: ConfigDraft | None
    rows: list[Compared]
    problem: str = ""

    @property
    def failed(self) -> int:
        return sum(bool(row.draft and row.draft.reason) for row in self.rows if row.chat.is_gate)


def compare(instance: AgentInstance, hidden: Hidden) -> Comparison:
    """Read the newest runs with the published configuration and with the draft."""
    draft = publishing.draft_of(instance)
    digest, problem = _draft_digest(instance, draft)
    in_force = publishing.in_force(instance)
    old = newest_runs(instance, in_force.digest) if in_force else {}
    new = newest_runs(instance, digest) if digest else {}
    chats = SavedChat.objects.filter(agent_instance_id=instance.pk)
    return Comparison(draft, _compared(chats, old, new if digest else None, hidden), problem)


def compare_versions(
    instance: AgentInstance,
    old: ConfigVersion,
    new: ConfigVersion,
    hidden: Hidden,
) -> list[Compared]:
    """Read the newest runs with two versions, of the test chats that were run with either.

    The newer version stands in the draft's place. Inside a context.
    """
    before, after = newest_runs(instance, old.digest), newest_runs(instance, new.digest)
    chats = SavedChat.objects.filter(agent_instance_id=instance.pk, pk__in={*before, *after})
    return _compared(chats, before, after, hidden)


def _compared(
    chats: QuerySet[SavedChat],
    old: Mapping[UUID, SavedChatRun],
    new: Mapping[UUID, SavedChatRun] | None,
    hidden: Hidden,
) -> list[Compared]:
    listed = list(chats.order_by("name"))
    unreadable = hidden(listed)
    return [
        Compared(
            chat,
            _side(chat, old),
            None if new is None else _side(chat, new),
            is_hidden=chat.pk in unreadable,
        )
        for chat in listed
    ]


def _side(chat: SavedChat, runs: Mapping[UUID, SavedChatRun]) -> Side:
    return Side(runs.get(chat.pk), verdict(chat, runs.get(chat.pk)))


def _differ(answers: Sequence[Any]) -> bool:
    texts = [answer["answer"] for answer in answers if answer]
    return len(texts) == len(answers) > 1 and len(set(texts)) > 1


def _draft_digest(instance: AgentInstance, draft: ConfigDraft | None) -> tuple[str, str]:
    if draft is None:
        return "", ""
    checked = publishing.validate(instance, draft.text)
    if checked.effective is None or checked.problems:
        return "", "; ".join(map(str, checked.problems))
    return checked.effective.digest, ""
