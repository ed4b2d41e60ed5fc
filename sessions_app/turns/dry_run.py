"""Says what a turn would be, and what it may cost at most, without a call and without a trace."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction
from msgspec.structs import replace

from accounts.auth.caller import Caller
from accounts.limits import quotas
from accounts.limits.quotas import BudgetExceeded, Reservation
from accounts.tenancy.context import tenant_context
from agents.config.shown import Shown, shown_by
from agents.config.versions.current import AgentMisconfigured
from agents.costs import pricing
from agents.costs.own_prices import OwnPrices, prices_for
from agents.costs.pricing import SMALLEST, CostSource
from agents.models import AgentInstance
from agents.runtime.events import ModelCall
from agents.runtime.run import RunRequest
from salient.api.problems import Problem
from salient.database import in_database
from salient.database.storable import MOST_DECIMAL
from sessions_app.conversations.history import find_session
from sessions_app.inputs.exchanges import SPOKEN, conversation_of, stored_messages
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import LLMRequest, Message, Session
from sessions_app.turns import prompts
from sessions_app.turns.plan import TurnPlan, messages_of, plan_unstored, turn_row
from sessions_app.turns.problems import (
    SessionClosed,
    TurnInProgress,
    misconfigured_for,
    over_budget_for,
)
from sessions_app.turns.store import Opened, OpenTurn


class DryRun(msgspec.Struct, frozen=True):
    """A turn that was not begun. `cost` is what it would reserve: the most US dollars.

    `refusal` is what the call would be answered now by a limit; `sections` are those of its first
    prompt. `session_id` is None where a session would begin.
    """

    plan: TurnPlan
    session_id: UUID | None
    history_messages: int
    sections: list[dict[str, Any]]
    cost: Decimal
    cost_source: CostSource
    refusal: Problem | None
    # Of the dry run itself, which counts as a call.
    headers: dict[str, str]

    @property
    def shown(self) -> Shown:
        """What the caller is shown of it, as of the turn itself."""
        return shown_by(self.plan.current.effective.config, self.plan.limits.caller)

    @property
    def max_output_tokens(self) -> int:
        """How many tokens a call of the model may write."""
        return self.plan.run.max_tokens or settings.DEFAULT_OUTPUT_TOKENS


class _Foreseen(msgspec.Struct, frozen=True):
    """What only the database knows: the conversation, its cost, and what is left of the limits."""

    session_id: UUID | None
    opened: Opened
    refusal: Problem | None


async def dry_run(caller: Caller, instance: AgentInstance, asked: TurnInput) -> DryRun:
    """Check, count and price a turn by the rules of a real one; nothing of it is stored.

    Raises what a real call would be refused with, but for the refusals of limits: those are the
    `refusal`. RateLimited where the dry run itself is a call too many.
    """
    try:
        plan = await plan_unstored(caller, instance, asked, stream=False)
    except AgentMisconfigured as problem:
        raise misconfigured_for(caller, problem) from problem
    prices = prices_for(instance, caller.account_slug)
    row = turn_row(plan, instance, prices, None)
    foreseen = await in_database(_foresee, plan, row, instance)
    messages = await messages_of(plan, row, foreseen.opened)
    return DryRun(
        plan=plan,
        session_id=foreseen.session_id,
        history_messages=len(messages) - len(asked.spoken),
        sections=list(prompts.sections_of(replace(plan.run, messages=messages), plan.current)),
        cost=foreseen.opened.reservation.reserved,
        cost_source=_cost_source(plan.run, prices),
        refusal=foreseen.refusal,
        headers=foreseen.opened.reservation.headers,
    )


def limit_refusal(caller: Caller, instance_id: UUID, cost: Decimal) -> Problem | None:
    """Return what a limit would refuse the call with now; nothing is reserved.

    Call it inside the tenant context.
    """
    try:
        with transaction.atomic():
            quotas.reserve(caller, instance_id, cost)
            transaction.set_rollback(True)
    except Problem as problem:
        return problem
    return None


def _foresee(plan: TurnPlan, row: OpenTurn, instance: AgentInstance) -> _Foreseen:
    caller = plan.limits.caller
    # A transaction of its own: it locks the account's limits, and real turns lock a session first.
    with tenant_context(caller.account_id):
        counted = quotas.reserve(caller, instance.pk, turn=False)
    with tenant_context(caller.account_id):
        session = find_session(caller, instance, plan.asked.session_id)
        stored = [] if session is None else _newest(session, instance, row.most_messages)
        cost = _reservation(row, stored)
        refusal = limit_refusal(caller, instance.pk, cost)
        if isinstance(refusal, BudgetExceeded):
            refusal = over_budget_for(caller, refusal, plan.current, plan.run, instance)
    session_id = None if session is None else session.pk
    return _Foreseen(
        session_id,
        Opened(
            session_id or row.new_session_id,
            conversation_of(stored_messages(stored)),
            Reservation(cost, counted.rates, counted.headers),
        ),
        refusal,
    )


def _newest(session: Session, instance: AgentInstance, most: int) -> list[Message]:
    """Return the messages that a turn would read, the newest first.

    Raises SessionClosed and TurnInProgress.
    """
    if session.closed_at is not None:
        raise SessionClosed
    if LLMRequest.objects.running().filter(session_id=session.pk).exists():
        raise TurnInProgress
    spoken = Message.objects.of(session, instance).filter(role__in=SPOKEN)
    return list(spoken.newest_first()[:most])


def _reservation(row: OpenTurn, stored: Iterable[Message]) -> Decimal:
    """Return what app_open_turns would reserve: the request itself, and what its history adds."""
    cost = row.cost
    for message in stored:
        cost += row.cost_per_byte * _bytes(message) + row.cost_per_message
    return min(cost, MOST_DECIMAL).quantize(SMALLEST)


def _bytes(message: Message) -> int:
    tools = (message.meta or {}).get("tools")
    # As PostgreSQL writes JSON.
    kept = "" if tools is None else json.dumps(tools, ensure_ascii=False)
    return len(message.content.encode()) + len(kept.encode())


def _cost_source(run: RunRequest, prices: OwnPrices) -> CostSource:
    """Return where the prices of the run's models come from; unknown where one has none."""
    names = (model.partition(":") for model in run.models)
    calls = [ModelCall(provider, model, 1, 1) for provider, _, model in names]
    return pricing.total(calls, prices).source
