"""One Idempotency-Key, one turn: a call that is sent again gets the same answer again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from msgspec.structs import replace

from accounts.auth.caller import Caller
from accounts.auth.revocation import AccessEnded, ServerStopping, TimeOver
from accounts.limits import quotas
from accounts.tenancy.context import tenant_context
from agents.config.shown import shown_to
from agents.connections.revocation import AgentDeactivated, ConnectionChanged
from agents.costs.pricing import CostSource, Price
from agents.models import AgentInstance
from agents.runtime.errors import RUN_ERRORS
from agents.runtime.events import ToolCall
from salient.api.problems import InternalError, Invalid, Problem
from sessions_app.api.schemas import ChatOut, CostOut, UsageOut
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import CompletionStatus, LLMRequest, Message, Role
from sessions_app.turns.problems import (
    AnswerNotStored,
    IdempotencyKeyReused,
    TurnAbandoned,
    TurnCancelled,
    TurnInProgress,
    provider_problem,
)

LONGEST_KEY = 255
# How turns are cut from outside: what came until then is their answer.
_CUTS: dict[str, Callable[[], Problem]] = {
    kind.code: kind for kind in (TurnCancelled, AccessEnded, AgentDeactivated, ConnectionChanged)
}
# Failures that are not the model's; each is replayed with its own code.
_ENDINGS: dict[str, Callable[[], Problem]] = {
    kind.code: kind for kind in (ServerStopping, TimeOver, TurnAbandoned)
}


@dataclass(frozen=True, slots=True)
class Key:
    """The client's key, and a digest of what it was sent with."""

    text: str
    digest: str


class KeyUsed(Exception):
    """The caller has sent this key before."""


@dataclass(frozen=True, slots=True)
class Replay:
    """An earlier turn that is answered again: its answer, and how it failed, if it did."""

    answer: ChatOut
    problem: Problem | None
    headers: dict[str, str]
    # Those for tools of the caller's, with which the turn ended.
    client_calls: tuple[ToolCall, ...] = ()
    # What its row has of the request.
    request_body: Mapping[str, Any] = field(default_factory=dict)

    def as_response(self) -> HttpResponse:
        if self.problem is not None:
            return self.problem.as_response()
        return with_headers(self.answer.as_response(), self.headers)


def with_headers[R: HttpResponseBase](response: R, headers: Mapping[str, str]) -> R:
    for name, value in headers.items():
        response[name] = value
    return response


def key_of(request: HttpRequest, instance: AgentInstance, asked: TurnInput) -> Key | None:
    """Read the Idempotency-Key header; raises Invalid for one that cannot be one."""
    text = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if text is None:
        return None
    if not 1 <= len(text) <= LONGEST_KEY or not (text.isascii() and text.isprintable()):
        raise Invalid.field(
            "Idempotency-Key", f"send 1 to {LONGEST_KEY} printable ASCII characters"
        )
    if not asked.store:
        raise Invalid.field("Idempotency-Key", "an answer that is not stored has no replay")
    sent = str(instance.pk).encode() + msgspec.json.encode(asked)
    return Key(text, hashlib.sha256(sent).hexdigest())


def is_used(caller: Caller, key: Key) -> bool:
    """Return whether the caller has sent the key before."""
    with tenant_context(caller.account_id):
        known = LLMRequest.objects.filter(caller=caller.subject, idempotency_key=key.text)
        return known.exists()


def replay(caller: Caller, instance: AgentInstance, key: Key) -> Replay:
    """Rebuild the answer from its rows; the replay counts as a call and costs nothing.

    Raises TurnInProgress while it is being made, IdempotencyKeyReused for another message.
    """
    with tenant_context(caller.account_id):
        known = LLMRequest.objects.select_related("config_version")
        request = known.filter(caller=caller.subject, idempotency_key=key.text).first()
        if request is None:
            # Deleted just now with its conversation: the next call is a new one.
            raise TurnInProgress
        if request.idempotency_hash != key.digest:
            raise IdempotencyKeyReused
        if request.completion_status == CompletionStatus.RUNNING:
            raise TurnInProgress(request.pk)
        answer = answer_of(caller, instance, request)
        reservation = quotas.reserve(caller, instance.pk, turn=False)
    headers = reservation.headers | {"Idempotency-Replayed": "true"}
    return Replay(
        answer,
        problem_of(request, headers),
        headers,
        client_calls_of(request),
        request.request_body or {},
    )


def client_calls_of(request: LLMRequest) -> tuple[ToolCall, ...]:
    """Return the calls of client tools with which a stored turn ended."""
    kept = (request.response_body or {}).get("client_calls", ())
    return tuple(
        ToolCall(call["id"], call["name"], call["arguments"], is_client=True) for call in kept
    )


def answer_of(caller: Caller, instance: AgentInstance, request: LLMRequest) -> ChatOut:
    """Rebuild the answer of a stored turn for the caller; call it inside the tenant context."""
    answer, shown = _whole_answer_of(request), shown_to(caller, instance)
    hidden = {name: None for name in ("model", "usage", "cost") if not getattr(shown, name)}
    return replace(answer, **hidden)


def _whole_answer_of(request: LLMRequest) -> ChatOut:
    message = Message.objects.filter(llm_request_id=request.pk, role=Role.ASSISTANT).first()
    version = request.config_version
    body = request.response_body or {}
    calls = body.get("calls") or [{}]
    reason = "tool_calls" if "client_calls" in body else calls[-1].get("finish_reason")
    return ChatOut(
        response=message.content if message else "",
        status=request.completion_status,
        session_id=request.session_id,
        message_id=message.pk if message and message.content else None,
        llm_request_id=request.pk,
        model=f"{request.provider}:{request.model}",
        finish_reason=reason or None,
        usage=UsageOut(
            input_tokens=request.prompt_tokens or 0,
            output_tokens=request.completion_tokens or 0,
            total_tokens=request.total_tokens or 0,
            cached_tokens=request.cached_tokens or 0,
            # Rows from before it was counted have none.
            reasoning_tokens=sum(call.get("reasoning_tokens", 0) for call in calls),
            requests=request.requests,
            estimated=request.tokens_estimated,
        ),
        cost=CostOut.of(
            Price(
                request.prompt_cost,
                request.completion_cost,
                request.total_cost,
                CostSource(request.cost_source),
            )
        ),
        config_version=version.digest[:12] if version else "",
        latency_ms=request.latency_ms or 0,
        time_to_first_token_ms=request.time_to_first_token_ms,
    )


def problem_of(request: LLMRequest, headers: Mapping[str, str]) -> Problem | None:
    """Return how the turn failed or was cut, again; a client that left was told nothing."""
    status = request.completion_status
    if status == CompletionStatus.COMPLETE:
        return None
    if status == CompletionStatus.CANCELLED and request.error_code not in _CUTS:
        return None
    if (cut := _CUTS.get(request.error_code)) is not None:
        problem: Problem = cut()
    elif request.error_code == AnswerNotStored.code:
        problem = AnswerNotStored(request.session_id, request.pk)
    elif (kind := RUN_ERRORS.get(request.error_code)) is not None:
        problem = provider_problem(kind(), request.session_id, request.pk)
    else:
        problem = _ENDINGS.get(request.error_code, InternalError)()
        ids = {"session_id": request.session_id, "llm_request_id": request.pk}
        problem.members |= {name: str(value) for name, value in ids.items()}
    # Without a Retry-After: the same key gives this answer again.
    problem.headers = dict(headers)
    return problem
