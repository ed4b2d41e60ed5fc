"""A conversation as staff read it: the messages, and for each answer the work behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from django.db.models import QuerySet
from django.utils.safestring import SafeString

from agents.config.versions.history import newest_publications
from salient.cursor import Cursor, newer, older
from salient.formatting import duration, money
from sessions_app.inputs.exchanges import SPOKEN, conversation_of, stored_messages
from sessions_app.models import (
    CompletionStatus,
    LLMRequest,
    Message,
    MessageFeedback,
    Role,
    Session,
)
from sessions_app.turns import prompts
from sessions_app.turns.prompts import PromptPart
from sessions_app.usage.error_help import ErrorHelp, help_with

PAGE_SIZE = 50
MORE_AFTER = 10
# The class of admin.css for each status.
STATES = {
    CompletionStatus.COMPLETE: "ok",
    CompletionStatus.PARTIAL: "warn",
    CompletionStatus.CANCELLED: "warn",
    CompletionStatus.ERROR: "bad",
    CompletionStatus.RUNNING: "info",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model; a retry or a fallback follows a call that failed."""

    model: str
    tokens: str
    cost: str
    latency: str
    first_token: str
    ending: str
    error: str
    note: str

    @classmethod
    def all_of(cls, request: LLMRequest) -> list[Self]:
        calls = (request.response_body or {}).get("calls", [])
        return [cls._of(call, calls[:place]) for place, call in enumerate(calls)]

    @classmethod
    def _of(cls, call: dict[str, Any], before: list[dict[str, Any]]) -> Self:
        cost = call.get("total_cost")
        about = "about " if call.get("estimated") else ""
        return cls(
            model=_model(call),
            tokens=f"{about}{_count(call, 'input')} in, {_count(call, 'output')} out",
            cost=money(None if cost is None else Decimal(cost)),
            latency=duration(call.get("latency_ms")),
            first_token=duration(call.get("time_to_first_token_ms")),
            ending=call.get("finish_reason") or "",
            error=call.get("error") or "",
            note=_note(call, before),
        )


def _count(call: dict[str, Any], kind: str) -> str:
    return f"{call.get(f'{kind}_tokens') or 0:,}"


def _model(call: dict[str, Any]) -> str:
    return f"{call.get('provider', '')}:{call.get('model', '')}"


def _note(call: dict[str, Any], before: list[dict[str, Any]]) -> str:
    """Say why there was another call: the one before failed, or it asked for tools."""
    if not before:
        return ""
    if not before[-1].get("error"):
        return "after tools"
    return "retry" if _model(before[-1]) == _model(call) else "fallback"


@dataclass(slots=True)
class Work:
    """The work of one turn: its model calls, tools and prompt sections."""

    request: LLMRequest
    calls: list[Call]
    tools: list[dict[str, Any]]
    sections: list[dict[str, Any]]
    state: str

    @classmethod
    def of(cls, request: LLMRequest) -> Self:
        return cls(
            request,
            Call.all_of(request),
            (request.response_body or {}).get("tools", []),
            prompts.listed(request),
            STATES[CompletionStatus(request.completion_status)],
        )

    @property
    def cost(self) -> str:
        return money(self.request.total_cost)

    @property
    def latency(self) -> str:
        return duration(self.request.latency_ms)

    @property
    def first_token(self) -> str:
        return duration(self.request.time_to_first_token_ms)

    @property
    def help(self) -> ErrorHelp | None:
        """What the turn's error means, and what to do."""
        return help_with(self.request.error_code)

    @property
    def largest(self) -> int:
        return max((section["bytes"] for section in self.sections), default=1) or 1


@dataclass(slots=True)
class Entry:
    """A message with its feedback and, if it is to be shown with it, the work of its turn."""

    message: Message
    work: Work | None = None
    # The turn had no answer, so the question shows its work.
    unanswered: bool = False
    feedback: list[MessageFeedback] = field(default_factory=list)
    # The text with the words of a search in <mark>; "" where it has none of them.
    marked: SafeString | str = ""
    # What the version that answered is called: the number that it was published as, or its digest.
    version: str = ""

    @property
    def is_answer(self) -> bool:
        return bool(self.message.role == Role.ASSISTANT)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a conversation, oldest message first.

    `earlier` is the cursor of the one before; the newest page is the one without later messages.
    """

    entries: list[Entry]
    earlier: str
    is_newest: bool

    @property
    def versions(self) -> dict[UUID, str]:
        """The digests of these messages' configurations, by the versions' ids."""
        rows = (each.message.config_version for each in self.entries)
        return {version.pk: version.digest[:12] for version in rows if version is not None}


def read(session: Session, before: Cursor | None = None, at: UUID | None = None) -> Page:
    """Read the newest page, the one before a place, or the one that has a message.

    The number of queries does not depend on the length of the conversation.
    """
    # A session has one instance; the index has the instance before the moment.
    rows: QuerySet[Message] = (
        Message.objects.filter(session_id=session.pk, agent_instance_id=session.agent_instance_id)
        .select_related("config_version")
        .defer("config_version__content")
    )
    if at is not None:
        before = _end_around(rows, at)
    if before is not None:
        rows = older(rows, "created_at", before)
    found = list(rows.order_by("-created_at", "-id")[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE][::-1]
    earlier = str(Cursor(shown[0].created_at, shown[0].pk)) if len(found) > PAGE_SIZE else ""
    entries = _with_work(shown)
    _name_versions(entries)
    return Page(entries, earlier, is_newest=before is None)


def _end_around(rows: QuerySet[Message], at: UUID) -> Cursor | None:
    """Return where the page with a message ends: MORE_AFTER later ones are on it, if there are."""
    moment = rows.filter(pk=at).values_list("created_at", flat=True).first()
    if moment is None:
        return None
    later = newer(rows, "created_at", Cursor(moment, at)).order_by("created_at", "id")
    ends = list(later.values_list("created_at", "pk")[MORE_AFTER : MORE_AFTER + 1])
    return Cursor(*ends[0]) if ends else None


def messages_of(request: LLMRequest) -> list[Message]:
    """Return the messages of the request's turn."""
    return list(Message.objects.filter(llm_request_id=request.pk))


def sent_messages(request: LLMRequest, sections: Iterable[PromptPart]) -> list[dict[str, str]]:
    """Rebuild the messages that the model was sent, oldest first: the prompt, then what was said.

    Each has `role` and `content`. They are read from what is stored: a conversation that the caller
    brought along, and messages that were deleted since, are not among them.
    """
    prompt = "".join(
        part.text or "" for part in sections if part.name.partition(":")[0] == prompts.PROMPT
    )
    own = messages_of(request)
    asked = [message for message in own if message.role != Role.ASSISTANT]
    before = _history(request, min((each.created_at for each in own), default=request.created_at))
    said = conversation_of(stored_messages([*reversed(asked), *before]))
    sent = [{"role": message.role, "content": message.content} for message in said]
    return [{"role": "system", "content": prompt}, *sent] if prompt else sent


def _history(request: LLMRequest, moment: datetime) -> list[Message]:
    """Return the stored messages that were sent before the turn's own, the newest first."""
    most = (request.request_body or {}).get("history_messages", 0)
    rows = Message.objects.filter(
        session_id=request.session_id,
        agent_instance_id=request.agent_instance_id,
        role__in=SPOKEN,
        created_at__lt=moment,
    )
    return list(rows.order_by("-created_at", "-id")[:most])


def _with_work(messages: list[Message]) -> list[Entry]:
    keys = {message.llm_request_id for message in messages if message.llm_request_id}
    works = {row.pk: Work.of(row) for row in LLMRequest.objects.filter(pk__in=keys)}
    # The answer may be on the next page.
    answered = set(
        Message.objects.filter(llm_request_id__in=keys, role=Role.ASSISTANT).values_list(
            "llm_request_id", flat=True
        )
    )
    feedback: dict[UUID, list[MessageFeedback]] = {}
    rows = MessageFeedback.objects.filter(message_id__in=[message.pk for message in messages])
    for row in rows.order_by("created_at"):
        feedback.setdefault(row.message_id, []).append(row)
    entries = []
    for message in messages:
        key = message.llm_request_id
        unanswered = message.role == Role.HUMAN and key in works and key not in answered
        shows_work = message.role == Role.ASSISTANT or unanswered
        work = works.get(key) if key and shows_work else None
        entries.append(Entry(message, work, unanswered, feedback.get(message.pk, [])))
    return entries


def _name_versions(entries: list[Entry]) -> None:
    versions = {entry.message.config_version_id for entry in entries}
    published = newest_publications([key for key in versions if key is not None])
    for entry in entries:
        if (version := entry.message.config_version) is not None:
            one = published.get(version.pk)
            entry.version = f"number {one.number}" if one else version.digest[:12]
