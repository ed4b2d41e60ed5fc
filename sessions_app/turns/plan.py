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
from agents.costs.own_prices import OwnPrices
from agents.models import AgentInstance, ConfigDraft
from agents.runtime.conversation import has_unanswered, without_refused
from agents.runtime.output import InvalidSchema, require_usable
from agents.runtime.providers.base import ChatMessage
from agents.runtime.providers.scripted import SCRIPTED
from agents.runtime.run import RunRequest
from agents.runtime.tools import LONGEST_RESULT
from salient.api.problems import Invalid
from salient.database import in_database, in_database_once
from salient.ids import uuid7
from sessions_app.conversations.history import refused_texts
from sessions_app.inputs import attachments, earlier, exchanges
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.turns import heartbeat, prompts
from sessions_app.turns.idempotency import Key
from sessions_app.turns.problems import (
    ClientToolsRefused,
    ContentRefused,
    DraftGone,
    InstructionsRefused,
)
from sessions_app.turns.store import Opened, OpenTurn

logger = logging.getLogger(__name__)
# A key in test mode talks to this where the agent's own model would cost something.
TEST_MODEL = f"{SCRIPTED}:echo"
PLAIN = TurnInput()


class TurnPlan(msgspec.Struct, frozen=True):
    """The model request of a turn and its limits; `run` has no messages yet.

    `asked` is what the caller wants, with what that needs: attachments, and the agent's own part
    in the calls of tools that it continues.
    """

    current: CurrentConfig
    limits: Limits
    run: RunRequest
    asked: TurnInput = PLAIN
    sections: list[dict[str, Any]] = []
    # The message with the answer, if there will be one.
    answer_id: UUID = msgspec.field(default_factory=uuid7)


async def plan_turn(
    caller: Caller, instance: AgentInstance, asked: TurnInput, *, stream: bool
) -> TurnPlan:
    """Find the configuration and the limits in force; raises a Problem for what they refuse."""
    plan = await plan_unstored(caller, instance, asked, stream=stream)
    return replace(plan, sections=await _stored_sections(plan))


async def plan_unstored(
    caller: Caller, instance: AgentInstance, asked: TurnInput, *, stream: bool
) -> TurnPlan:
    """Do what plan_turn does, but for the prompt's sections, whose texts a turn stores."""
    quotas.refuse_at_once(caller)
    current, limits = _known(caller, instance) or await _read(caller, instance)
    check_size(asked, limits)
    await check_offered(asked, current)
    asked = await _completed(caller, instance, asked, limits)
    return TurnPlan(current, limits, run_request(current, limits, asked, stream=stream), asked)


async def plan_failed(
    caller: Caller, asked: TurnInput, current: CurrentConfig, *, stream: bool
) -> TurnPlan:
    """Plan a turn that cannot run, for its record: what was said, and nothing that it came with."""
    limits = quotas.known_limits(caller)
    if limits is None:
        limits = await in_database(_limits_in_context, caller)
    check_size(asked, limits)
    said = TurnInput(
        message=asked.stored_text,
        session_id=asked.session_id,
        session_key=asked.session_key,
        store=asked.store,
        end_user=asked.end_user,
    )
    return TurnPlan(current, limits, run_request(current, limits, said, stream=stream), said)


def _limits_in_context(caller: Caller) -> Limits:
    with tenant_context(caller.account_id):
        return quotas.limits_of(caller)


async def _completed(
    caller: Caller, instance: AgentInstance, asked: TurnInput, limits: Limits
) -> TurnInput:
    """Add what only we know or fetch; most turns need none of it."""
    conversation = asked.conversation
    if conversation is not None and len(conversation) > limits.caps.history_messages:
        asked = replace(asked, conversation=_newest(conversation, limits.caps.history_messages))
    has_calls = asked.results or any(message.calls for message in asked.conversation or ())
    if has_calls and not asked.is_branch:
        asked = await exchanges.continued(caller, instance, asked)
    if asked.has_attachments:
        if attachments.needs_fetching(asked):
            await in_database(_count_fetching, caller, instance)
        asked = await attachments.loaded(asked)
    return asked


def _count_fetching(caller: Caller, instance: AgentInstance) -> None:
    """Count a call: what cannot be fetched opens no turn, and would be free. Raises RateLimited."""
    with tenant_context(caller.account_id):
        quotas.reserve(caller, instance.pk, turn=False)


def _newest(conversation: tuple[ChatMessage, ...], most: int) -> tuple[ChatMessage, ...]:
    """Return the newest messages, from one of the user's on: calls and results stay together.

    A long row of calls that belongs to one message of the user's is kept whole.
    """
    first = len(conversation) - most
    users = [at for at, message in enumerate(conversation) if message.role == "user"]
    starts = [at for at in users if at >= first] or users[-1:] or [first]
    return conversation[starts[0] :]


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
        draft = draft_override(caller, instance)
        try:
            current = current_config(caller.account_slug, instance, draft=draft)
        except AgentMisconfigured as problem:
            if problem.current is None:
                raise
            # The version stays stored: the record of the failed turn refers to it.
            misconfigured = problem
        else:
            return current, quotas.limits_of(caller)
    raise misconfigured


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
        raise AgentMisconfigured(f"The draft cannot be used: {error}") from error


def check_size(asked: TurnInput, limits: Limits) -> None:
    most = limits.caps.message_bytes
    if len(asked.message.encode()) > most:
        raise Invalid.field("message", f"the message is longer than {most} bytes")
    if len(asked.instructions.encode()) > most:
        raise Invalid.field("instructions", f"the instructions are longer than {most} bytes")
    for message in asked.conversation or ():
        if message.role == "user" and len(message.content.encode()) > most:
            raise Invalid.field("messages", f"a message is longer than {most} bytes")
    for result in asked.results:
        if len(result.content) > LONGEST_RESULT:
            raise Invalid.field(
                "messages", f"the result of a tool has more than {LONGEST_RESULT} characters"
            )


async def check_offered(asked: TurnInput, current: CurrentConfig) -> None:
    """Raise a Problem for what the agent's configuration does not let callers add."""
    config = current.effective.config
    if asked.instructions and not config.callers.instructions:
        raise InstructionsRefused
    if asked.client_tools and not config.callers.tools:
        raise ClientToolsRefused("This agent takes no tools from its callers.")
    for tool in asked.client_tools:
        if tool.name in config.tools:
            raise ClientToolsRefused(
                f"The agent has a tool “{tool.name}” of its own; give yours another name."
            )
    if asked.has_attachments and not config.callers.attachments:
        raise ContentRefused("This agent takes no images or files.")
    if asked.output_format is not None and asked.output_format.schema is not None:
        try:
            await require_usable(asked.output_format.schema)
        except InvalidSchema as error:
            raise Invalid.field("response_format", str(error)) from error


def run_request(
    current: CurrentConfig, limits: Limits, asked: TurnInput = PLAIN, *, stream: bool
) -> RunRequest:
    """Return the run without its messages; a key in test mode gets the scripted model."""
    most_tokens = limits.caps.output(current.effective.config.max_tokens)
    run = current.run_request((), stream=stream, max_tokens=most_tokens)
    if not asked.is_plain:
        run = _as_asked(run, current, asked)
    if limits.caller.is_test:
        wanted = run.models[0]
        run = replace(run, models=(wanted if wanted.startswith(f"{SCRIPTED}:") else TEST_MODEL,))
    return run


def _as_asked(run: RunRequest, current: CurrentConfig, asked: TurnInput) -> RunRequest:
    """Return the run with what the caller adds to it, within the bounds of the configuration."""
    callers, wanted = current.effective.config.callers, asked.sampling
    tokens = [most for most in (run.max_tokens, wanted.max_tokens) if most is not None]
    run = replace(
        run,
        instructions=asked.instructions,
        client_tools=asked.client_tools,
        tool_choice=asked.tool_choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        output_format=asked.output_format,
        max_tokens=min(tokens, default=None),
    )
    if not callers.sampling:
        return run
    temperature = run.temperature if wanted.temperature is None else wanted.temperature
    if wanted.temperature is not None and callers.max_temperature is not None:
        temperature = min(wanted.temperature, callers.max_temperature)
    return replace(
        run, temperature=temperature, top_p=wanted.top_p, stop=wanted.stop, seed=wanted.seed
    )


async def _stored_sections(plan: TurnPlan) -> list[dict[str, Any]]:
    """Return the prompt's sections; their texts are stored before the row that names them."""
    sections = prompts.sections_of(plan.run, plan.current, plan.asked)
    account_id = plan.limits.caller.account_id
    if not prompts.are_stored(account_id, sections):
        await in_database(_store_sections, account_id, sections)
    return list(sections)


def _store_sections(account_id: UUID, sections: prompts.Sections) -> None:
    with tenant_context(account_id):
        prompts.store_sections(account_id, sections)


def turn_row(plan: TurnPlan, instance: AgentInstance, own: OwnPrices, key: Key | None) -> OpenTurn:
    """Return the row of the planned turn."""
    caller, limits, run, asked = plan.limits.caller, plan.limits, plan.run, plan.asked
    is_staff = caller.kind == CallerKind.STAFF
    provider, _, model = run.models[0].partition(":")
    estimate = cost_estimate(run, own)
    return OpenTurn(
        account_id=caller.account_id,
        account_slug=caller.account_slug,
        agent_instance_id=instance.id,
        agent_instance_slug=instance.instance_slug,
        agent_type=instance.agent_type,
        config_version_id=plan.current.version_id,
        session_id=asked.session_id,
        # A visitor's conversation is found by its key, and one that is not stored is not found.
        session_key=_session_key(caller, asked),
        end_user=caller.end_user or asked.end_user,
        # Only the staff member who begins a session finds and reads it, unless it repeats another.
        staff_id=None if caller.says_again or not is_staff else caller.user_id,
        new_session_id=uuid7(),
        new_session_key=None if caller.is_visitor and asked.store else secrets.token_hex(32),
        request_id=uuid7(),
        message_id=uuid7(),
        **_kept_message(asked),
        provider=provider,
        model=model,
        request_body=_request_body(plan),
        caller=caller.subject,
        is_test=caller.is_test,
        server_process_id=heartbeat.process_id(),
        idempotency_key=None if key is None else key.text,
        idempotency_hash=None if key is None else key.digest,
        cost=estimate.of((*(asked.conversation or ()), *asked.spoken), asked.added_texts),
        cost_per_byte=estimate.per_byte,
        cost_per_message=estimate.per_message,
        rates=limits.rates,
        most_turns=limits.most_turns,
        most_messages=_most_messages(plan),
    )


def _session_key(caller: Caller, asked: TurnInput) -> str | None:
    """Return the key of the session that goes on or begins; None where its id says it all."""
    if asked.session_key is not None:
        return asked.session_key
    return caller.session_key if asked.store or asked.session_id else None


def _kept_message(asked: TurnInput) -> dict[str, Any]:
    """Return the fields of the message that is kept for the turn."""
    return {
        "message": asked.stored_text if asked.store else "",
        "message_role": asked.stored_role,
        "message_tools": exchanges.kept_results(asked) if asked.store else None,
        "is_stored": asked.store,
    }


def _most_messages(plan: TurnPlan) -> int:
    """Return how many stored messages are read; none beside a conversation of the caller's."""
    if plan.asked.conversation is not None:
        return 0
    most = plan.limits.caps.history_messages
    # Results are nothing without their calls, nor those without the user's message before them.
    return most if plan.asked.results else min(plan.current.effective.config.history_limit, most)


def _request_body(plan: TurnPlan) -> dict[str, Any]:
    """Describe the request without its texts, which the messages and the version have."""
    run, test_chat = plan.run, plan.limits.caller.test_chat
    body: dict[str, Any] = {
        "model": run.models[0],
        "temperature": run.temperature,
        "max_tokens": run.max_tokens,
        "tools": list(run.tools),
        "sections": plan.sections,
    }
    if plan.asked.metadata and plan.asked.store:
        body["metadata"] = dict(plan.asked.metadata)
    if plan.asked.kept and plan.asked.store:
        body["response"] = {**plan.asked.kept, "answer_id": str(plan.answer_id)}
    return body if test_chat is None else body | {"test_chat": str(test_chat)}


async def messages_of(plan: TurnPlan, row: OpenTurn, opened: Opened) -> tuple[ChatMessage, ...]:
    """Return what the model is sent: the history and what is new, oldest first."""
    caller, asked = plan.limits.caller, plan.asked
    if asked.conversation is not None:
        if asked.keeps_conversation and asked.store and opened.session_id == row.new_session_id:
            await earlier.keep(caller, row, asked.conversation)
        return (*asked.conversation, *asked.spoken)
    history = opened.history
    if asked.results and len(history) > (most := plan.current.effective.config.history_limit):
        history = _newest(history, most)
    messages = (*history, *asked.spoken)
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
