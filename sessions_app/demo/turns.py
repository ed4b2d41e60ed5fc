"""The full demo's conversations: the rows that ninety days of turns would have written."""

from __future__ import annotations

import json
from copy import replace
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from agents.config import EffectiveConfig
from agents.config.versions.current import CurrentConfig
from agents.costs import pricing
from agents.costs.estimate import billable_cost
from agents.costs.pricing import ZERO
from agents.models import ConfigVersion
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import ChatMessage, estimate_tokens
from sessions_app.api.schemas import UsageOut
from sessions_app.demo.plan import (
    INCIDENTS,
    SPEEDS,
    TURNS,
    dated_id,
    seeded_random,
    starts,
)
from sessions_app.demo.tenants import Agent, Tenant
from sessions_app.demo.words import Exchange, conversation, email_of, talk
from sessions_app.models import (
    CompletionStatus,
    FeedbackStatus,
    LLMRequest,
    Message,
    MessageFeedback,
    Profile,
    Role,
    Session,
)
from sessions_app.turns.prompts import sections_of
from sessions_app.turns.tool_calls import recorded_model_call, time_to_first_token_ms

MOST_REMEMBERED = 20
FAILURES = ("provider_timeout", "provider_unavailable", "provider_rate_limited", "empty_answer")
CUT = "provider_protocol"
PRICED_BY_PROVIDER = "openrouter"


@dataclass(slots=True)
class Rows:
    """The rows of an account's conversations, each after the rows that it refers to."""

    sessions: list[Session] = field(default_factory=list)
    requests: list[LLMRequest] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    feedback: list[MessageFeedback] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    # The texts of prompt sections, by digest.
    texts: dict[str, str] = field(default_factory=dict)


def conversations_of(tenant: Tenant, turns: float, now: datetime) -> Rows:
    """Make up the account's conversations, of about this many turns together."""
    made = Rows()
    for agent in tenant.agents:
        begun = now - timedelta(days=tenant.plan.until)
        for moment, dice in starts(tenant.plan, agent.plan, turns / len(tenant.agents), begun):
            if moment > agent.row.created_at:
                _Conversation(tenant, agent, moment, dice, now).add_to(made)
    return made


class _Conversation:
    """Makes up one conversation."""

    def __init__(
        self, tenant: Tenant, agent: Agent, moment: datetime, dice: Random, now: datetime
    ) -> None:
        self.tenant, self.agent, self.dice, self.now = tenant, agent, dice, now
        self.moment = moment
        self.history: list[ChatMessage] = []
        self.caller, whose = self._caller()
        self.session = Session(
            id=dated_id(moment, dice),
            **self._owner(),
            account_slug=tenant.plan.slug,
            agent_instance_slug=agent.plan.slug,
            session_key=f"{dice.getrandbits(256):064x}",
            created_at=moment,
            turn_count=0,
            total_cost=ZERO,
            unpriced_turns=0,
            last_status="",
            **whose,
        )

    def _owner(self) -> dict[str, Any]:
        return {"account_id": self.tenant.row.pk, "agent_instance_id": self.agent.row.pk}

    def _caller(self) -> tuple[str, dict[str, Any]]:
        """Return the caller and the session's fields: staff, a visitor, an end user, or a key."""
        lot, number = self.dice.random(), self.dice.randrange(1, 400)
        if lot < 0.03:
            staff = self.tenant.staff.pk
            return f"staff:{staff}", {"user_id": staff, "is_anonymous": False}
        if lot < 0.45 or not self.tenant.callers:
            return f"visitor:{self.dice.getrandbits(128):032x}", {"is_anonymous": True}
        end_user = {"end_user": f"user-{number}", "is_anonymous": False}
        if lot < 0.7:
            digest = seeded_random(self.tenant.plan.slug, number).getrandbits(128)
            return f"end-user:{digest:032x}", end_user
        return self.dice.choice(self.tenant.callers), end_user | {"email": self._email()}

    def _email(self) -> str | None:
        names = talk()["filling"]["names"]
        return email_of(self.dice.choice(names)) if self.dice.random() < 0.5 else None

    def add_to(self, made: Rows) -> None:
        """Add the rows of its turns, up to now."""
        wanted = self.dice.choice(TURNS)
        for exchange in conversation(self.tenant.plan, self.agent.plan.kind, wanted, self.dice):
            if not self._turn(exchange, made):
                break
            self.moment += timedelta(seconds=self.dice.uniform(12, 150))
        if self.session.turn_count:
            made.sessions.append(self.session)
            self._add_profile(made)

    def _turn(self, exchange: Exchange, made: Rows) -> bool:
        """Add one turn; return whether the conversation goes on."""
        asked_at = self.moment
        version, effective = self.agent.at(asked_at)
        request = self._request(asked_at, version, effective, exchange)
        request.request_body = self._request_body(version, effective, exchange, made)
        if request.settled_at is None or request.settled_at > self.now:
            return False
        made.requests.append(request)
        made.messages.append(self._message(request, Role.HUMAN, exchange.question, asked_at))
        if answer := _arrived(exchange.answer, request.completion_status, self.dice):
            message = self._message(request, Role.ASSISTANT, answer, request.settled_at)
            made.messages.append(message)
            self._rate(message, request, made)
        self.history += [
            ChatMessage("user", exchange.question),
            ChatMessage("assistant", exchange.answer),
        ]
        self._count(request)
        return request.completion_status == CompletionStatus.COMPLETE or self.dice.random() < 0.5

    def _count(self, request: LLMRequest) -> None:
        session = self.session
        self.moment = request.settled_at or self.moment
        session.turn_count += 1
        session.total_cost += request.total_cost or ZERO
        session.unpriced_turns += request.total_cost is None
        session.last_status = request.completion_status
        session.last_activity_at = self.moment

    def _message(self, request: LLMRequest, role: Role, content: str, moment: datetime) -> Message:
        return Message(
            id=dated_id(moment, self.dice),
            **self._owner(),
            session_id=self.session.pk,
            llm_request_id=request.pk,
            config_version_id=request.config_version_id,
            role=role,
            content=content,
            created_at=moment,
        )

    def _request(
        self,
        asked_at: datetime,
        version: ConfigVersion,
        effective: EffectiveConfig,
        exchange: Exchange,
    ) -> LLMRequest:
        model = effective.config.model
        status, error = self._outcome(model, asked_at)
        asks_time = exchange.asks_time and "current_time" in effective.config.tools
        asks_time &= status != CompletionStatus.ERROR
        calls = self._calls(effective, exchange, status, error, asks_time=asks_time)
        latency = sum(call.latency_ms for call in calls)
        settled = asked_at + timedelta(milliseconds=latency)
        return LLMRequest(
            id=dated_id(asked_at, self.dice),
            **self._owner(),
            account_slug=self.tenant.plan.slug,
            agent_instance_slug=self.agent.plan.slug,
            agent_type="simple_chat",
            session_id=self.session.pk,
            config_version_id=version.pk,
            provider=calls[-1].provider,
            model=calls[-1].model,
            response_body=_response_body(calls, settled, asks_time=asks_time),
            completion_status=status,
            error_code=error,
            **_sums(calls),
            latency_ms=latency,
            time_to_first_token_ms=time_to_first_token_ms(calls),
            caller=self.caller,
            created_at=asked_at,
            settled_at=settled,
        )

    def _outcome(self, model: str, asked_at: datetime) -> tuple[CompletionStatus, str]:
        """Return how the turn ends, with its error; on the days of INCIDENTS more turns fail."""
        ago = (self.now.date() - asked_at.date()).days
        failing = INCIDENTS.get((ago, model.partition(":")[0]), 0.0)
        lot = self.dice.random()
        if lot < failing or lot < 0.014:
            return CompletionStatus.ERROR, self.dice.choice(FAILURES)
        if lot > 0.994:
            return CompletionStatus.PARTIAL, CUT
        if lot > 0.982:
            return CompletionStatus.CANCELLED, "client_left"
        return CompletionStatus.COMPLETE, ""

    def _calls(
        self,
        effective: EffectiveConfig,
        exchange: Exchange,
        status: CompletionStatus,
        error: str,
        *,
        asks_time: bool,
    ) -> list[ModelCall]:
        model, read = effective.config.model, self._read(effective, exchange)
        if status == CompletionStatus.ERROR:
            return [self._call(model, 0, 0, error=error) for _ in range(self.dice.randint(1, 3))]
        calls = []
        lot = self.dice.random()
        if lot < 0.012:
            calls.append(self._call(model, 0, 0, error="provider_rate_limited"))
        elif lot < 0.03 and effective.config.fallback_models:
            calls.append(self._call(model, 0, 0, error="provider_unavailable"))
            model = effective.config.fallback_models[0]
        if asks_time:
            calls.append(self._call(model, read, 22, reason="tool_calls"))
            read += 46
        written = estimate_tokens(exchange.answer)
        if status != CompletionStatus.COMPLETE:
            written = written * 2 // 5
        cut = {CompletionStatus.PARTIAL: CUT, CompletionStatus.CANCELLED: "cancelled"}
        failed = cut.get(status, "")
        return [*calls, self._call(model, read, written, error=failed, reason="stop")]

    def _read(self, effective: EffectiveConfig, exchange: Exchange) -> int:
        remembered = sum(estimate_tokens(each.content) for each in self.history[-MOST_REMEMBERED:])
        prompt = estimate_tokens(effective.config.system_prompt)
        return (
            prompt
            + remembered
            + estimate_tokens(exchange.question)
            + 60 * bool(effective.config.tools)
        )

    def _call(
        self, model: str, read: int, written: int, *, error: str = "", reason: str = ""
    ) -> ModelCall:
        provider, _, name = model.partition(":")
        first, each = SPEEDS[model]
        refused = bool(error) and not written
        wait = round(first * self.dice.lognormvariate(0, 0.35) * (3 if refused else 1))
        call = ModelCall(
            provider=provider,
            model=name,
            input_tokens=read,
            output_tokens=written,
            cached_tokens=read * 3 // 4 if provider == "openai" and read > 1_024 else 0,
            estimated=bool(error) and not refused,
            latency_ms=wait + round(written * each * self.dice.lognormvariate(0, 0.2)),
            time_to_first_token_ms=None if refused else wait,
            finish_reason="" if error else reason,
            error=error,
        )
        if provider != PRICED_BY_PROVIDER or refused:
            return call
        cost = pricing.price(call).total_cost
        return replace(call, reported_cost=cost)

    def _request_body(
        self, version: ConfigVersion, effective: EffectiveConfig, exchange: Exchange, made: Rows
    ) -> dict[str, Any]:
        before = self.history[-MOST_REMEMBERED:]
        run = effective.config.run_request(
            [*before, ChatMessage("user", exchange.question)], stream=True
        )
        sections = sections_of(run, CurrentConfig(effective, version.pk))
        made.texts |= sections.texts
        return {
            "model": run.models[0],
            "temperature": run.temperature,
            "max_tokens": run.max_tokens,
            "tools": list(run.tools),
            "history_messages": len(before),
            "sections": list(sections),
        }

    def _rate(self, message: Message, request: LLMRequest, made: Rows) -> None:
        """Rate some answers; more of those that were cut, and these as bad."""
        whole = request.completion_status == CompletionStatus.COMPLETE
        if self.dice.random() > (0.055 if whole else 0.3):
            return
        good = whole and self.dice.random() < 0.74
        comment = self.dice.choice(talk()["good_comments" if good else "bad_comments"])
        moment = message.created_at + timedelta(seconds=self.dice.randint(4, 90))
        rating = 1 if good else -1
        made.feedback.append(
            MessageFeedback(
                id=dated_id(moment, self.dice),
                **self._owner(),
                session_id=self.session.pk,
                message_id=message.pk,
                rating=rating,
                comment=comment,
                caller=self.caller,
                created_at=moment,
                **self._decided(rating, message, moment),
            )
        )
        self.session.feedback = rating

    def _decided(self, rating: int, message: Message, moment: datetime) -> dict[str, Any]:
        """Decide on most bad ratings that are older than a week, without another throw of dice."""
        lot = message.pk.int % 10
        if rating > 0 or self.now - moment < timedelta(days=7) or not lot:
            return {}
        status = FeedbackStatus.FIXED if lot % 3 else FeedbackStatus.NO_FAULT
        handled_at = moment + timedelta(hours=5 + lot * 9)
        return {"status": status, "handled_by": self.tenant.staff.email, "handled_at": handled_at}

    def _add_profile(self, made: Rows) -> None:
        if self.session.email is None or self.dice.random() > 0.2:
            return
        name = self.session.email.partition("@")[0].replace(".", " ").title()
        made.profiles.append(
            Profile(
                account_id=self.tenant.row.pk,
                session_id=self.session.pk,
                customer_name=name,
                email=self.session.email,
                address_city=self.tenant.plan.city,
            )
        )


def _arrived(answer: str, status: str, dice: Random) -> str:
    """Return the part of the answer that arrived."""
    if status == CompletionStatus.ERROR:
        return ""
    if status == CompletionStatus.COMPLETE:
        return answer
    return answer[: int(len(answer) * dice.uniform(0.3, 0.7))]


def _sums(calls: list[ModelCall]) -> dict[str, Any]:
    """Return the tokens and costs of a request's calls, by the names of its columns."""
    usage, price, billable = UsageOut.of(calls), pricing.total(calls), billable_cost(calls)
    return {
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
        "reserved_cost": billable * 4 + Decimal("0.002"),
        "charged_cost": billable,
    }


def _response_body(calls: list[ModelCall], moment: datetime, *, asks_time: bool) -> dict[str, Any]:
    received: dict[str, Any] = {"calls": [recorded_model_call(call) for call in calls]}
    if asks_time:
        at = moment.astimezone(UTC)
        received["tools"] = [
            {
                "name": "current_time",
                "arguments": json.dumps({"timezone": "UTC"}),
                "content": f"{at:%A}, {at.isoformat(timespec='seconds')}",
                "is_error": False,
            }
        ]
    return received
