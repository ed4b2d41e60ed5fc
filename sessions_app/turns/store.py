"""The rows of a turn: the one module that writes them, by two functions of the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import msgspec
from django.db import DatabaseError, IntegrityError
from msgspec.structs import replace

from accounts.limits import quotas
from accounts.limits.alerts import Alert, send_in_background
from accounts.limits.quotas import Limits, RateLimit, Reservation
from accounts.limits.rates import Rate
from accounts.tenancy.context import call_as_tenant
from agents.costs.pricing import CostSource
from agents.runtime.providers.base import ChatMessage
from salient.api.lifespan import in_background
from salient.api.problems import NotFound
from salient.database import Answer, is_unavailable, storable_json
from salient.database.constraints import broken_constraint
from salient.observability import genai, metrics
from sessions_app.inputs import exchanges
from sessions_app.inputs.exchanges import StoredMessage
from sessions_app.models import CompletionStatus
from sessions_app.turns.idempotency import KeyUsed
from sessions_app.turns.problems import (
    AnswerNotStored,
    SessionClosed,
    SettlementDelayed,
    TurnInProgress,
)

if TYPE_CHECKING:
    from sessions_app.turns.turn import Turn

logger = logging.getLogger(__name__)
# How often a turn notes that its instance is in use: all its turns wait for that row.
LAST_USED_STEP = timedelta(minutes=1)
# Seconds between tries; after a longer outage the turns are left to settle_abandoned.
SETTLE_AGAIN_AFTER = (1, 2, 4, *[5] * 120)


class SQLState(StrEnum):
    """The errors that the two functions raise (sessions_app/sql); a refusal's message is JSON."""

    NOT_FOUND = "SL404"
    CLOSED = "SL423"
    REFUSED = "SL429"
    SETTLED_BEFORE = "SL409"


class OpenTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn as app_open_turns reads it, field by field; costs are US dollars.

    A turn with a `session_id` goes on with that session, and one with a `session_key` with the
    visitor's; otherwise the session `new_session_id` begins. The database adds what the history
    costs: `cost_per_byte` and `cost_per_message` of at most `most_messages`. `message_tools` are
    results of client tools. Without `is_stored` no text is kept, and a new session is a tombstone.
    """

    account_id: UUID
    account_slug: str
    agent_instance_id: UUID
    agent_instance_slug: str
    agent_type: str
    config_version_id: UUID
    session_id: UUID | None
    session_key: str | None
    end_user: str | None
    staff_id: UUID | None
    new_session_id: UUID
    new_session_key: str | None
    request_id: UUID
    message_id: UUID
    message: str
    provider: str
    model: str
    request_body: dict[str, Any]
    caller: str
    is_test: bool
    server_process_id: UUID | None
    idempotency_key: str | None
    idempotency_hash: str | None
    cost: Decimal
    cost_per_byte: Decimal
    cost_per_message: Decimal
    rates: list[RateLimit]
    most_turns: int
    most_messages: int
    message_role: str = "human"
    message_tools: dict[str, Any] | None = None
    is_stored: bool = True


class Opened(msgspec.Struct, frozen=True):
    """A stored turn: its session with the messages before this one, and what it has reserved."""

    session_id: UUID
    history: tuple[ChatMessage, ...]
    reservation: Reservation


class SettleTurn(msgspec.Struct, frozen=True, kw_only=True):
    """How one turn ended, as app_settle_turns reads it, field by field; costs are US dollars.

    `note_use` sets the instance's `last_used_at`, a row for which all turns of the instance wait.
    `answer_tools` are the rounds of a turn that ended with calls of client tools.
    """

    account_id: UUID
    agent_instance_id: UUID
    session_id: UUID
    request_id: UUID
    config_version_id: UUID
    answer_id: UUID
    answer: str | None
    reserved: Decimal
    charged_cost: Decimal
    provider: str
    model: str
    completion_status: CompletionStatus
    error_code: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    total_tokens: int
    tokens_estimated: bool
    prompt_cost: Decimal | None
    completion_cost: Decimal | None
    total_cost: Decimal | None
    cost_source: CostSource
    latency_ms: int
    time_to_first_token_ms: int | None
    response_body: dict[str, Any] | None
    note_use: bool
    answer_tools: dict[str, Any] | None = None


class Settled(msgspec.Struct, frozen=True):
    """A settled turn: the budget alerts that it set off, and whether its answer was refused."""

    alerts: list[Alert]
    is_answer_refused: bool


class _OpenedRow(msgspec.Struct):
    """What app_open_turns returns for one turn; the newest message comes first."""

    session_id: UUID
    history: list[StoredMessage]
    reserved: Decimal


_read_opened = msgspec.json.Decoder(_OpenedRow).decode
_read_rates = msgspec.json.Decoder(list[Rate]).decode


async def open(turn: OpenTurn, limits: Limits) -> Opened:  # noqa: A001 - called as store.open()
    """Find or make the session, store the message and a running request, reserve the limits.

    Raises NotFound, SessionClosed, TurnInProgress, KeyUsed and the refusals of `limits`; then
    nothing is stored.
    """
    try:
        answer = await call_as_tenant(
            turn.account_id,
            "app_open_turns",
            storable_json(turn),
            # Turns of one batch count under the same limits.
            batch_key=(turn.agent_instance_id, tuple([rate.subject for rate in turn.rates])),
            order=turn.idempotency_key or "",
        )
    except IntegrityError as error:
        match broken_constraint(error):
            case "uq_llm_requests_running_in_session":
                # A key that came before has its answer, whatever runs in the session now.
                raise (KeyUsed if turn.idempotency_key else TurnInProgress) from error
            case "uq_llm_requests_idempotency":
                raise KeyUsed from error
        raise
    except DatabaseError as error:
        match _sqlstate(error):
            case SQLState.NOT_FOUND:
                raise NotFound("session") from error
            case SQLState.CLOSED:
                raise SessionClosed from error
            case SQLState.REFUSED:
                refused = msgspec.json.decode(cast(Any, error.__cause__).diag.message_primary)
                raise quotas.refusal(limits.caller, refused, Decimal(refused["cost"])) from error
        raise
    row = _read_opened(answer.own)
    return Opened(
        row.session_id,
        exchanges.conversation_of(reversed(row.history)),
        quotas.reservation(_read_rates(answer.common), row.reserved, before=answer.place),
    )


async def settle(turn: SettleTurn) -> Settled | None:
    """Store the answer and what it used, and release the limits; None when that was done before.

    What the database refuses is left out, so that every turn ends with its full cost.
    """
    try:
        answer, stored = await _settle_what_is_accepted(turn)
    except DatabaseError as error:
        if _sqlstate(error) == SQLState.SETTLED_BEFORE:
            return None
        raise
    settlement = quotas.settlement(turn.account_id, msgspec.json.decode(answer.common))
    return Settled(
        # A batch has its alerts in common; its first turn sends them.
        settlement.alerts if answer.place == 0 else [],
        is_answer_refused=stored.answer != turn.answer,
    )


async def _settle_what_is_accepted(turn: SettleTurn) -> tuple[Answer, SettleTurn]:
    """Settle in full, else without the calls' details, else without the answer's text."""
    forms = _forms(turn)
    form = next(forms)
    while True:
        try:
            return await _settle(form), form
        except DatabaseError as error:
            is_final = is_unavailable(error) or _sqlstate(error) == SQLState.SETTLED_BEFORE
            less = None if is_final else next(forms, None)
            if less is None:
                raise
            form = less
            # Not the error's own text, which may quote the answer.
            logger.error(  # noqa: TRY400
                "Turn %s is settled with less: the database refuses its data (%s, %s)",
                turn.request_id,
                type(error).__name__,
                _sqlstate(error),
            )


def _forms(turn: SettleTurn) -> Iterator[SettleTurn]:
    yield turn
    yield (turn := replace(turn, response_body=None))
    if turn.answer is not None:
        # A turn without its answer has failed, whatever the model did.
        yield replace(
            turn,
            completion_status=CompletionStatus.ERROR,
            error_code=AnswerNotStored.code,
            answer=None,
            answer_tools=None,
        )


async def _settle(turn: SettleTurn) -> Answer:
    return await call_as_tenant(
        turn.account_id, "app_settle_turns", storable_json(turn), batch_key=turn.agent_instance_id
    )


def _sqlstate(error: DatabaseError) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


async def settle_or_retry(turn: Turn) -> None:
    """Store the answer, what it used and what it cost; one transaction, one round trip.

    While the database does not answer, it is tried again in the background: SettlementDelayed.
    Raises AnswerNotStored where the database refuses the answer.
    """
    try:
        _observe(turn)
    except Exception:
        # What is only seen must not keep a turn from being settled.
        logger.exception("Turn %s was not counted", turn.request_id)
    try:
        await _settle_turn(turn)
    except Exception as error:
        turn.stored = False
        if not is_unavailable(error):
            raise
        in_background(_settle_later(turn))
        raise SettlementDelayed(turn.session_id, turn.request_id) from error


def _observe(turn: Turn) -> None:
    """Count a turn that has ended, and end its span, where these are on."""
    calls, recorder = turn.run.calls, metrics.recorder
    if recorder is not None:
        first = turn.time_to_first_token_ms
        recorder.turn(turn.status.value, turn.latency_ms / 1000, first, calls)
        if calls and (cost := turn.price().total_cost):
            recorder.cost(calls[-1].provider, float(cost))
    if turn.span is not None:
        usage, cost = turn.usage(), turn.price().total_cost
        known = {
            genai.REQUEST_MODEL: turn.model,
            genai.INPUT_TOKENS: usage.input_tokens,
            genai.OUTPUT_TOKENS: usage.output_tokens,
            genai.TURN_STATUS: turn.status.value,
            genai.COST: None if cost is None else float(cost),
        }
        turn.span.end(known, error=turn.error_code)


async def _settle_turn(turn: Turn) -> None:
    now, last_used = datetime.now(UTC), turn.instance.last_used_at
    note_use = last_used is None or now - last_used >= LAST_USED_STEP
    settled = await settle(turn.as_settled(note_use=note_use))
    if settled is None:
        return
    if note_use:
        turn.instance.last_used_at = now
    send_in_background(settled.alerts)
    if settled.is_answer_refused:
        raise AnswerNotStored(turn.session_id, turn.request_id)


async def _settle_later(turn: Turn) -> None:
    for pause in SETTLE_AGAIN_AFTER:
        await asyncio.sleep(pause)
        try:
            await _settle_turn(turn)
        except AnswerNotStored:
            return
        except Exception as error:
            if not is_unavailable(error):
                raise
        else:
            return
    logger.error("Turn %s could not be settled; settle_abandoned will.", turn.request_id)
