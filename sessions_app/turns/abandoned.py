"""Settles, as errors, the turns that a killed process left running.

They are found by their process, or, where a turn has none, by their age.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.limits import quotas
from accounts.limits.alerts import send
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.locks import TURNS, try_shared_lock
from agents.costs import pricing
from agents.costs.estimate import billable_cost
from agents.costs.own_prices import prices_for
from agents.costs.pricing import CostSource
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import estimate_tokens
from salient.database import in_database
from salient.observability.metrics import count_abandoned
from sessions_app.models import CompletionStatus, LLMRequest, Message, Role, Session
from sessions_app.turns.server_processes import BEAT_SECONDS, dead_among, forget_dead
from sessions_app.turns.store import OpenTurn

ERROR_CODE = "abandoned"
# Seconds beyond a turn's own time limit, for opening, settling and a slow reader.
GRACE_SECONDS = 120
# The longest time limit of a configuration, for a request whose version is not known.
LONGEST_TURN_SECONDS = 600
BATCH = 100
# How long a command waits for the heartbeats of processes that look dead: after a pause of the
# database all of them do.
WAIT_SECONDS = 2 * BEAT_SECONDS
# Seconds between searches for a turn whose connection broke: its statement ends in its timeout.
UNDO_AFTER = (0, 1, 2, 4, 8)
# Seconds for which a search waits for a database that does not answer.
UNDO_WITHIN = 600


@dataclass(frozen=True, slots=True)
class Abandoned:
    """One turn that its process did not settle."""

    id: UUID
    account: str
    instance: str
    model: str
    created_at: datetime
    input_tokens: int


def settle_abandoned(
    *, older_than: float | None = None, account: str | None = None, write: bool = True
) -> list[Abandoned]:
    """End every turn whose process is dead, or that is older than its limit or than `older_than` s.

    A process that still works on one of them loses nothing: a turn is settled once. `account` is a
    slug: only that account's turns.
    """
    dead = _surely_dead()
    settled = _settle_where(
        lambda each, now: (
            account in {None, each.account_slug}
            and (each.server_process_id in dead or _is_late(each, now, older_than))
        ),
        write=write,
    )
    if write:
        with platform_context():
            forget_dead()
    return settled


def settle_of_dead_processes(
    *, may_trust_age: bool, except_id: UUID | None = None
) -> list[Abandoned]:
    """End the turns of processes that are known to be dead; one query when there are none."""
    dead = _dead_now(may_trust_age=may_trust_age, except_id=except_id)
    return _settle_where(lambda each, _now: each.server_process_id in dead) if dead else []


def settle_left(turn: OpenTurn, *, may_trust_age: bool) -> bool:
    """End what a dead process left in the turn's session or under its key; False if nothing."""
    which = Q(session_id=turn.session_id) if turn.session_id else Q(pk=None)
    if turn.session_key is not None:
        which |= Q(session__session_key=turn.session_key, agent_instance_id=turn.agent_instance_id)
    if turn.idempotency_key is not None:
        which |= Q(caller=turn.caller, idempotency_key=turn.idempotency_key)
    with tenant_context(turn.account_id):
        running = LLMRequest.objects.running().filter(which)
        found = dict(running.values_list("pk", "server_process_id"))
    holders = {process for process in found.values() if process is not None}
    if not holders:
        return False
    with platform_context():
        dead = dead_among(holders, may_trust_age=may_trust_age)
    left = [pk for pk, process in found.items() if process in dead]
    for pk in left:
        _settle(turn.account_id, pk)
    return bool(left)


def _surely_dead() -> set[UUID]:
    """Look twice: this process does not know since when the database has been answering."""
    first = _dead_now(may_trust_age=True)
    if not first - _dead_now(may_trust_age=False):
        return first
    time.sleep(WAIT_SECONDS)
    return first & _dead_now(may_trust_age=True)


def _dead_now(*, may_trust_age: bool, except_id: UUID | None = None) -> set[UUID]:
    """Return the dead processes that turns are running under."""
    with platform_context():
        running = LLMRequest.objects.running().order_by()
        found = set(running.values_list("server_process_id", flat=True).distinct())
        holders = {process for process in found if process is not None and process != except_id}
        return dead_among(holders, may_trust_age=may_trust_age) if holders else set()


def _settle_where(
    chosen: Callable[[LLMRequest, datetime], bool], *, write: bool = True
) -> list[Abandoned]:
    """End the chosen ones of all running turns, oldest first."""
    now, settled = timezone.now(), list[Abandoned]()
    after: tuple[datetime, UUID] | None = None
    while True:
        with platform_context():
            requests = _running(after)
            found = [(each.account_id, _found(each)) for each in requests if chosen(each, now)]
        settled += [each for owner, each in found if not write or _settle(owner, each.id)]
        if len(requests) < BATCH:
            return settled
        after = (requests[-1].created_at, requests[-1].pk)


def _running(after: tuple[datetime, UUID] | None) -> list[LLMRequest]:
    """Return the next batch of running turns, oldest first."""
    rows = LLMRequest.objects.running().select_related("config_version")
    if after is not None:
        moment, key = after
        rows = rows.filter(Q(created_at__gt=moment) | Q(created_at=moment, pk__gt=key))
    return list(rows.order_by("created_at", "pk")[:BATCH])


def _is_late(request: LLMRequest, now: datetime, older_than: float | None) -> bool:
    """Whether the turn is older than `older_than` seconds, or than it can become."""
    if older_than is None:
        version = request.config_version
        timeouts = version.content.get("timeouts", {}) if version else {}
        older_than = cast(float, timeouts.get("total", LONGEST_TURN_SECONDS)) + GRACE_SECONDS
    return (now - request.created_at) / timedelta(seconds=1) > older_than


def _found(request: LLMRequest) -> Abandoned:
    return Abandoned(
        id=request.pk,
        account=request.account_slug,
        instance=request.agent_instance_slug,
        model=f"{request.provider}:{request.model}",
        created_at=request.created_at,
        input_tokens=sum(estimate_tokens(text) for text in _sent(request)),
    )


async def undo(account_id: UUID, request_id: UUID) -> None:
    """Settle a turn that may be stored although its caller got an error.

    Its transaction may end after the connection did, so it is looked for more than once.
    """
    for pause in UNDO_AFTER:
        await asyncio.sleep(pause)
        if await _settle_unstarted(account_id, request_id):
            return


async def _settle_unstarted(account_id: UUID, request_id: UUID) -> bool:
    """Settle the turn, if it is there, as soon as the database answers."""
    deadline = time.monotonic() + UNDO_WITHIN
    while time.monotonic() <= deadline:
        try:
            return await in_database(settle_unstarted, account_id, request_id)
        except (OperationalError, InterfaceError):
            await asyncio.sleep(2)
    return False


def settle_unstarted(account_id: UUID, request_id: UUID) -> bool:
    """End a turn that was stored although its caller got an error: no model was called.

    It costs nothing, and its idempotency key is free for the caller's next try.
    """
    return _settle(
        account_id,
        request_id,
        lambda _found, _request: {
            "requests": 0,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "total_tokens": 0,
            "prompt_cost": Decimal(0),
            "completion_cost": Decimal(0),
            "total_cost": Decimal(0),
            "cost_source": CostSource.FREE,
            "idempotency_key": None,
        },
    )


def _settle(
    account_id: UUID,
    request_id: UUID,
    outcome_of: Callable[[Abandoned, LLMRequest], dict[str, Any]] | None = None,
) -> bool:
    """End one turn and release its limits; False where another process is just settling it.

    It has a transaction of its own, so that no transaction locks rows of two accounts.
    """
    with platform_context():
        # An id is unique within its account only.
        own = LLMRequest.objects.filter(account_id=account_id, pk=request_id)
        request = _locked(account_id, own.running())
        if request is None:
            return False
        found = _found(request)
        outcome = (outcome_of or _outcome)(found, request)
        counted = _counted(request, found, outcome)
        own.update(
            **outcome,
            completion_status=CompletionStatus.ERROR,
            error_code=ERROR_CODE,
            charged_cost=counted,
            settled_at=timezone.now(),
        )
        settlement = quotas.release(
            request.account_id,
            request.agent_instance_id,
            reserved=request.reserved_cost,
            cost=counted,
        )
        # It counts in the day in which its budgets were changed, as every turn does.
        own.update(settled_at=settlement.moment)
        _count_and_publish(request)
    send(settlement.alerts)
    count_abandoned()
    return True


def _locked(account_id: UUID, running: QuerySet[LLMRequest]) -> LLMRequest | None:
    """Lock the turn and its session; None where another process has one of them, or renames."""
    agent_id = running.values_list("agent_instance_id", flat=True).first()
    if agent_id is None or not try_shared_lock(TURNS, agent_id):
        return None
    # The session first, as every turn locks it: the next turn may be waiting for it.
    sessions = Session.objects.filter(account_id=account_id, pk__in=running.values("session_id"))
    if sessions.select_for_update(skip_locked=True, no_key=True).first() is None:
        return None
    return running.select_for_update(skip_locked=True, no_key=True).first()


def _count_and_publish(request: LLMRequest) -> None:
    """Add the turn to the figures of its day, and write it into the outbox of webhooks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT app_count_turn(%(account)s, %(id)s), "
            "app_publish_turns(%(account)s, ARRAY[%(id)s]::uuid[])",
            {"account": request.account_id, "id": request.pk},
        )


def _outcome(found: Abandoned, request: LLMRequest) -> dict[str, Any]:
    """The input was probably read; the output is not known, and so neither is the cost."""
    price = pricing.price(
        _call(request, found.input_tokens), prices_for(request.agent_instance, request.account_slug)
    )
    return {
        "requests": 1,
        "prompt_tokens": found.input_tokens,
        "completion_tokens": None,
        "total_tokens": found.input_tokens,
        "tokens_estimated": True,
        "prompt_cost": price.prompt_cost,
        "total_cost": price.total_cost if price.source == CostSource.FREE else None,
        "cost_source": price.source if price.source == CostSource.FREE else CostSource.UNKNOWN,
    }


def _counted(request: LLMRequest, found: Abandoned, outcome: dict[str, Any]) -> Decimal:
    """Return what counts against budgets: never less than what is known to have been spent.

    The output is not known, so the whole reservation counts.
    """
    if outcome["cost_source"] == CostSource.FREE:
        return Decimal(0)
    own = prices_for(request.agent_instance, request.account_slug)
    known = [request.reserved_cost, request.charged_cost, request.total_cost]
    known.append(billable_cost([_call(request, found.input_tokens)], own))
    return max(cost for cost in known if cost is not None)


def _call(request: LLMRequest, input_tokens: int) -> ModelCall:
    return ModelCall(
        request.provider, request.model, input_tokens, 0, estimated=True, error=ERROR_CODE
    )


def _sent(request: LLMRequest) -> Iterator[str]:
    """Read what the model was sent: the prompt, the newest messages, the question."""
    if request.config_version:
        yield request.config_version.content.get("system_prompt", "")
    body = request.request_body if isinstance(request.request_body, dict) else {}
    spoken = Message.objects.filter(
        session_id=request.session_id,
        agent_instance_id=request.agent_instance_id,
        role__in=[Role.HUMAN, Role.ASSISTANT],
        created_at__lte=request.created_at,
    )
    yield from (
        spoken.newest_first().values_list("content", flat=True)[
            : body.get("history_messages", 0) + 1
        ]
    )
