"""Settles the turns that a killed process left running: found by their age, ended as errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.db import connection, models
from django.utils import timezone

from accounts import limits
from accounts.alerts import tell
from accounts.tenancy import platform
from agents import pricing
from agents.ceiling import charge
from agents.config.prices import own_prices
from agents.pricing import CostSource, Price
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import estimate_tokens
from sessions_app.models import CompletionStatus, LLMRequest, Message, Role, Session

ERROR_CODE = "abandoned"
COUNT = "SELECT app_count_turn(%s, %s)"
# What a turn may take beyond its own time limit: opening, settling, a slow reader.
GRACE_SECONDS = 120
# The longest limit that a configuration may set, for a request whose version is not known.
LONGEST_TURN_SECONDS = 600
BATCH = 100


@dataclass(frozen=True, slots=True)
class Abandoned:
    """One turn that nobody settled."""

    id: UUID
    account: str
    instance: str
    model: str
    created_at: datetime
    input_tokens: int


def settle_abandoned(*, older_than: float | None = None, write: bool = True) -> list[Abandoned]:
    """End every turn that is older than it can be, or than the seconds given.

    A process that still works on one of them loses nothing: whoever settles first has settled it.
    """
    now, settled = timezone.now(), list[Abandoned]()
    after: tuple[datetime, UUID] | None = None
    while True:
        with platform():
            requests = _running(now, after)
            late = [each for each in requests if _age(each, now) > _limit(each, older_than)]
            found = [_found(each) for each in late]
        settled += [each for each in found if not write or _settle(each.id)]
        if len(requests) < BATCH:
            return settled
        after = (requests[-1].created_at, requests[-1].pk)


def _running(now: datetime, after: tuple[datetime, UUID] | None) -> list[LLMRequest]:
    """Return the next ones, oldest first."""
    rows = LLMRequest.objects.running().filter(created_at__lt=now).select_related("config_version")
    if after is not None:
        moment, key = after
        rows = rows.filter(
            models.Q(created_at__gt=moment) | models.Q(created_at=moment, pk__gt=key)
        )
    return list(rows.order_by("created_at", "pk")[:BATCH])


def _age(request: LLMRequest, now: datetime) -> float:
    return (now - request.created_at) / timedelta(seconds=1)


def _limit(request: LLMRequest, older_than: float | None) -> float:
    if older_than is not None:
        return older_than
    version = request.config_version
    timeouts = version.content.get("timeouts", {}) if version else {}
    return cast(float, timeouts.get("total", LONGEST_TURN_SECONDS)) + GRACE_SECONDS


def _found(request: LLMRequest) -> Abandoned:
    return Abandoned(
        id=request.pk,
        account=request.account_slug,
        instance=request.agent_instance_slug,
        model=f"{request.provider}:{request.model}",
        created_at=request.created_at,
        input_tokens=sum(estimate_tokens(text) for text in _sent(request)),
    )


def _settle(request_id: UUID) -> bool:
    """End one turn and give its limits back, in a transaction of its own: no two accounts' locks.

    One that is just being settled by somebody else is passed over.
    """
    with platform():
        running = LLMRequest.objects.running().filter(pk=request_id)
        # The session first, as every turn locks it: the next one may be waiting at its door.
        free = Session.objects.select_for_update(skip_locked=True, no_key=True)
        if free.filter(pk__in=running.values("session_id")).first() is None:
            return False
        request = running.select_for_update(skip_locked=True, no_key=True).first()
        if request is None:
            return False
        found = _found(request)
        outcome = _outcome(found, request)
        counted = _counted(request, found, outcome)
        LLMRequest.objects.filter(pk=request.pk).update(
            **outcome,
            completion_status=CompletionStatus.ERROR,
            error_code=ERROR_CODE,
            charged_cost=counted,
            settled_at=timezone.now(),
        )
        released = limits.release(
            request.account_id,
            request.agent_instance_id,
            reserved=request.reserved_cost,
            cost=counted,
        )
        # It counts in the day in which its budgets were changed, as every turn does.
        LLMRequest.objects.filter(pk=request.pk).update(settled_at=released.moment)
        with connection.cursor() as cursor:
            cursor.execute(COUNT, [request.account_id, request.pk])
    tell(released.alerts)
    return True


def _outcome(found: Abandoned, request: LLMRequest) -> dict[str, Any]:
    """What went in was probably read; what came out nobody knows, so neither what it cost."""
    price = _price(request, found.input_tokens)
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

    What came out nobody knows, so all that was set aside counts.
    """
    if outcome["cost_source"] == CostSource.FREE:
        return Decimal(0)
    known = [request.reserved_cost, request.charged_cost, request.total_cost]
    own = own_prices(request.account_slug)
    known.append(charge([_call(request, found.input_tokens)], own))
    return max(cost for cost in known if cost is not None)


def _price(request: LLMRequest, input_tokens: int) -> Price:
    return pricing.price(_call(request, input_tokens), own_prices(request.account_slug))


def _call(request: LLMRequest, input_tokens: int) -> ModelCall:
    return ModelCall(
        request.provider, request.model, input_tokens, 0, estimated=True, error=ERROR_CODE
    )


def _sent(request: LLMRequest) -> Iterator[str]:
    """Read again what the model was sent: the prompt, the newest messages, the question."""
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
