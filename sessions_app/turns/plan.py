"""What a turn will be, before anything is stored: its configuration, limits, run and row."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import Error
from msgspec.structs import replace

from accounts.auth.caller import Caller, CallerKind
from accounts.limits import quotas
from accounts.limits.quotas import Limits
from accounts.tenancy.context import tenant_context
from agents.config import ConfigError, parse_layer
from agents.config.layers import PUBLISHED
from agents.config.versions.current import (
    AgentMisconfigured,
    CurrentConfig,
    current_config,
    known_config,
)
from agents.costs.estimate import cost_estimate
from agents.costs.own_prices import own_prices
from agents.models import AgentInstance, ConfigDraft
from agents.runtime.conversation import has_unanswered, without_refused
from agents.runtime.providers.base import ChatMessage
from agents.runtime.providers.scripted import SCRIPTED
from agents.runtime.run import RunRequest
from salient.api.problems import Invalid
from salient.database import in_database, in_database_once
from salient.ids import uuid7
from sessions_app.api.schemas import ChatIn
from sessions_app.conversations.history import refused_texts
from sessions_app.turns import heartbeat, prompts
from sessions_app.turns.idempotency import Key
from sessions_app.turns.problems import DraftGone
from sessions_app.turns.store import Opened, OpenTurn

logger = logging.getLogger(__name__)
# A key in test mode talks to this where the agent's own model would cost something.
TEST_MODEL = f"{SCRIPTED}:echo"


class TurnPlan(msgspec.Struct, frozen=True):
    """The model request of a turn and its limits; `run` has no messages yet."""

    current: CurrentConfig
    limits: Limits
    run: RunRequest
    sections: list[dict[str, Any]] = []


async def plan_turn(
    caller: Caller, instance: AgentInstance, message: ChatIn, *, stream: bool
) -> TurnPlan:
    """Find the configuration and the limits in force; raises a Problem for what they refuse."""
    quotas.refuse_at_once(caller)
    current, limits = _known(caller, instance) or await _read(caller, instance)
    check_size(message, limits)
    plan = TurnPlan(current, limits, run_request(current, limits, stream=stream))
    return replace(plan, sections=await _stored_sections(plan, message))


def _known(caller: Caller, instance: AgentInstance) -> tuple[CurrentConfig, Limits] | None:
    """Return configuration and limits when this process knows them both."""
    if caller.draft_id is not None:
        return None
    current, limits = known_config(caller.account_slug, instance), quotas.known_limits(caller)
    return None if current is None or limits is None else (current, limits)


async def _read(caller: Caller, instance: AgentInstance) -> tuple[CurrentConfig, Limits]:
    if caller.draft_id is not None:
        # A draft is tried out as it was saved a moment ago.
        return await in_database(_read_in_context, caller, instance)
    return await in_database_once(_read_in_context, caller, instance, instance.updated_at)


def _read_in_context(
    caller: Caller, instance: AgentInstance, _as_of: datetime | None = None
) -> tuple[CurrentConfig, Limits]:
    """Read them; `_as_of` separates calls from before and after a change of the instance."""
    with tenant_context(caller.account_id):
        current = current_config(
            caller.account_slug, instance, draft=draft_override(caller, instance)
        )
        return current, quotas.limits_of(caller)


def draft_override(caller: Caller, instance: AgentInstance) -> Mapping[str, Any] | None:
    """Return the content of the draft that the caller tries out; None without a draft.

    Call it inside the tenant context. Raises DraftGone, and AgentMisconfigured for a broken draft.
    """
    if caller.draft_id is None:
        return None
    draft = ConfigDraft.objects.filter(pk=caller.draft_id, agent_instance_id=instance.pk).first()
    if draft is None:
        raise DraftGone
    try:
        return parse_layer(draft.text, PUBLISHED).content
    except ConfigError as error:
        raise AgentMisconfigured(f"The draft can not be used: {error}") from error


def check_size(message: ChatIn, limits: Limits) -> None:
    most = limits.caps.message_bytes
    if len(message.message.encode()) > most:
        raise Invalid.field("message", f"the message is longer than {most} bytes")


def run_request(current: CurrentConfig, limits: Limits, *, stream: bool) -> RunRequest:
    """Return the run without its messages; a key in test mode gets the scripted model."""
    most_tokens = limits.caps.output(current.effective.config.max_tokens)
    run = current.run_request((), stream=stream, max_tokens=most_tokens)
    if limits.caller.is_test:
        wanted = run.models[0]
        run = replace(run, models=(wanted if wanted.startswith(f"{SCRIPTED}:") else TEST_MODEL,))
    return run


async def _stored_sections(plan: TurnPlan, message: ChatIn) -> list[dict[str, Any]]:
    """Return the prompt's sections; their texts are stored before the row that names them."""
    sections = prompts.sections_of(plan.run, plan.current, message.message)
    account_id = plan.limits.caller.account_id
    if not prompts.are_stored(account_id, sections):
        await in_database(_store_sections, account_id, sections)
    return list(sections)


def _store_sections(account_id: UUID, sections: prompts.Sections) -> None:
    with tenant_context(account_id):
        prompts.store_sections(account_id, sections)


def turn_row(plan: TurnPlan, instance: AgentInstance, message: ChatIn, key: Key | None) -> OpenTurn:
    """Return the row of the planned turn."""
    caller, limits, run = plan.limits.caller, plan.limits, plan.run
    is_staff = caller.kind == CallerKind.STAFF
    provider, _, model = run.models[0].partition(":")
    estimate = cost_estimate(run, own_prices(caller.account_slug))
    return OpenTurn(
        account_id=caller.account_id,
        account_slug=caller.account_slug,
        agent_instance_id=instance.pk,
        agent_instance_slug=instance.instance_slug,
        agent_type=instance.agent_type,
        config_version_id=plan.current.version_id,
        session_id=message.session_id,
        session_key=caller.session_key,
        end_user=caller.end_user,
        # Only the staff member who begins a session finds and reads it, unless it repeats another.
        staff_id=None if caller.says_again or not is_staff else caller.user_id,
        new_session_id=uuid7(),
        new_session_key=None if caller.is_visitor else secrets.token_hex(32),
        request_id=uuid7(),
        message_id=uuid7(),
        message=message.message,
        provider=provider,
        model=model,
        request_body=_request_body(plan),
        caller=caller.subject,
        is_test=caller.is_test,
        server_process_id=heartbeat.process_id(),
        idempotency_key=None if key is None else key.text,
        idempotency_hash=None if key is None else key.digest,
        cost=estimate.of([ChatMessage("user", message.message)]),
        cost_per_byte=estimate.per_byte,
        cost_per_message=estimate.per_message,
        rates=limits.rates,
        most_turns=limits.most_turns,
        most_messages=min(
            plan.current.effective.config.history_limit, limits.caps.history_messages
        ),
    )


def _request_body(plan: TurnPlan) -> dict[str, Any]:
    """Describe the request without its texts, which the messages and the version have."""
    run, test_chat = plan.run, plan.limits.caller.test_chat
    body = {
        "model": run.models[0],
        "temperature": run.temperature,
        "max_tokens": run.max_tokens,
        "tools": list(run.tools),
        "sections": plan.sections,
    }
    return body if test_chat is None else body | {"test_chat": str(test_chat)}


async def messages_of(opened: Opened, caller: Caller, message: ChatIn) -> tuple[ChatMessage, ...]:
    """Return what the model is sent: the session's history and the new message, oldest first."""
    messages = (*opened.history, ChatMessage("user", message.message))
    if not has_unanswered(messages):
        return messages
    try:
        refused = await in_database(
            refused_texts, caller.account_id, opened.session_id, len(messages)
        )
    except Error:
        # The turn is open already, and can be answered without knowing it.
        logger.warning("Which messages were refused could not be read", exc_info=True)
        refused = set()
    return without_refused(messages, refused)
