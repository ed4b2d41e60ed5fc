"""The rows of a turn: the one module that writes them, by two functions of the database."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID

import msgspec
from django.db import DatabaseError, Error, IntegrityError
from django.utils import timezone
from msgspec.structs import replace

from accounts.auth.caller import Caller, CallerKind
from accounts.limits import quotas
from accounts.limits.quotas import BudgetExceeded, Caps, Reservation, Settlement
from accounts.limits.rates import Rate
from accounts.tenancy.context import call_as_tenant, tenant_context
from agents.config.versions.current import CurrentConfig, current_config, known_config
from agents.costs.estimate import billable_cost, cost_estimate
from agents.costs.own_prices import own_prices
from agents.costs.pricing import Price
from agents.models import AgentInstance
from agents.runtime.conversation import has_unanswered, without_refused
from agents.runtime.providers.base import ChatMessage
from agents.runtime.providers.registry import SCRIPTED
from agents.runtime.run import RunRequest
from salient.api.problems import Invalid, NotFound
from salient.database import Answer, in_database, in_database_once, is_unavailable, storable
from salient.ids import uuid7
from sessions_app.api.schemas import ChatIn, UsageOut
from sessions_app.conversations.history import refused_texts
from sessions_app.models import CompletionStatus, LLMRequest, Role
from sessions_app.turns import heartbeat, prompts, tool_calls
from sessions_app.turns.draft_override import draft_override
from sessions_app.turns.idempotency import Key, KeyUsed
from sessions_app.turns.problems import AnswerNotStored, TurnInProgress, with_unknown_price

if TYPE_CHECKING:
    from sessions_app.turns.turn import Turn

logger = logging.getLogger(__name__)
# Once a minute is enough.
LAST_USED_STEP = timedelta(minutes=1)
# What a key in test mode talks to where the agent's model would cost something.
TEST_MODEL = f"{SCRIPTED}:echo"
_SPEAKERS: dict[str, Literal["user", "assistant"]] = {
    Role.HUMAN.value: "user",
    Role.ASSISTANT.value: "assistant",
}
# Functions of the database, in sessions_app/sql. A refusal is an error with one of these SQLSTATEs;
# of SL429 the message is JSON.
_OPEN, _SETTLE = "app_open_turns", "app_settle_turns"
_NOT_FOUND, _REFUSED, _SETTLED_BEFORE = "SL404", "SL429", "SL409"


class Found(msgspec.Struct):
    """What the database answers to a turn that it has opened; the newest message first."""

    session_id: UUID
    history: list[tuple[str, str]]
    reserved: Decimal


_read_found = msgspec.json.Decoder(Found).decode
_read_rates = msgspec.json.Decoder(list[Rate]).decode


class Opened(msgspec.Struct, frozen=True):
    """What the model is asked, and what the turn must remember."""

    current: CurrentConfig
    session_id: UUID
    request_id: UUID
    run: RunRequest
    taken: Reservation


async def open_turn(
    caller: Caller,
    instance: AgentInstance,
    message: ChatIn,
    *,
    stream: bool = True,
    key: Key | None = None,
    request_id: UUID | None = None,
) -> Opened:
    """Find or make the session, store the message and a running request, take the limits.

    Raises a Problem, and then nothing of the message is kept; KeyUsed for a key sent before.
    """
    quotas.refuse_at_once(caller)
    current, caps = _known(caller, instance) or await _in_force(caller, instance)
    check_size(message, caps)
    most_tokens = caps.output(current.effective.config.max_tokens)
    run = current.run_request((), stream=stream, max_tokens=most_tokens)
    if caller.is_test:
        run = scripted(run)
    wanted = _wanted(caller, instance, current, run, message)
    if request_id is not None:
        wanted["request_id"] = request_id
    wanted["request_body"]["sections"] = await _sections(caller, current, run, message)
    wanted["most_messages"] = min(current.effective.config.history_limit, caps.history_messages)
    if key is not None:
        wanted |= {"idempotency_key": key.text, "idempotency_hash": key.digest}
    try:
        answer = await _opened(caller, wanted, key)
    except BudgetExceeded as problem:
        raise with_unknown_price(problem, caller, run) from problem
    found = _read_found(answer.own)
    said = (*_history(found.history), ChatMessage("user", message.message))
    if has_unanswered(said):
        said = without_refused(said, await _refused_texts(caller, found.session_id, len(said)))
    taken = quotas.reservation(_read_rates(answer.common), found.reserved, before=answer.place)
    return Opened(
        current, found.session_id, wanted["request_id"], replace(run, messages=said), taken
    )


def _known(caller: Caller, instance: AgentInstance) -> tuple[CurrentConfig, Caps] | None:
    """Return configuration and caps as far as this process knows them both."""
    if caller.draft_id is not None:
        return None
    current = known_config(caller.account_slug, instance)
    caps = quotas.known_caps(caller.account_id)
    return None if current is None or caps is None else (current, caps)


async def _in_force(caller: Caller, instance: AgentInstance) -> tuple[CurrentConfig, Caps]:
    """Ask the database for them."""
    if caller.draft_id is not None:
        # What was saved a moment ago is what is tried out.
        return await in_database(_looked_up, caller, instance)
    return await in_database_once(_looked_up, caller, instance, instance.updated_at)


def _looked_up(
    caller: Caller, instance: AgentInstance, _as_of: datetime | None = None
) -> tuple[CurrentConfig, Caps]:
    """Read them; `_as_of` keeps readings from before a change of the instance apart from later."""
    with tenant_context(caller.account_id):
        draft = draft_override(caller, instance)
        current = current_config(caller.account_slug, instance, draft=draft)
        return current, quotas.caps_of(caller.account_id)


async def _sections(
    caller: Caller, current: CurrentConfig, run: RunRequest, message: ChatIn
) -> list[dict[str, Any]]:
    """Say what the model is told; its texts are stored before the row that names them."""
    sections = prompts.sections_of(run, current, message.message)
    if not prompts.are_stored(caller.account_id, sections):
        await in_database(_store_sections, caller.account_id, sections)
    return list(sections)


def _store_sections(account_id: UUID, sections: prompts.Sections) -> None:
    with tenant_context(account_id):
        prompts.store_sections(account_id, sections)


async def _opened(caller: Caller, wanted: dict[str, Any], key: Key | None) -> Answer:
    # Turns that are opened together count under the same limits.
    subjects = tuple(rate["subject"] for rate in wanted["rates"])
    batch_key = wanted["agent_instance_id"], subjects
    try:
        return await call_as_tenant(
            caller.account_id,
            _OPEN,
            _encode(wanted),
            batch_key=batch_key,
            order="" if key is None else key.text,
        )
    except IntegrityError as error:
        match _broken_rule(error):
            case "uq_llm_requests_running_in_session":
                # A key that came before has its answer, whatever runs in the session now.
                raise (TurnInProgress if key is None else KeyUsed) from error
            case "uq_llm_requests_idempotency":
                raise KeyUsed from error
        raise
    except DatabaseError as error:
        condition = _condition(error)
        if condition == _NOT_FOUND:
            raise NotFound from error
        if condition == _REFUSED:
            refused = msgspec.json.decode(_message(error))
            raise quotas.refusal(caller, refused, Decimal(refused["cost"])) from error
        raise


def _encode(turn: dict[str, Any]) -> str:
    """Write what crosses to the database; this is where it is made fit for its columns."""
    return msgspec.json.encode(storable(turn)).decode()


def _condition(error: DatabaseError) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


def _message(error: DatabaseError) -> str:
    return str(cast(Any, error.__cause__).diag.message_primary)


def _broken_rule(error: IntegrityError) -> str | None:
    name: str | None = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    return name


def check_size(message: ChatIn, caps: Caps) -> None:
    if len(message.message.encode()) > caps.message_bytes:
        raise Invalid.field("message", f"the message is longer than {caps.message_bytes} bytes")


def scripted(run: RunRequest) -> RunRequest:
    """Give a test key the script in the model's place."""
    wanted = run.models[0]
    return replace(run, models=(wanted if wanted.startswith(f"{SCRIPTED}:") else TEST_MODEL,))


def _history(rows: list[tuple[str, str]]) -> Iterator[ChatMessage]:
    """Give the newest messages of this session and this instance, oldest first."""
    for role, content in reversed(rows):
        yield ChatMessage(_SPEAKERS[role], content)


async def _refused_texts(caller: Caller, session_id: UUID, most: int) -> set[str]:
    """Return what must not be sent again of the newest messages; asked for after failures only."""
    try:
        return await in_database(refused_texts, caller.account_id, session_id, most)
    except Error:
        # The turn is open already, and can be answered without knowing it.
        logger.warning("Which messages were refused could not be read", exc_info=True)
        return set()


def _wanted(
    caller: Caller,
    instance: AgentInstance,
    current: CurrentConfig,
    run: RunRequest,
    message: ChatIn,
) -> dict[str, Any]:
    """Say to the database which turn is to be opened."""
    provider, _, model = run.models[0].partition(":")
    most = cost_estimate(run, own_prices(caller.account_slug))
    asked = quotas.request_of(caller)
    return {
        "account_id": caller.account_id,
        "account_slug": caller.account_slug,
        "agent_instance_id": instance.pk,
        "agent_instance_slug": instance.instance_slug,
        "agent_type": instance.agent_type,
        "config_version_id": current.version_id,
        "session_id": message.session_id,
        "session_key": caller.session_key,
        "end_user": caller.end_user,
        "staff_id": caller.user_id if is_staffs_own(caller) else None,
        "new_session_id": uuid7(),
        "new_session_key": None if caller.is_visitor else secrets.token_hex(32),
        "request_id": uuid7(),
        "message_id": uuid7(),
        "message": message.message,
        "provider": provider,
        "model": model,
        "request_body": _request_body(caller, run),
        "caller": caller.subject,
        "is_test": caller.is_test,
        "server_process_id": heartbeat.process_id(),
        "cost": most.of([ChatMessage("user", message.message)]),
        "cost_per_byte": most.per_byte,
        "cost_per_message": most.per_message,
        "rates": asked.rates,
        "most_turns": asked.most_turns,
    }


def is_staffs_own(caller: Caller) -> bool:
    """Whether the session is the staff person's own, to be found and read by nobody but them."""
    return caller.kind == CallerKind.STAFF and not caller.says_again


def _request_body(caller: Caller, run: RunRequest) -> dict[str, Any]:
    """Say what is sent, without the texts: those are in the messages and the version."""
    body = {
        "model": run.models[0],
        "temperature": run.temperature,
        "max_tokens": run.max_tokens,
        "tools": list(run.tools),
    }
    return body if caller.test_chat is None else body | {"test_chat": str(caller.test_chat)}


async def settle_turn(turn: Turn, usage: UsageOut, price: Price) -> Settlement | None:
    """Store the answer and what it took, and give the limits back; None when that was done.

    What the database refuses is left out, so that every turn ends with its full cost; of an answer
    that is left out `turn.is_answer_refused` tells.
    """
    now = timezone.now()
    note_use = _is_news(turn.instance, now)
    outcome = _outcome(turn, usage, price) | {"note_use": note_use}
    try:
        answer = await _settled(turn, outcome)
    except DatabaseError as error:
        if _condition(error) == _SETTLED_BEFORE:
            return None
        raise
    if note_use:
        turn.instance.last_used_at = now
    released = quotas.settlement(turn.caller.account_id, msgspec.json.decode(answer.common))
    # What several set off together is told once.
    return released if answer.place == 0 else replace(released, alerts=[])


async def _settled(turn: Turn, outcome: dict[str, Any]) -> Answer:
    """Settle in full, else without the calls' details, else without the answer's text."""
    *forms, last = _forms(outcome)
    for form in forms:
        try:
            return await _settle(turn, form)
        except DatabaseError as error:
            if is_unavailable(error) or _condition(error) == _SETTLED_BEFORE:
                raise
            # Not the error's own text, which may quote the answer.
            logger.error(  # noqa: TRY400
                "Turn %s is settled with less: the database refuses its data (%s, %s)",
                turn.request_id,
                type(error).__name__,
                _condition(error),
            )
    answer = await _settle(turn, last)
    turn.is_answer_refused = last["answer"] != outcome["answer"]
    return answer


def _forms(outcome: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield outcome
    yield (outcome := outcome | {"response_body": None})
    if outcome["answer"] is not None:
        # A turn without its answer has failed, whatever the model did.
        failed = {"completion_status": CompletionStatus.ERROR, "error_code": AnswerNotStored.code}
        yield outcome | failed | {"answer": None}


async def _settle(turn: Turn, outcome: dict[str, Any]) -> Answer:
    return await call_as_tenant(
        turn.caller.account_id, _SETTLE, _encode(outcome), batch_key=turn.instance.pk
    )


def _is_news(instance: AgentInstance, now: datetime) -> bool:
    """Whether to say that the instance is in use: its row is one that all its turns wait for."""
    return instance.last_used_at is None or now - instance.last_used_at >= LAST_USED_STEP


def _outcome(turn: Turn, usage: UsageOut, price: Price) -> dict[str, Any]:
    provider, _, model = turn.model.partition(":")
    return {
        "account_id": turn.caller.account_id,
        "agent_instance_id": turn.instance.pk,
        "session_id": turn.session_id,
        "request_id": turn.request_id,
        "config_version_id": turn.current.version_id,
        "answer_id": turn.answer_id,
        "answer": storable(turn.run.text) or None,
        "reserved": turn.taken.reserved,
        "charged_cost": billable_cost(turn.run.calls, turn.own_prices),
        "provider": _cut_to_column(provider, "provider"),
        "model": _cut_to_column(model, "model"),
        "completion_status": turn.status,
        "error_code": turn.error_code,
        "requests": usage.requests,
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "total_tokens": usage.total_tokens,
        "tokens_estimated": usage.estimated,
        "prompt_cost": price.prompt_cost,
        "completion_cost": price.completion_cost,
        "total_cost": price.total_cost,
        "cost_source": price.source,
        "latency_ms": turn.latency_ms,
        "time_to_first_token_ms": turn.time_to_first_token_ms,
        "response_body": tool_calls.response_body(turn.run, turn.own_prices),
    }


def _cut_to_column(text: str, name: str) -> str:
    return text[: cast(Any, LLMRequest._meta.get_field(name)).max_length]
