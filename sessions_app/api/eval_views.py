"""Runs a test chat, which may take minutes: each answer is sent at once, as a server-sent event."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from django.http import StreamingHttpResponse

from accounts.auth.decorators import ApiRequest, Caller, CallerKind, as_problem
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.operations import EventStream
from salient.api.problems import Forbidden, Problem
from salient.api.schemas import Out
from salient.database import in_database
from sessions_app.evals import saved_chats
from sessions_app.evals.saved_chats import Answer, ChatChanged, Progress
from sessions_app.models import SavedChat, SavedChatRun
from sessions_app.turns import sse
from sessions_app.turns.problems import TURN_PROBLEMS


class RunOut(Out):
    """How a run ended; `cost` is US dollars as a decimal, null if unknown."""

    passed: bool
    cost: str | None
    latency_ms: int


EVENTS = {"answer": Answer, "error": Problem, "done": RunOut}


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    answer=EventStream(EVENTS),
    problems=(ChatChanged, *TURN_PROBLEMS),
)
async def test_chat_run(
    request: ApiRequest, instance: AgentInstance, chat_id: str
) -> StreamingHttpResponse:
    """Run a test chat with the configuration that the playground's token names."""
    if request.caller.kind != CallerKind.STAFF:
        raise Forbidden("Test chats are run in the admin, by the platform's staff.")
    chat = await in_database(saved_chats.find, request.caller, instance, chat_id)
    return StreamingHttpResponse(
        frames(request.caller, instance, chat, request.path),
        content_type=sse.CONTENT_TYPE,
        headers=sse.HEADERS,
    )


async def frames(
    caller: Caller, instance: AgentInstance, chat: SavedChat, path: str
) -> AsyncGenerator[bytes]:
    """Write an `answer` for each message and then `done`, or the `error` that ended the run."""
    number, progress = 1, Progress()
    try:
        async with aclosing(saved_chats.answers(caller, instance, chat, progress)) as answers:
            async for answer in answers:
                yield sse.frame(str(number), "answer", json.dumps(visible(answer, chat)))
                number += 1
        made = await in_database(saved_chats.store, caller, chat, progress)
        yield sse.frame(str(number), "done", summary(made).model_dump_json())
    except Exception as error:
        yield sse.frame(str(number), "error", json.dumps(as_problem(error, path).as_dict()))


def visible(answer: Answer, chat: SavedChat) -> dict[str, Any]:
    """Return an answer without its texts where the chat was made from a conversation.

    Staff read a conversation's texts under a support access only.
    """
    hidden = {} if chat.session_id is None else {"message": "", "answer": ""}
    return asdict(answer) | hidden


def summary(run: SavedChatRun) -> RunOut:
    cost = None if run.cost is None else str(run.cost)
    return RunOut(passed=run.passed, cost=cost, latency_ms=run.latency_ms)
