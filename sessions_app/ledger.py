"""The rows of a turn: the one module that writes them, in two short transactions."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from django.utils import timezone

from accounts.auth import Caller
from accounts.tenancy import tenant
from agents import pricing
from agents.config import AgentConfig
from agents.models import AgentInstance
from agents.pricing import Price
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import ChatMessage
from agents.versions import CurrentConfig, current_config
from sessions_app.history import find_session
from sessions_app.models import LLMRequest, Message, Role, Session
from sessions_app.schemas import ChatIn, UsageOut

if TYPE_CHECKING:
    from sessions_app.turns import Turn

# Once a minute is enough.
LAST_USED_STEP = timedelta(minutes=1)
_SPEAKERS: dict[str, Literal["user", "assistant"]] = {
    Role.HUMAN.value: "user",
    Role.ASSISTANT.value: "assistant",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """What the model needs and what the turn must remember."""

    current: CurrentConfig
    session_id: UUID
    request_id: UUID
    messages: tuple[ChatMessage, ...]


def open_turn(caller: Caller, instance: AgentInstance, message: ChatIn) -> Opened:
    """Find or make the session, read its history, store the message and a running request."""
    with tenant(caller.account_id):
        current = current_config(caller.account_slug, instance)
        config = current.effective.config
        session = find_session(caller, instance, message.session_id, lock=True)
        earlier: tuple[ChatMessage, ...] = ()
        if session is None:
            session = _new_session(caller, instance)
        else:
            earlier = _history(session, instance, config.history_limit)
        request = _store(caller, instance, current, session, message.message, len(earlier))
    messages = (*earlier, ChatMessage("user", message.message))
    return Opened(current, session.pk, request.pk, messages)


def _new_session(caller: Caller, instance: AgentInstance) -> Session:
    """Make the session; of two first messages of one visitor, both end up in the same one."""
    owner = {
        "account_id": caller.account_id,
        "account_slug": caller.account_slug,
        "agent_instance_id": instance.pk,
        "agent_instance_slug": instance.instance_slug,
    }
    if caller.session_key is None:
        whose = {"end_user": caller.end_user, "is_anonymous": caller.end_user is None}
        return Session.objects.create(session_key=secrets.token_hex(32), **owner, **whose)
    mine = Session(session_key=caller.session_key, **owner)
    Session.objects.bulk_create([mine], ignore_conflicts=True)
    return Session.objects.get(session_key=caller.session_key)


def _history(session: Session, instance: AgentInstance, limit: int) -> tuple[ChatMessage, ...]:
    """Return the newest messages of this session and this instance, oldest first."""
    rows = (
        Message.objects.of(session, instance)
        .filter(role__in=_SPEAKERS)
        .newest_first()
        .values_list("role", "content")[:limit]
    )
    return tuple(ChatMessage(_SPEAKERS[role], content) for role, content in reversed(rows))


def _store(
    caller: Caller,
    instance: AgentInstance,
    current: CurrentConfig,
    session: Session,
    text: str,
    earlier: int,
) -> LLMRequest:
    config = current.effective.config
    provider, _, model = config.model.partition(":")
    request: LLMRequest = LLMRequest.objects.create(
        account_id=caller.account_id,
        account_slug=caller.account_slug,
        agent_instance_id=instance.pk,
        agent_instance_slug=instance.instance_slug,
        agent_type=instance.agent_type,
        session_id=session.pk,
        config_version_id=current.version_id,
        provider=provider,
        model=model,
        request_body=_request_body(config, earlier),
    )
    Message.objects.create(
        account_id=caller.account_id,
        agent_instance_id=instance.pk,
        session_id=session.pk,
        llm_request_id=request.pk,
        config_version_id=current.version_id,
        role=Role.HUMAN,
        content=text,
    )
    return request


def _request_body(config: AgentConfig, earlier: int) -> dict[str, Any]:
    """Say what was sent, without the texts: those are in the messages and the version."""
    return {
        "model": config.model,
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
        "tools": list(config.tools),
        "history_messages": earlier,
    }


def settle_turn(turn: Turn, usage: UsageOut, price: Price) -> bool:
    """Store the answer and what it took; False when the turn was settled before."""
    now = timezone.now()
    with tenant(turn.caller.account_id):
        running = LLMRequest.objects.running().filter(pk=turn.request_id)
        if not running.update(**_outcome(turn, usage, price), settled_at=now):
            return False
        if turn.run.text:
            _store_answer(turn)
        Session.objects.filter(pk=turn.session_id).update(last_activity_at=now, updated_at=now)
        _note_use(turn.instance, now)
    return True


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


def _store_answer(turn: Turn) -> None:
    Message.objects.create(
        id=turn.answer_id,
        account_id=turn.caller.account_id,
        agent_instance_id=turn.instance.pk,
        session_id=turn.session_id,
        llm_request_id=turn.request_id,
        config_version_id=turn.current.version_id,
        role=Role.ASSISTANT,
        # PostgreSQL's text has no NUL; a model that writes one loses only that character.
        content=turn.run.text.replace("\x00", ""),
    )
