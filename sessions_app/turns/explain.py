"""Explains why a message to an agent would be refused: by authentication, the agent or a limit.

An example call runs through the checks of a real one. It stores no turn, and what it reserves is
rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import replace
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from accounts.auth.bearer import admitted
from accounts.auth.caller import Caller
from accounts.auth.explain import (
    ADVICE,
    KEY_TITLES,
    SCOPE_TITLE,
    Check,
    key_checks,
    run_check,
    scope_check,
)
from accounts.auth.networks import Address, network_of
from accounts.limits import quotas
from accounts.limits.quotas import BudgetExceeded
from accounts.limits.status import LimitStatus, limit_status_in_context
from accounts.members.members import caller_of
from accounts.models import AccountStatus, ApiKey, Membership
from accounts.tenancy.context import tenant_context
from accounts.tenancy.suspensions import Suspended
from agents.config.versions.current import CurrentConfig, current_config
from agents.costs.estimate import cost_estimate
from agents.costs.own_prices import prices_for
from agents.models import AgentInstance
from agents.runtime.providers.base import ChatMessage
from salient.api.problems import NotFound, Unauthenticated
from salient.formatting import exact_money, money
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.turns.dry_run import limit_refusal
from sessions_app.turns.plan import check_size, run_request
from sessions_app.turns.problems import with_unknown_price

MEMBER = "The member's account is active, and so is the person"
AGENT = "The agent exists, is active, and the caller may use it"
SIZE = "The message is not too long"
CONFIG = "The agent's configuration and its model connection work"
# By error code, in the order in which the database checks them.
LIMITS = {
    "rate_limited": "No rate is used up",
    "too_many_turns": "Another turn may run",
    "budget_exceeded": "What the call may cost fits into every budget",
}


@dataclass(frozen=True, slots=True)
class ExampleCall:
    """A message that a caller might send; exactly one of `key` and `member` is given."""

    instance: AgentInstance
    key: ApiKey | None = None
    member: Membership | None = None
    address: Address | None = None
    origin: str | None = None
    message: str = "Hello!"


def examine(call: ExampleCall) -> list[Check]:
    """Return every check in the order of a real call; opens the tenant context itself.

    None is asked after the first refusal, where a real call ends.
    """
    asked: list[Check] = []
    with tenant_context(call.instance.account_id), _rolled_back():
        for check in _checks(call):
            asked.append(check)
            if check.problem is not None:
                break
    auth = (MEMBER,) if call.key is None else KEY_TITLES
    titles = (*auth, SCOPE_TITLE, AGENT, CONFIG, SIZE, *LIMITS.values())
    return [*asked, *(Check(title, is_asked=False) for title in titles[len(asked) :])]


def _checks(call: ExampleCall) -> Iterator[Check]:
    """Run each check when it is asked for; nobody asks for the next one after a refusal."""
    yield from _auth_checks(call)
    caller = _caller(call)
    yield scope_check(caller)
    yield run_check(AGENT, lambda: _may_use(caller, call.instance), _agent_advice(call))
    yield from _turn_checks(caller, call)


def _auth_checks(call: ExampleCall) -> Iterator[Check]:
    account = call.instance.account
    if call.key is not None:
        yield from key_checks(call.key, account.slug, address=call.address, origin=call.origin)
        return
    advice = "Reactivate the account or the person."
    yield run_check(MEMBER, lambda: _is_member(call), advice)


def _is_member(call: ExampleCall) -> None:
    """Raise what the API answers to a session without an active member."""
    is_active = call.member is not None and call.member.user.is_active
    if not is_active or call.instance.account.status != AccountStatus.ACTIVE:
        raise Unauthenticated("Send an API key: “Authorization: Bearer sal_sk_…”.")


def _caller(call: ExampleCall) -> Caller:
    slug = call.instance.account.slug
    if call.key is not None:
        return admitted(call.key, slug, address=call.address, origin=call.origin)
    assert call.member is not None  # noqa: S101 - the member's check has passed
    return replace(caller_of(call.member, slug), network=network_of(call.address))


def _may_use(caller: Caller, instance: AgentInstance) -> None:
    active = AgentInstance.objects.active().filter(pk=instance.pk)
    if not active.exists() or not caller.may_use(instance.pk):
        raise NotFound("agent")
    if instance.suspended_reason:
        raise Suspended("agent")


def _agent_advice(call: ExampleCall) -> str:
    if call.instance.suspended_reason:
        return f"Resume it on its page. Why it is suspended: {call.instance.suspended_reason}"
    if call.instance.status != "active":
        return f"The agent is {call.instance.status}: activate it on its page."
    return "The key is restricted to other agents: make one for this agent too."


def _turn_checks(caller: Caller, call: ExampleCall) -> Iterator[Check]:
    found: list[CurrentConfig] = []
    yield run_check(
        CONFIG, lambda: found.append(current_config(caller.account_slug, call.instance))
    )
    limits = quotas.limits_of(caller)
    message = TurnInput(message=call.message)
    yield run_check(SIZE, lambda: check_size(message, limits))
    yield from _limit_checks(limits, call, found[0])


def _limit_checks(
    limits: quotas.Limits, call: ExampleCall, current: CurrentConfig
) -> Iterator[Check]:
    caller, run = limits.caller, run_request(current, limits, stream=True)
    prices = prices_for(call.instance, caller.account_slug)
    cost = cost_estimate(run, prices).of([ChatMessage("user", call.message)])
    now = limit_status_in_context(caller, timezone.now())
    refused = limit_refusal(caller, call.instance.pk, cost)
    if isinstance(refused, BudgetExceeded):
        refused = with_unknown_price(refused, caller, run, call.instance)
    facts = _facts(now, cost)
    for code, title in LIMITS.items():
        if refused is not None and refused.code == code:
            yield Check(title, refused, ADVICE.get(code, ""), facts=facts[code])
        else:
            yield Check(title, facts=facts[code])


def _facts(now: LimitStatus, cost: Decimal) -> dict[str, str]:
    rates = ", ".join(f"{rate.policy}: {rate.remaining} of {rate.quota} left" for rate in now.rates)
    budgets = "; ".join(
        f"{budget.agent or 'account'} a {budget.period}: {money(budget.remaining)} of "
        f"{exact_money(budget.limit)} left"
        for budget in now.budgets
    )
    needed = f"the call may cost {money(cost)}"
    return {
        "rate_limited": rates,
        "too_many_turns": f"{now.running} of {now.concurrent_turns} run now",
        "budget_exceeded": f"{needed}; {budgets or 'there is no budget'}",
    }


@contextmanager
def _rolled_back() -> Iterator[None]:
    """Roll back what the checks reserve."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
