"""One turn: a user message and all that it causes. Open it, let the model run, settle it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError

from accounts.auth.caller import Caller
from accounts.auth.revocation import Revoked, ServerStopping, TimeOver, Watch
from accounts.limits.alerts import tell_soon
from accounts.limits.quotas import Reservation
from agents.config.versions.current import CurrentConfig
from agents.connections.revocation import AgentUse
from agents.costs import pricing
from agents.costs.own_prices import OwnPrices, own_prices
from agents.costs.pricing import Price
from agents.models import AgentInstance
from agents.runtime.errors import RunError
from agents.runtime.events import Event
from agents.runtime.run import Run
from salient.api.lifespan import in_background, takes_no_turns
from salient.database import MaybeDone, in_database, is_unavailable, storable
from salient.ids import uuid7
from sessions_app.api.schemas import ChatIn, ChatOut, CostOut, DoneOut, UsageOut
from sessions_app.models import CompletionStatus
from sessions_app.turns import abandoned, heartbeat, store
from sessions_app.turns.idempotency import Key, KeyUsed, Replay, replay
from sessions_app.turns.problems import (
    AnswerNotStored,
    SettlementDelayed,
    TurnInProgress,
    provider_problem,
)

logger = logging.getLogger(__name__)
CLIENT_LEFT = "client_left"
# Seconds; a database that is away for longer leaves its turns to settle_abandoned.
SETTLE_AGAIN_AFTER = (1, 2, 4, *[5] * 120)
# Seconds; a statement whose connection has broken ends within its timeout.
UNDO_AFTER = (0, 1, 2, 4, 8)
UNDO_WITHIN = 600


@dataclass(slots=True)
class Turn:
    """A turn under way: what it belongs to, and how far it has come."""

    caller: Caller
    instance: AgentInstance
    current: CurrentConfig
    session_id: UUID
    request_id: UUID
    run: Run
    taken: Reservation
    answer_id: UUID = field(default_factory=uuid7)
    started: float = field(default_factory=time.monotonic)
    status: CompletionStatus = CompletionStatus.RUNNING
    error_code: str = ""
    latency_ms: int = 0
    # What its calls cost, where the account or the installation says so itself.
    own_prices: OwnPrices = field(init=False)
    # False when the rows could not be written: then nothing may be promised of them.
    stored: bool = True
    # Whether the database has refused the answer's text; the turn is settled without it.
    is_answer_refused: bool = False
    _price: tuple[int, Price] | None = None
    _usage: tuple[int, UsageOut] | None = None

    def __post_init__(self) -> None:
        self.own_prices = own_prices(self.caller.account_slug)

    def end(self, status: CompletionStatus, error_code: str = "") -> None:
        self.status, self.error_code = status, error_code
        self.latency_ms = round((time.monotonic() - self.started) * 1000)

    def fail(self, error_code: str) -> None:
        """End with what came, if anything came."""
        self.end(CompletionStatus.PARTIAL if self.run.text else CompletionStatus.ERROR, error_code)

    @property
    def model(self) -> str:
        """The model that answered: a fallback's name when one took over."""
        last = self.run.calls[-1] if self.run.calls else None
        return f"{last.provider}:{last.model}" if last else self.run.request.models[0]

    def uses(self) -> AgentUse:
        """What the turn depends on besides its caller."""
        connections = tuple(self.run.request.connections.values())
        return AgentUse(self.caller.account_id, self.instance.pk, connections)

    @property
    def finish_reason(self) -> str | None:
        """Why the last call of the model ended, as it is stored; None when nobody said."""
        last = self.run.calls[-1] if self.run.calls else None
        return (storable(last.finish_reason) or None) if last else None

    @property
    def time_to_first_token_ms(self) -> int | None:
        """From the start of the turn, with the calls before the one that spoke."""
        before = 0
        for call in self.run.calls:
            if call.time_to_first_token_ms is not None:
                return before + call.time_to_first_token_ms
            before += call.latency_ms
        return None

    def price(self) -> Price:
        """What the calls cost together; reckoned once, when the last of them has ended."""
        if self._price is None or self._price[0] != len(self.run.calls):
            self._price = len(self.run.calls), pricing.total(self.run.calls, self.own_prices)
        return self._price[1]

    def usage(self) -> UsageOut:
        """What the calls used together; added up once, when the last of them has ended."""
        if self._usage is None or self._usage[0] != len(self.run.calls):
            self._usage = len(self.run.calls), self._added_up()
        return self._usage[1]

    def _added_up(self) -> UsageOut:
        calls = self.run.calls
        read, written = sum(c.input_tokens for c in calls), sum(c.output_tokens for c in calls)
        return UsageOut(
            input_tokens=read,
            output_tokens=written,
            total_tokens=read + written,
            cached_tokens=sum(c.cached_tokens for c in calls),
            requests=len(calls),
            estimated=any(c.estimated for c in calls),
        )

    def outcome(self) -> DoneOut:
        return DoneOut(**self._facts())

    def answer_out(self) -> ChatOut:
        return ChatOut(response=storable(self.run.text), **self._facts())

    def _facts(self) -> dict[str, Any]:
        status = self.status if self.stored else CompletionStatus.ERROR
        return {
            "status": status.value,
            "session_id": self.session_id,
            "message_id": self.answer_id if self.run.text and self.stored else None,
            "llm_request_id": self.request_id,
            "model": storable(self.model),
            "finish_reason": storable(self.finish_reason),
            "usage": self.usage(),
            "cost": CostOut.of(self.price()),
            "config_version": self.current.effective.digest[:12],
            "latency_ms": self.latency_ms,
            "time_to_first_token_ms": self.time_to_first_token_ms,
        }


async def begin(
    caller: Caller, instance: AgentInstance, message: ChatIn, *, stream: bool, key: Key | None
) -> Turn | Replay:
    """Open a turn, or find the answer that the caller's key has had before."""
    if takes_no_turns():
        raise ServerStopping("The server stops and takes no new message; send it again.")
    try:
        return await open_turn(caller, instance, message, stream=stream, key=key)
    except KeyUsed:
        assert key is not None  # noqa: S101 - only a key can have been used
        return await in_database(replay, caller, instance, key)


async def open_turn(
    caller: Caller,
    instance: AgentInstance,
    message: ChatIn,
    *,
    stream: bool,
    key: Key | None = None,
) -> Turn:
    """Store the user's message and a running request; one transaction, one hop.

    Raises KeyUsed for a key that came before.
    """
    opening = asyncio.create_task(_open(caller, instance, message, stream=stream, key=key))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # What is being stored will be stored: nobody else would give its limits back.
        await asyncio.shield(_end_unseen(opening))
        raise


async def _open(
    caller: Caller, instance: AgentInstance, message: ChatIn, *, stream: bool, key: Key | None
) -> Turn:
    request_id = uuid7()
    ask = partial(store.open_turn, caller, instance, message, stream=stream, key=key)
    try:
        opened = await _asked(ask, request_id, caller, instance, message, key)
    except OperationalError as error:
        if isinstance(error.__cause__, MaybeDone):
            in_background(_undo(request_id))
        raise
    return Turn(
        caller=caller,
        instance=instance,
        current=opened.current,
        session_id=opened.session_id,
        request_id=opened.request_id,
        run=Run(opened.run),
        taken=opened.taken,
    )


async def _asked(
    ask: partial[Coroutine[Any, Any, store.Opened]],
    request_id: UUID,
    caller: Caller,
    instance: AgentInstance,
    message: ChatIn,
    key: Key | None,
) -> store.Opened:
    """Ask for a turn; where a dead process left one in its place, settle that and ask again."""
    try:
        return await ask(request_id=request_id)
    except (KeyUsed, TurnInProgress):
        has_settled = await in_database(
            abandoned.settle_left,
            caller,
            instance,
            message.session_id,
            None if key is None else key.text,
            may_trust_age=heartbeat.is_steady(),
        )
        if not has_settled:
            raise
        return await ask(request_id=request_id)


async def _undo(request_id: UUID) -> None:
    """Settle a turn that was stored although its caller was told that it was not.

    Its transaction may end after the connection did, so it is looked for more than once.
    """
    for pause in UNDO_AFTER:
        await asyncio.sleep(pause)
        if await _when_it_answers(partial(in_database, abandoned.settle_unstarted, request_id)):
            return


async def _when_it_answers(ask: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
    """Ask the database, which may be away for a while; after that the turn's age tells."""
    deadline = time.monotonic() + UNDO_WITHIN
    while True:
        try:
            return await ask()
        except (OperationalError, InterfaceError):
            if time.monotonic() > deadline:
                return False
        await asyncio.sleep(2)


async def _end_unseen(opening: asyncio.Task[Turn]) -> None:
    try:
        turn = await opening
    except Exception:
        logger.debug("Nothing was opened for a client that has left", exc_info=True)
    else:
        await leave(turn)


async def answer(turn: Turn) -> AsyncGenerator[Event]:
    """Let the model answer; nothing is held meanwhile, and the turn is settled however it ends.

    Raises a Problem when the model failed or the turn was interrupted.
    """
    try:
        async with aclosing(turn.run.events()) as events:
            with Watch(turn.caller, turn.uses()) as watch:
                while (event := await watch.next(events)) is not None:
                    yield event
        turn.end(CompletionStatus.COMPLETE)
    except RunError as error:
        turn.fail(error.code)
        problem = provider_problem(error, turn.session_id, turn.request_id)
        problem.headers |= turn.taken.headers
        raise problem from error
    except Revoked as problem:
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
        await asyncio.shield(settle_turn(turn))


async def leave(turn: Turn) -> None:
    """Settle a turn that nobody waits for; one that has run is settled already."""
    if turn.status is CompletionStatus.RUNNING:
        turn.end(CompletionStatus.CANCELLED, CLIENT_LEFT)
        await asyncio.shield(settle_turn(turn))


async def finish(turn: Turn) -> None:
    """Run the turn to its end; raises a Problem when the model failed."""
    async with aclosing(answer(turn)) as events:
        async for _ in events:
            pass


async def settle_turn(turn: Turn) -> None:
    """Store the answer, what it used and what it cost; one transaction, one hop.

    While the database does not answer, it is tried again in the background: SettlementDelayed.
    Raises AnswerNotStored where the database refuses the answer.
    """
    try:
        await _settle(turn)
    except Exception as error:
        turn.stored = False
        if not is_unavailable(error):
            raise
        in_background(_settle_later(turn))
        raise SettlementDelayed(turn.session_id, turn.request_id) from error


async def _settle(turn: Turn) -> None:
    released = await store.settle_turn(turn, turn.usage(), turn.price())
    if released is not None:
        tell_soon(released.alerts)
    if turn.is_answer_refused:
        raise AnswerNotStored(turn.session_id, turn.request_id)


async def _settle_later(turn: Turn) -> None:
    for pause in SETTLE_AGAIN_AFTER:
        await asyncio.sleep(pause)
        try:
            await _settle(turn)
        except AnswerNotStored:
            return
        except Exception as error:
            if not is_unavailable(error):
                raise
        else:
            return
    logger.error("Turn %s could not be settled; settle_abandoned will.", turn.request_id)
