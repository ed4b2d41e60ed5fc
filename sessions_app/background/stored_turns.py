"""Turns as resources: found, read, cancelled, and emptied of their texts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from msgspec.structs import asdict

from accounts.auth.caller import Caller
from accounts.auth.revocation import Watch
from accounts.models import Scope
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from agents.runtime.events import Event, TextDelta, ToolCall
from salient.api.problems import NotFound
from salient.database import in_database
from sessions_app.api.schemas import ChatOut, DoneOut, TurnErrorOut, TurnOut
from sessions_app.background.cancellation import cancel_here
from sessions_app.background.following import shared_events, stored_events, text_in
from sessions_app.background.running import events_of, running_here
from sessions_app.conversations.history import own_session, own_sessions
from sessions_app.conversations.sessions import forget_turn
from sessions_app.models import CompletionStatus, LLMRequest, Message, TurnCancellation
from sessions_app.turns.idempotency import answer_of, client_calls_of, problem_of

# How long a cancellation waits for the turn to be settled, which another process does.
CANCEL_SECONDS = 5.0
# The first wait of a look for that; each is longer than the one before.
LOOK_SECONDS = 0.1


def own_turn(caller: Caller, instance: AgentInstance, turn_id: UUID) -> LLMRequest:
    """Return the turn, inside the account's context; raises NotFound, also where no text is stored.

    Who may not read conversations has the turns that it began itself.
    """
    own = Q(session_id__in=own_sessions(caller, instance).values("pk"))
    if caller.is_visitor:
        # Threads of a chat interface are sessions of their own.
        own |= Q(caller=caller.subject)
    texts = Message.objects.filter(account_id=caller.account_id, llm_request_id=OuterRef("pk"))
    found = LLMRequest.objects.select_related("config_version").filter(
        own,
        Exists(texts) | Q(completion_status=CompletionStatus.RUNNING),
        pk=turn_id,
        account_id=caller.account_id,
        agent_instance_id=instance.pk,
    )
    if Scope.HISTORY_READ not in caller.scopes:
        found = found.filter(caller=caller.subject)
    request: LLMRequest | None = found.first()
    if request is None:
        raise NotFound("turn")
    return request


def require_turn(caller: Caller, instance: AgentInstance, turn_id: UUID) -> None:
    """Raise NotFound for a turn that the caller may not follow."""
    with tenant_context(caller.account_id):
        own_turn(caller, instance, turn_id)


def read_turn(caller: Caller, instance: AgentInstance, turn_id: UUID) -> TurnOut:
    """Return the turn as it is now; raises NotFound."""
    with tenant_context(caller.account_id):
        return _turn_out(caller, instance, own_turn(caller, instance, turn_id))


def _turn_out(caller: Caller, instance: AgentInstance, request: LLMRequest) -> TurnOut:
    answer = answer_of(caller, instance, request)
    said = answer.response
    is_running = request.completion_status == CompletionStatus.RUNNING
    if is_running:
        said = text_in(stored_events(request.account_id, request.pk))
    problem = None if is_running else problem_of(request, {})
    return TurnOut(
        **asdict(answer) | {"response": said},
        id=request.pk,
        created_at=request.created_at,
        ended_at=request.settled_at,
        error=None if problem is None else TurnErrorOut(problem.code, problem.detail),
    )


def delete_turn(caller: Caller, instance: AgentInstance, turn_id: UUID) -> None:
    """Delete the turn's texts, and keep its figures; raises NotFound and TurnInProgress."""
    with tenant_context(caller.account_id):
        request = own_turn(caller, instance, turn_id)
        forget_turn(own_session(caller, instance, request.session_id, lock=True), request)


async def cancel_turn(caller: Caller, instance: AgentInstance, turn_id: UUID) -> TurnOut:
    """End the turn if it runs, in whatever process; return it as it ended.

    It is still running in the answer only where its process does not answer in CANCEL_SECONDS.
    Raises NotFound.
    """
    found = await in_database(_ask_to_cancel, caller, instance, turn_id)
    cancel_here(caller.account_id, turn_id)
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + CANCEL_SECONDS, LOOK_SECONDS
    while found.status == CompletionStatus.RUNNING and loop.time() < deadline:
        await asyncio.sleep(pause)
        pause *= 1.5
        found = await in_database(read_turn, caller, instance, turn_id)
    return found


def _ask_to_cancel(caller: Caller, instance: AgentInstance, turn_id: UUID) -> TurnOut:
    with tenant_context(caller.account_id):
        request = own_turn(caller, instance, turn_id)
        if request.completion_status == CompletionStatus.RUNNING:
            TurnCancellation.objects.get_or_create(
                account_id=caller.account_id, llm_request_id=request.pk
            )
        return _turn_out(caller, instance, request)


def happening(
    caller: Caller, instance: AgentInstance, turn_id: UUID, scope: Scope
) -> tuple[AsyncGenerator[Event], Callable[[], DoneOut | None]]:
    """Return the turn's events, those that have happened and those to come, and its outcome.

    The outcome is None until the events have ended. They end, with an Interrupted, when the caller
    may no longer read: has lost the scope with which it reads.
    """
    running = running_here(caller.account_id, turn_id)
    # What the outcome shows depends on the caller.
    if running is not None and running.caller.subject == caller.subject:
        return _watched(
            caller, scope, events_of(running)
        ), lambda: None if running.status == CompletionStatus.RUNNING else running.outcome()
    stored = StoredTurn(caller, instance, turn_id)
    return _watched(caller, scope, stored.events()), lambda: stored.outcome


class StoredTurn:
    """A turn for a reader of its events: one that another process runs, or one that has ended."""

    def __init__(self, caller: Caller, instance: AgentInstance, turn_id: UUID) -> None:
        self._caller, self._instance, self._turn_id = caller, instance, turn_id
        # How it ended, once its events have ended.
        self.outcome: DoneOut | None = None

    async def events(self) -> AsyncGenerator[Event]:
        """Give all events, and those to come; raises how the turn failed, and NotFound."""
        characters, called = 0, set[str]()
        async with aclosing(shared_events((self._caller.account_id, self._turn_id))) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        characters += len(text)
                    case ToolCall(call_id):
                        called.add(call_id)
                yield event
        request, answer = await in_database(self._read)
        self.outcome = answer.done
        # What no event has said: all of it, where the turn did not run in the background.
        if rest := answer.response[characters:]:
            yield TextDelta(rest)
        for call in client_calls_of(request):
            if call.id not in called:
                yield call
        if (problem := problem_of(request, {})) is not None:
            raise problem

    def _read(self) -> tuple[LLMRequest, ChatOut]:
        with tenant_context(self._caller.account_id):
            request = own_turn(self._caller, self._instance, self._turn_id)
            return request, answer_of(self._caller, self._instance, request)


async def _watched(
    caller: Caller, scope: Scope, events: AsyncGenerator[Event]
) -> AsyncGenerator[Event]:
    """Pass events on as long as the caller may read; raises Interrupted otherwise."""
    async with aclosing(events):
        with Watch(caller, scope=scope) as watch:
            while (event := await watch.next(events)) is not None:
                yield event
