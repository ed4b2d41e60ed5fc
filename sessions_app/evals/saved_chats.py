"""Test chats: made from conversations, run as real turns, and checked before a publication."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from http import HTTPStatus
from itertools import count, zip_longest
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from accounts.auth.caller import Caller
from accounts.tenancy.context import tenant_context
from accounts.tenancy.locks import TURNS, lock_rows
from agents.config import ConfigError, read
from agents.config.versions.publishing import PublishCheckFailure
from agents.models import AgentInstance
from agents.runtime.events import ToolCall
from salient.api.problems import NotFound, Problem
from salient.api.schemas import path_uuid
from salient.database import in_database, storable
from salient.formatting import dollars, exact_moment
from salient.observability.context import apart
from sessions_app.conversations.sessions import new_session
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import CompletionStatus, Message, Role, SavedChat, SavedChatRun, Session
from sessions_app.turns import turn as turns
from sessions_app.usage.error_help import help_with

# Each message is a turn that takes time and costs money.
MOST_MESSAGES = 10
NOT_SENT = "not sent: the one before it failed"


class ChatChanged(Problem):
    """The test chat or the configuration was changed while it ran."""

    status = HTTPStatus.CONFLICT
    code = "test_chat_changed"

    def __init__(self) -> None:
        super().__init__(
            "The test chat or the configuration was changed during the run; run it again."
        )


@dataclass(slots=True)
class Answer:
    """The result of one message; `cost` is US dollars as a decimal string, None if unknown."""

    message: str
    answer: str = ""
    status: str = ""
    error: str = ""
    cost: str | None = None
    latency_ms: int = 0
    tools: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    llm_request_id: str | None = None


@dataclass(slots=True)
class Progress:
    """A run in progress: its session, its answers, and the versions that gave them."""

    session_id: UUID | None = None
    answers: list[Answer] = field(default_factory=list)
    versions: set[UUID] = field(default_factory=set)


type Expected = Mapping[str, Iterable[str]]


def from_session(session: Session, name: str, *, is_gate: bool = True) -> SavedChat:
    """Make a test chat with copies of the first messages of a conversation's user.

    Call it inside a context. It expects nothing of the answers: staff add what they must contain.
    Raises NothingAsked where no message of the user is left.
    """
    _hold(session.account_id, session.pk)
    messages = user_messages(session)
    if not messages:
        raise NothingAsked
    return _made_from(session, messages, name=name, is_gate=is_gate)


def with_better_answer(
    answer: Message,
    better: str,
    *,
    contains: Sequence[str] = (),
    excludes: Sequence[str] = (),
    is_gate: bool = True,
) -> SavedChat:
    """Make a test chat of what led to an answer, with the one that it should have been.

    It has the user's last messages up to the question, and `contains` and `excludes` for the answer
    to that. What is sent twice makes one. Call it inside a context. Raises NothingAsked where no
    message came before the answer.
    """
    _hold(answer.account_id, answer.session_id)
    asked = questions_before(answer)
    if not asked:
        raise NothingAsked
    # Two at once would choose one name.
    lock_rows("saved chats", answer.account_id)
    nothing: dict[str, list[str]] = {"contains": [], "excludes": []}
    last = {"contains": list(contains), "excludes": list(excludes)}
    texts = {
        "expected": [*(nothing for _ in asked[1:]), last],
        "better_answers": [*("" for _ in asked[1:]), better],
    }
    same = SavedChat.objects.filter(
        agent_instance_id=answer.agent_instance_id,
        session_id=answer.session_id,
        messages=asked,
        is_gate=is_gate,
        **texts,
    )
    if (made := same.first()) is not None:
        return made
    return _made_from(answer, asked, name=_free_name(answer), is_gate=is_gate, **texts)


class NothingAsked(Exception):
    """There is no message of the user, or none that the answer answered, any more."""


def _hold(account_id: UUID, session_id: UUID) -> None:
    """Wait for whoever erases the conversation, and let nobody until its texts are copied.

    Else a copy could be made behind an erasure that has looked for copies.
    """
    rows = Session.objects.filter(account_id=account_id, pk=session_id)
    list(rows.select_for_update(no_key=True).values_list("pk"))


def _made_from(source: Session | Message, messages: list[str], **fields: Any) -> SavedChat:
    """Make a test chat with texts of a conversation, or of the one of a message."""
    nothing: dict[str, list[str]] = {"contains": [], "excludes": []}
    return SavedChat.objects.create(
        account_id=source.account_id,
        agent_instance_id=source.agent_instance_id,
        session_id=source.session_id if isinstance(source, Message) else source.pk,
        messages=messages,
        **{"expected": [nothing for _ in messages], **fields},
    )


def _free_name(answer: Message) -> str:
    """Name the test chat by the answer's time: who may not read the words sees the name."""
    name = f"Better answer of {exact_moment(answer.created_at)}"
    names = (f"{name} ({number})" if number > 1 else name for number in count(1))
    return next(each for each in names if not is_name_taken(answer.agent_instance_id, each))


def answer_with_agent(message_id: UUID) -> Message | None:
    """Return an answer with its conversation and agent, for staff; in the platform context."""
    return (
        Message.objects.select_related("session", "agent_instance")
        .filter(pk=message_id, role=Role.ASSISTANT)
        .first()
    )


def user_messages(session: Session) -> list[str]:
    """Return the user's first messages in a conversation; inside a context."""
    messages = Message.objects.filter(session_id=session.pk, role=Role.HUMAN)
    rows = messages.order_by("created_at", "id")
    return list(rows.values_list("content", flat=True)[:MOST_MESSAGES])


def questions_before(answer: Message) -> list[str]:
    """Return the user's last messages up to an answer; the last of these it answered."""
    asked = Message.objects.filter(
        session_id=answer.session_id,
        agent_instance_id=answer.agent_instance_id,
        role=Role.HUMAN,
    )
    rows = asked.before(answer).newest_first()
    return list(rows.values_list("content", flat=True)[:MOST_MESSAGES])[::-1]


def own_sessions(user_id: UUID, session_ids: Iterable[UUID]) -> set[UUID]:
    """Return which of these conversations the person had themselves; inside a context."""
    own = Session.objects.filter(pk__in=session_ids, user_id=user_id, copied_from=None)
    return set(own.values_list("pk", flat=True))


def session_with_agent(session_id: UUID) -> Session | None:
    """Return a conversation with its agent, for staff; inside the platform context."""
    return Session.objects.select_related("agent_instance").filter(pk=session_id).first()


def is_name_taken(instance_id: UUID, name: str | None, *, but: UUID | None = None) -> bool:
    """Return whether another of the agent's test chats has the name."""
    same = SavedChat.objects.filter(agent_instance_id=instance_id, name=name)
    return bool((same.exclude(pk=but) if but else same).exists())


def find(caller: Caller, instance: AgentInstance, chat_id: str) -> SavedChat:
    """Return the instance's test chat; raises NotFound."""
    wanted = path_uuid(chat_id, "test chat")
    with tenant_context(caller.account_id):
        chat: SavedChat | None = SavedChat.objects.filter(
            pk=wanted, agent_instance_id=instance.pk
        ).first()
    if chat is None:
        raise NotFound("test chat")
    return chat


async def run(caller: Caller, instance: AgentInstance, chat: SavedChat) -> SavedChatRun:
    """Send each message as a turn of one new session, and store the results.

    The caller's draft, if there is one, is the configuration. Raises a Problem if the first turn
    cannot begin, and ChatChanged. In both cases no run is stored, but the turns that were made are.
    """
    progress = Progress()
    async with aclosing(answers(caller, instance, chat, progress)) as stream:
        async for _ in stream:
            pass
    return await in_database(store, caller, chat, progress)


async def answers(
    caller: Caller, instance: AgentInstance, chat: SavedChat, progress: Progress
) -> AsyncGenerator[Answer]:
    """Yield each answer as soon as it is complete; after one that failed no message is sent."""
    caller = replace(caller, test_chat=chat.pk)
    if chat.session_id is not None:
        caller = replace(caller, says_again=True)
        progress.session_id = await in_database(_start_copy, caller, instance, chat.session_id)
    for message, expected in zip_longest(chat.messages, chat.expected[: len(chat.messages)]):
        if progress.answers and progress.answers[-1].status != CompletionStatus.COMPLETE:
            answer = Answer(message, failures=[NOT_SENT])
        else:
            with apart():
                answer = await _ask(caller, instance, message, progress)
            answer.failures += failures_of(answer, expected or {})
        progress.answers.append(answer)
        yield answer


async def _ask(caller: Caller, instance: AgentInstance, message: str, progress: Progress) -> Answer:
    request = TurnInput(message=message, session_id=progress.session_id)
    try:
        turn = await turns.begin_new(caller, instance, request, stream=True)
    except Problem as problem:
        if not progress.versions:
            await in_database(_drop, caller, progress)
            raise
        return Answer(message, status=CompletionStatus.ERROR.value, error=problem.code)
    progress.session_id = turn.session_id
    progress.versions.add(turn.current.version_id)
    return await _answered(turn, Answer(message))


def _start_copy(caller: Caller, instance: AgentInstance, source_id: UUID) -> UUID:
    """Make the session of a run that copies a conversation's texts; it is deleted with that.

    It belongs to no user, so that no token of the playground reads it. Raises NotFound if the
    conversation was deleted meanwhile. The lock makes a deletion and this wait for each other.
    """
    with tenant_context(caller.account_id):
        lock_rows(TURNS, instance.pk, shared=True)
        source = Session.objects.select_for_update(no_key=True).filter(
            pk=source_id, deleted_at=None
        )
        if not source.exists():
            raise NotFound("session")
        return new_session(caller, instance, copied_from=source_id).pk


def _drop(caller: Caller, progress: Progress) -> None:
    """Delete the session of a run that could not begin."""
    if caller.says_again and progress.session_id is not None:
        with tenant_context(caller.account_id):
            Session.objects.filter(pk=progress.session_id).delete()


async def _answered(turn: turns.Turn, answer: Answer) -> Answer:
    try:
        async with aclosing(turns.answer(turn)) as events:
            async for event in events:
                if isinstance(event, ToolCall):
                    answer.tools.append(event.name)
    except Problem as problem:
        answer.error = problem.code
    total = turn.price().total_cost
    answer.answer, answer.status = turn.run.text, turn.status.value
    answer.cost = None if total is None else dollars(total)
    answer.latency_ms, answer.llm_request_id = turn.latency_ms, str(turn.request_id)
    return answer


def failures_of(answer: Answer, expected: Expected) -> list[str]:
    """Return what is wrong with an answer; upper and lower case are the same."""
    if answer.status != CompletionStatus.COMPLETE:
        help_ = help_with(answer.error)
        meaning = f" ({help_.meaning} {help_.remedy}".rstrip() + ")" if help_ else ""
        return [f"ended as {answer.status}: {answer.error}{meaning}"]
    text = answer.answer.casefold()
    lacks = [part for part in expected.get("contains", ()) if part.casefold() not in text]
    has = [part for part in expected.get("excludes", ()) if part.casefold() in text]
    return [f"lacks “{part}”" for part in lacks] + [f"has “{part}”" for part in has]


def store(caller: Caller, chat: SavedChat, progress: Progress) -> SavedChatRun:
    """Store a run of the test chat; raises ChatChanged if the chat or version has changed."""
    if len(progress.versions) != 1:
        raise ChatChanged
    [version_id] = progress.versions
    costs = [answer.cost for answer in progress.answers if answer.llm_request_id]
    with tenant_context(caller.account_id):
        # Locked, so that it is not changed before the run is stored.
        same = SavedChat.objects.select_for_update(no_key=True).filter(
            pk=chat.pk, updated_at=chat.updated_at
        )
        if not same.exists():
            raise ChatChanged
        return SavedChatRun.objects.create(
            account_id=chat.account_id,
            agent_instance_id=chat.agent_instance_id,
            saved_chat_id=chat.pk,
            config_version_id=version_id,
            passed=not any(answer.failures for answer in progress.answers),
            answers=storable([asdict(answer) for answer in progress.answers]),
            cost=None if None in costs else sum(map(Decimal, filter(None, costs)), Decimal(0)),
            latency_ms=sum(answer.latency_ms for answer in progress.answers),
        )


def check_publication(
    instance: AgentInstance, override: Mapping[str, Any]
) -> list[PublishCheckFailure]:
    """Return the test chats that have not passed with exactly what is to be published."""
    chats = SavedChat.objects.filter(agent_instance_id=instance.pk, is_gate=True).order_by("name")
    wanted = list(chats.only("id", "account_id", "name", "updated_at"))
    if not wanted:
        return []
    try:
        digest = read(*instance.folder, override=override).digest
    except ConfigError:
        # Publishing itself reports the errors of the configuration.
        return []
    runs = newest_runs(instance, digest)
    found = [(chat.name, verdict(chat, runs.get(chat.pk))) for chat in wanted]
    return [PublishCheckFailure(name, reason) for name, reason in found if reason]


def verdict(chat: SavedChat, run: SavedChatRun | None) -> str:
    """Return why a test chat does not count as passed; "" if it does."""
    if run is None:
        return "has not been run with this configuration"
    if run.created_at < chat.updated_at:
        return "was changed after its run"
    failed = (
        f"answer {number} {answer['failures'][0]}"
        for number, answer in enumerate(run.answers, start=1)
        if answer["failures"]
    )
    return "" if run.passed else f"failed: {next(failed, '')}"


def newest_runs(instance: AgentInstance, digest: str) -> dict[UUID, SavedChatRun]:
    """Return each test chat's newest run with this configuration, by the test chat's id."""
    runs = SavedChatRun.objects.filter(agent_instance_id=instance.pk, config_version__digest=digest)
    newest = runs.order_by("saved_chat_id", "-created_at").distinct("saved_chat_id")
    return {run.saved_chat_id: run for run in newest}
