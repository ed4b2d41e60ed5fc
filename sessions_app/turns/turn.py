"""One turn: a user message and all that it causes. Open it, let the model run, settle it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import OperationalError
from msgspec.structs import replace

from accounts.auth.caller import Caller
from accounts.auth.revocation import Revoked, ServerStopping, TimeOver, Watch
from accounts.limits.quotas import BudgetExceeded, Reservation
from agents.config.shown import shown_by
from agents.config.versions.current import AgentMisconfigured, CurrentConfig
from agents.connections.revocation import AgentUse
from agents.costs import pricing
from agents.costs.estimate import billable_cost
from agents.costs.own_prices import OwnPrices, prices_for
from agents.costs.pricing import Price
from agents.models import AgentInstance
from agents.runtime.errors import RunError
from agents.runtime.events import Event
from agents.runtime.run import Run
from salient.api.lifespan import begun_task, in_background, takes_no_turns
from salient.database import MaybeDone, in_database, storable
from salient.observability import genai, tracing
from salient.observability.context import note_turn
from sessions_app.api.schemas import ChatOut, CostOut, DoneOut, UsageOut
from sessions_app.background.cancellation import Cancellable
from sessions_app.background.event_log import EventLog
from sessions_app.inputs import exchanges
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import CompletionStatus, LLMRequest
from sessions_app.turns import abandoned, heartbeat, store, tool_calls
from sessions_app.turns.idempotency import Key, KeyUsed, Replay, is_used, replay
from sessions_app.turns.plan import TurnPlan, messages_of, plan_failed, plan_turn, turn_row
from sessions_app.turns.problems import (
    SessionClosed,
    TurnCancelled,
    misconfigured_for,
    over_budget_for,
    provider_problem,
)

if TYPE_CHECKING:
    from salient.observability.spans import Span

logger = logging.getLogger(__name__)
CLIENT_LEFT = "client_left"


@dataclass(slots=True)
class Turn:
    """A turn under way: what it belongs to, and how far it has come."""

    caller: Caller
    instance: AgentInstance
    current: CurrentConfig
    session_id: UUID
    request_id: UUID
    run: Run
    reservation: Reservation
    answer_id: UUID
    # The prices that the account or the installation has set itself.
    own_prices: OwnPrices
    started: float = field(default_factory=time.monotonic)
    status: CompletionStatus = CompletionStatus.RUNNING
    error_code: str = ""
    latency_ms: int = 0
    # False when the rows could not be written: the outcome then names no message.
    stored: bool = True
    # False when the caller wants no text to be kept.
    keeps_texts: bool = True
    # Of a background turn: what its readers are told.
    log: EventLog | None = None
    # Where traces are on.
    span: Span | None = None
    # Each with the number of calls that it was computed from.
    _price: tuple[int, Price] | None = None
    _usage: tuple[int, UsageOut] | None = None

    def end(self, status: CompletionStatus, error_code: str = "") -> None:
        self.status, self.error_code = status, error_code
        self.latency_ms = round((time.monotonic() - self.started) * 1000)

    def fail(self, error_code: str) -> None:
        """End as partial when some text has come, else as an error."""
        self.end(CompletionStatus.PARTIAL if self.run.text else CompletionStatus.ERROR, error_code)

    @property
    def model(self) -> str:
        """The model that answered: a fallback's name when one took over."""
        last = self.run.calls[-1] if self.run.calls else None
        return f"{last.provider}:{last.model}" if last else self.run.request.models[0]

    @property
    def uses(self) -> AgentUse:
        """What the turn depends on besides its caller."""
        connections = tuple(self.run.request.connections.values())
        return AgentUse(self.caller.account_id, self.instance.id, connections)

    @property
    def finish_reason(self) -> str | None:
        """Why the model's last call ended, as it is stored; None when the provider gave none."""
        if self.run.client_calls:
            # Some servers say "stop" with their calls.
            return "tool_calls"
        last = self.run.calls[-1] if self.run.calls else None
        return (storable(last.finish_reason) or None) if last else None

    @property
    def time_to_first_token_ms(self) -> int | None:
        return tool_calls.time_to_first_token_ms(self.run.calls)

    def price(self) -> Price:
        """What the calls cost together."""
        if self._price is None or self._price[0] != len(self.run.calls):
            self._price = len(self.run.calls), pricing.total(self.run.calls, self.own_prices)
        return self._price[1]

    def usage(self) -> UsageOut:
        """What the calls used together."""
        if self._usage is None or self._usage[0] != len(self.run.calls):
            self._usage = len(self.run.calls), UsageOut.of(self.run.calls)
        return self._usage[1]

    def outcome(self) -> DoneOut:
        return DoneOut(**self._facts())

    def answer_out(self) -> ChatOut:
        return ChatOut(response=storable(self.run.text), **self._facts())

    def _facts(self) -> dict[str, Any]:
        status = self.status if self.stored else CompletionStatus.ERROR
        shown = shown_by(self.current.effective.config, self.caller)
        return {
            "status": status,
            "session_id": self.session_id,
            "message_id": self.answer_id if self.has_message else None,
            "llm_request_id": self.request_id,
            "model": storable(self.model) if shown.model else None,
            "finish_reason": self.finish_reason,
            "usage": self.usage() if shown.usage else None,
            "cost": CostOut.of(self.price()) if shown.cost else None,
            "config_version": self.current.effective.digest[:12],
            "latency_ms": self.latency_ms,
            "time_to_first_token_ms": self.time_to_first_token_ms,
        }

    @property
    def has_message(self) -> bool:
        """Whether there is a stored message with the answer's text."""
        return bool(self.run.text) and self.stored and self.keeps_texts

    def as_settled(self, *, note_use: bool = False) -> store.SettleTurn:
        """Return the row that settles the turn as it has ended."""
        provider, _, model = self.model.partition(":")
        usage, price, kept = self.usage(), self.price(), self.keeps_texts
        return store.SettleTurn(
            account_id=self.caller.account_id,
            agent_instance_id=self.instance.id,
            session_id=self.session_id,
            request_id=self.request_id,
            config_version_id=self.current.version_id,
            answer_id=self.answer_id,
            answer=exchanges.kept_answer(self.run) if kept else None,
            answer_tools=exchanges.kept_rounds(self.run) if kept else None,
            reserved=self.reservation.reserved,
            charged_cost=billable_cost(self.run.calls, self.own_prices),
            provider=provider[: _max_length("provider")],
            model=model[: _max_length("model")],
            completion_status=self.status,
            error_code=self.error_code,
            requests=usage.requests,
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            total_tokens=usage.total_tokens,
            tokens_estimated=usage.estimated,
            prompt_cost=price.prompt_cost,
            completion_cost=price.completion_cost,
            total_cost=price.total_cost,
            cost_source=price.source,
            latency_ms=self.latency_ms,
            time_to_first_token_ms=self.time_to_first_token_ms,
            response_body=tool_calls.response_body(self.run, self.own_prices, kept=kept),
            note_use=note_use,
        )


@cache
def _max_length(column: str) -> int:
    return int(cast(Any, LLMRequest._meta.get_field(column)).max_length)


async def begin(
    caller: Caller, instance: AgentInstance, asked: TurnInput, *, stream: bool, key: Key | None
) -> Turn | Replay:
    """Begin a turn for a call of the API, or find the answer that the caller's key had before."""
    if takes_no_turns():
        raise ServerStopping("The server is stopping and takes no new message; send it again.")
    try:
        return await begin_new(caller, instance, asked, stream=stream, key=key)
    except KeyUsed:
        return await in_database(replay, caller, instance, cast(Key, key))
    except SessionClosed:  # A key that came before has its answer all the same.
        if key is None or not await in_database(is_used, caller, key):
            raise
        return await in_database(replay, caller, instance, key)


async def begin_new(
    caller: Caller,
    instance: AgentInstance,
    asked: TurnInput,
    *,
    stream: bool,
    key: Key | None = None,
) -> Turn:
    """Store the user's message and a running request; one transaction, one round trip.

    Raises a Problem, and then nothing of the message is kept; KeyUsed for a key that came before.
    """
    beginning = begun_task(_begin(caller, instance, asked, stream=stream, key=key))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        # The row is being stored, and only this task can release its limits.
        await asyncio.shield(_leave_begun(beginning))
        raise


async def _begin(
    caller: Caller, instance: AgentInstance, asked: TurnInput, *, stream: bool, key: Key | None
) -> Turn:
    try:
        plan = await plan_turn(caller, instance, asked, stream=stream)
    except AgentMisconfigured as problem:
        if problem.current is not None:
            await _record(
                await plan_failed(caller, asked, problem.current, stream=stream), instance
            )
        raise misconfigured_for(caller, problem) from problem
    return await _opened(plan, instance, key)


async def _record(plan: TurnPlan, instance: AgentInstance) -> None:
    """Store a turn that the agent cannot answer as a failed one, so that its owner sees it.

    It takes no key: the caller may send the same again once the agent works.
    """
    turn = await _opened(plan, instance, None)
    turn.fail(AgentMisconfigured.code)
    await asyncio.shield(store.settle_or_retry(turn))


async def _opened(plan: TurnPlan, instance: AgentInstance, key: Key | None) -> Turn:
    caller = plan.limits.caller
    prices = prices_for(instance, caller.account_slug)
    row = turn_row(plan, instance, prices, key)
    try:
        opened = await heartbeat.open_turn(row, plan.limits)
    except BudgetExceeded as problem:
        raise over_budget_for(caller, problem, plan.current, plan.run, instance) from problem
    except OperationalError as error:
        if isinstance(error.__cause__, MaybeDone):
            in_background(abandoned.undo(row.account_id, row.request_id))
        raise
    run = replace(plan.run, messages=await messages_of(plan, row, opened))
    if run.client_tools:
        run = replace(run, call_prefix=exchanges.call_prefix(row.request_id))
    note_turn(caller.account_slug, instance.instance_slug, opened.session_id, row.request_id)
    return Turn(
        caller=caller,
        instance=instance,
        current=plan.current,
        session_id=opened.session_id,
        request_id=row.request_id,
        run=Run(run),
        reservation=opened.reservation,
        answer_id=plan.answer_id,
        own_prices=prices,
        keeps_texts=plan.asked.store,
    )


async def _leave_begun(beginning: asyncio.Task[Turn]) -> None:
    try:
        turn = await beginning
    except Exception:
        logger.debug("Nothing was opened for a client that has left", exc_info=True)
    else:
        await leave(turn)


async def answer(turn: Turn) -> AsyncGenerator[Event]:
    """Let the model answer; nothing is held meanwhile, and the turn is settled however it ends.

    Raises a Problem when the model failed or the turn was interrupted.
    """
    try:
        async with aclosing(_events(turn)) as events:
            with (
                Watch(turn.caller, turn.uses) as watch,
                Cancellable(turn.caller.account_id, turn.request_id, watch),
            ):
                while (event := await watch.next(events)) is not None:
                    yield event
        turn.end(CompletionStatus.COMPLETE)
    except RunError as error:
        turn.fail(error.code)
        problem = provider_problem(error, turn.session_id, turn.request_id)
        problem.headers |= turn.reservation.headers
        raise problem from error
    except (Revoked, TurnCancelled) as problem:
        turn.end(CompletionStatus.CANCELLED, problem.code)
        raise
    except (TimeOver, ServerStopping) as problem:
        turn.fail(problem.code)
        raise
    except (asyncio.CancelledError, GeneratorExit):
        turn.end(CompletionStatus.CANCELLED, CLIENT_LEFT)
        raise
    except BaseException:
        turn.fail("internal_error")
        raise
    finally:
        # Also when the client has left: what was used is paid for.
        await asyncio.shield(begun_task(store.settle_or_retry(turn)))


def _begin_span(turn: Turn) -> None:
    if tracing.tracer is None:
        return
    instance, caller = turn.instance, turn.caller
    known = {
        genai.OPERATION: genai.INVOKE_AGENT,
        genai.AGENT_ID: str(instance.pk),
        genai.AGENT_NAME: instance.instance_slug,
        genai.AGENT_VERSION: turn.current.effective.digest[:12],
        genai.CONVERSATION_ID: str(turn.session_id),
        genai.ACCOUNT: caller.account_slug,
        genai.TURN_ID: str(turn.request_id),
    }
    name = f"{genai.INVOKE_AGENT} {instance.instance_slug}"
    turn.span = tracing.tracer.begin(name, known, content=turn.keeps_texts)


def _events(turn: Turn) -> AsyncGenerator[Event]:
    _begin_span(turn)
    events = turn.run.events()
    return events if turn.log is None else turn.log.recorded(events)


async def leave(turn: Turn) -> None:
    """Settle a turn without a waiting client; one that has run is settled already."""
    if turn.status is CompletionStatus.RUNNING:
        turn.end(CompletionStatus.CANCELLED, CLIENT_LEFT)
        await asyncio.shield(begun_task(store.settle_or_retry(turn)))


async def finish(turn: Turn) -> None:
    """Run the turn to its end; raises a Problem when the model failed."""
    async with aclosing(answer(turn)) as events:
        async for _ in events:
            pass
