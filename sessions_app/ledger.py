"""The rows of a turn: the one module that writes them, in two short transactions."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from django.db import IntegrityError, connection
from django.utils import timezone

from accounts import limits
from accounts.callers import Caller, CallerKind
from accounts.limits import Caps, Released, Taken
from accounts.tenancy import tenant
from agents import pricing
from agents.ceiling import ceiling, charge
from agents.models import AgentInstance
from agents.pricing import Price
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import ChatMessage
from agents.runtime.providers.registry import SCRIPTED
from agents.runtime.run import RunRequest
from agents.versions import CurrentConfig, current_config
from salient.ids import uuid7
from salient.problems import Invalid, NotFound
from sessions_app.history import find_session
from sessions_app.idempotency import Key, KeyUsed
from sessions_app.models import LLMRequest, Message, Role, Session
from sessions_app.playground import draft_override
from sessions_app.problems import TurnInProgress
from sessions_app.schemas import ChatIn, UsageOut

if TYPE_CHECKING:
    from sessions_app.turns import Turn

# Once a minute is enough.
LAST_USED_STEP = timedelta(minutes=1)
# What a key in test mode talks to where the agent's model would cost something.
TEST_MODEL = f"{SCRIPTED}:echo"
_SPEAKERS: dict[str, Literal["user", "assistant"]] = {
    Role.HUMAN.value: "user",
    Role.ASSISTANT.value: "assistant",
}
# Of two first messages of one visitor, the second waits here and finds the first one's session.
_VISITORS_SESSION = """
    INSERT INTO sessions (id, account_id, account_slug, agent_instance_id, agent_instance_slug,
        session_key, is_anonymous)
    VALUES (%(id)s, %(account_id)s, %(account_slug)s, %(agent_instance_id)s,
        %(agent_instance_slug)s, %(session_key)s, true)
    ON CONFLICT (session_key) DO UPDATE SET session_key = excluded.session_key
        WHERE sessions.account_id = excluded.account_id
            AND sessions.agent_instance_id = excluded.agent_instance_id
    RETURNING id
"""
_ANSWER = """
    WITH touched AS (
        UPDATE sessions SET last_activity_at = %(now)s, updated_at = %(now)s
        WHERE account_id = %(account_id)s AND id = %(session_id)s
    )
    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
        config_version_id, role, content)
    VALUES (%(id)s, %(account_id)s, %(agent_instance_id)s, %(session_id)s, %(llm_request_id)s,
        %(config_version_id)s, %(role)s, %(content)s)
    ON CONFLICT (id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """What the model is asked, and what the turn must remember."""

    current: CurrentConfig
    session_id: UUID
    request_id: UUID
    run: RunRequest
    taken: Taken


class _SettledBefore(Exception):
    """Somebody else has settled the turn: everything of this one is taken back."""


# Both units lock in this order: the session, its request, the account's limits. The last is what
# all turns of an account meet at, so it comes right before the end.


def open_turn(
    caller: Caller,
    instance: AgentInstance,
    message: ChatIn,
    *,
    stream: bool = True,
    key: Key | None = None,
) -> Opened:
    """Find or make the session, store the message and a running request, take the limits.

    Raises a Problem, and then nothing of the message is kept; KeyUsed for a key sent before.
    """
    limits.refuse_at_once(caller)
    try:
        with tenant(caller.account_id):
            return _open(caller, instance, message, stream=stream, key=key)
    except IntegrityError as error:
        match _broken_rule(error):
            case "uq_llm_requests_running_in_session":
                # A key that came before has its answer, whatever runs in the session now.
                raise (TurnInProgress if key is None else KeyUsed) from error
            case "uq_llm_requests_idempotency":
                raise KeyUsed from error
        raise


def _open(
    caller: Caller, instance: AgentInstance, message: ChatIn, *, stream: bool, key: Key | None
) -> Opened:
    current = current_config(caller.account_slug, instance, draft=draft_override(caller, instance))
    caps = limits.caps_of(caller.account_id)
    _check_size(message, caps)
    session = find_session(caller, instance, message.session_id, lock=True)
    said: tuple[ChatMessage, ...] = (ChatMessage("user", message.message),)
    if session is not None:
        most = min(current.effective.config.history_limit, caps.history_messages)
        said = (*_history(session, instance, most), *said)
    run = _run(caller, current, caps, current.run_request(said, stream=stream))
    request = _request(caller, instance, current, run)
    request.session_id = session.pk if session else _new_session(caller, instance)
    if key is not None:
        request.idempotency_key, request.idempotency_hash = key.text, key.digest
    _store(request, message.message)
    taken = limits.take(caller, instance.pk, request.reserved_cost or Decimal(0))
    return Opened(current, request.session_id, request.pk, run, taken)


def _broken_rule(error: IntegrityError) -> str | None:
    name: str | None = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    return name


def _check_size(message: ChatIn, caps: Caps) -> None:
    if len(message.message.encode()) > caps.message_bytes:
        raise Invalid(f"message: the message is longer than {caps.message_bytes} bytes")


def _run(caller: Caller, current: CurrentConfig, caps: Caps, run: RunRequest) -> RunRequest:
    """Bound the answer; give a test key the script in the model's place."""
    run = replace(run, max_tokens=caps.output(current.effective.config.max_tokens))
    if not caller.is_test:
        return run
    wanted = run.models[0]
    return replace(run, models=(wanted if wanted.startswith(f"{SCRIPTED}:") else TEST_MODEL,))


def _new_session(caller: Caller, instance: AgentInstance) -> UUID:
    """Make the session; of two first messages of one visitor, both end up in the same one."""
    owner = {
        "account_id": caller.account_id,
        "account_slug": caller.account_slug,
        "agent_instance_id": instance.pk,
        "agent_instance_slug": instance.instance_slug,
    }
    if caller.session_key is None:
        staff = caller.user_id if caller.kind == CallerKind.STAFF else None
        anonymous = caller.end_user is None and staff is None
        whose = {"end_user": caller.end_user, "user_id": staff, "is_anonymous": anonymous}
        made = Session.objects.create(session_key=secrets.token_hex(32), **owner, **whose)
        return made.pk
    with connection.cursor() as cursor:
        mine: dict[str, Any] = {"id": uuid7(), "session_key": caller.session_key}
        cursor.execute(_VISITORS_SESSION, mine | owner)
        row = cursor.fetchone()
    if row is None:
        raise NotFound
    session_id: UUID = row[0]
    return session_id


def _history(session: Session, instance: AgentInstance, limit: int) -> tuple[ChatMessage, ...]:
    """Return the newest messages of this session and this instance, oldest first."""
    rows = (
        Message.objects.of(session, instance)
        .filter(role__in=_SPEAKERS)
        .newest_first()
        .values_list("role", "content")[:limit]
    )
    return tuple(ChatMessage(_SPEAKERS[role], content) for role, content in reversed(rows))


def _request(
    caller: Caller, instance: AgentInstance, current: CurrentConfig, run: RunRequest
) -> LLMRequest:
    provider, _, model = run.models[0].partition(":")
    return LLMRequest(
        account_id=caller.account_id,
        account_slug=caller.account_slug,
        agent_instance_id=instance.pk,
        agent_instance_slug=instance.instance_slug,
        agent_type=instance.agent_type,
        config_version_id=current.version_id,
        provider=provider,
        model=model,
        request_body=_request_body(run),
        caller=caller.subject,
        is_test=caller.is_test,
        reserved_cost=ceiling(run),
    )


def _store(request: LLMRequest, text: str) -> None:
    request.save(force_insert=True)
    Message.objects.create(
        account_id=request.account_id,
        agent_instance_id=request.agent_instance_id,
        session_id=request.session_id,
        llm_request_id=request.pk,
        config_version_id=request.config_version_id,
        role=Role.HUMAN,
        content=text,
    )


def _request_body(run: RunRequest) -> dict[str, Any]:
    """Say what was sent, without the texts: those are in the messages and the version."""
    return {
        "model": run.models[0],
        "temperature": run.temperature,
        "max_tokens": run.max_tokens,
        "tools": list(run.tools),
        "history_messages": len(run.messages) - 1,
    }


def settle_turn(turn: Turn, usage: UsageOut, price: Price) -> Released | None:
    """Store the answer and what it took, and give the limits back; None when that was done."""
    try:
        with tenant(turn.caller.account_id):
            return _settle(turn, usage, price, timezone.now())
    except _SettledBefore:
        return None


def _settle(turn: Turn, usage: UsageOut, price: Price, now: datetime) -> Released:
    counted = charge(turn.run.calls)
    _store_answer(turn, now)
    mine = LLMRequest.objects.filter(pk=turn.request_id)
    outcome = _outcome(turn, usage, price) | {"charged_cost": counted, "settled_at": now}
    if not mine.running().update(**outcome):
        raise _SettledBefore
    _note_use(turn.instance, now)
    released = limits.release(
        turn.caller.account_id, turn.instance.pk, reserved=turn.taken.reserved, cost=counted
    )
    if released.moment.astimezone(UTC).date() != now.date():
        # It counted in the day that began meanwhile: the row must say so too.
        mine.update(settled_at=released.moment)
    return released


def _note_use(instance: AgentInstance, now: datetime) -> None:
    """Say that the instance is in use; the row is one that all its turns would wait for."""
    if instance.last_used_at is None or now - instance.last_used_at >= LAST_USED_STEP:
        AgentInstance.objects.filter(pk=instance.pk).update(last_used_at=now)
        instance.last_used_at = now


def _outcome(turn: Turn, usage: UsageOut, price: Price) -> dict[str, Any]:
    provider, _, model = turn.model.partition(":")
    return {
        "provider": provider,
        "model": model,
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
        "response_body": {"calls": [_call(call) for call in turn.run.calls]},
    }


def _call(call: ModelCall) -> dict[str, Any]:
    price = pricing.price(call)
    cost = None if price.total_cost is None else str(price.total_cost)
    reported = None if call.reported_cost is None else str(call.reported_cost)
    return asdict(call) | {
        "reported_cost": reported,
        "total_cost": cost,
        "cost_source": price.source.value,
    }


def _store_answer(turn: Turn, now: datetime) -> None:
    """Store what was said, if anything was, and that something happened in the session."""
    if not turn.run.text:
        Session.objects.filter(pk=turn.session_id).update(last_activity_at=now, updated_at=now)
        return
    values: dict[str, Any] = {
        "now": now,
        "id": turn.answer_id,
        "account_id": turn.caller.account_id,
        "agent_instance_id": turn.instance.pk,
        "session_id": turn.session_id,
        "llm_request_id": turn.request_id,
        "config_version_id": turn.current.version_id,
        "role": Role.ASSISTANT.value,
        # PostgreSQL's text has no NUL; a model that writes one loses only that character.
        "content": turn.run.text.replace("\x00", ""),
    }
    with connection.cursor() as cursor:
        cursor.execute(_ANSWER, values)
