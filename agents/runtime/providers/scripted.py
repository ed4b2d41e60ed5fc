"""Answers without a model: the same every time, for demonstrations, test keys and tests.

A model is written `scripted:SCRIPT` or `scripted:SCRIPT?delay_ms=50&first_ms=1000`; the delays
are before each piece and before the first one. The scripts are in SCRIPTS.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from difflib import get_close_matches
from urllib.parse import parse_qs

from agents.runtime.errors import ProviderUnavailable, RunError
from agents.runtime.events import TextDelta, ToolCall
from agents.runtime.providers.base import (
    Finished,
    ModelEvent,
    ModelRequest,
    RegisteredProvider,
    Usage,
    estimate_tokens,
)

SCRIPTED = "scripted"
DESCRIPTION = (
    "No model is installed: the answers are scripted, good for trying the platform out "
    "and for nothing else."
)
type Step = ModelEvent | RunError


class Scripted:
    supports_tools = True
    least_first_token_timeout = 0.0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        name, _, query = request.model.partition("?")
        options = parse_qs(query)
        delay = _seconds(options, "delay_ms")
        await asyncio.sleep(_seconds(options, "first_ms"))
        for step in SCRIPTS[name](request):
            if isinstance(step, RunError):
                raise step
            if delay and isinstance(step, TextDelta):
                await asyncio.sleep(delay)
            yield step


def problem(model: str) -> str | None:
    name = model.partition("?")[0]
    if name in SCRIPTS:
        return None
    close = get_close_matches(name, SCRIPTS, n=1) or ["echo"]
    return f'There is no script "{name}". Did you mean "scripted:{close[0]}"?'


def _echo(request: ModelRequest) -> Iterator[Step]:
    """A sentence that repeats the message and the one before it."""
    answer = _friendly(request)
    yield from _spoken(answer)
    yield Finished("stop", _usage(request, answer))


def _say(request: ModelRequest) -> Iterator[Step]:
    """The last message, word for word."""
    yield from _spoken(_heard(request))
    yield Finished("stop", _usage(request, _heard(request)))


def _no_usage(request: ModelRequest) -> Iterator[Step]:
    """Like echo, from a provider that reports no usage."""
    yield from _spoken(_friendly(request))
    yield Finished("stop")


def _silent(request: ModelRequest) -> Iterator[Step]:
    """An empty answer."""
    yield Finished("stop", _usage(request, ""))


def _fail(_: ModelRequest) -> Iterator[Step]:
    """A failure before the first token."""
    yield ProviderUnavailable("as scripted")


def _cut(request: ModelRequest) -> Iterator[Step]:
    """A failure in the middle of the answer."""
    pieces = list(_spoken(_friendly(request)))
    yield from pieces[: len(pieces) // 2]
    yield ProviderUnavailable("as scripted")


def _tool(request: ModelRequest) -> Iterator[Step]:
    """Calls the first tool, then repeats its result; without tools like echo."""
    if request.rounds:
        answer = f"The tool says: {request.rounds[-1].results[0].content}"
        yield from _spoken(answer)
        yield Finished("stop", _usage(request, answer))
    elif request.tools:
        yield ToolCall("call_1", request.tools[0].name, json.dumps({}))
        yield Finished("tool_calls", _usage(request, "{}"))
    else:
        yield from _echo(request)


SCRIPTS: dict[str, Callable[[ModelRequest], Iterator[Step]]] = {
    "echo": _echo,
    "say": _say,
    "tool": _tool,
    "fail": _fail,
    "cut": _cut,
    "silent": _silent,
    "no-usage": _no_usage,
}


def _friendly(request: ModelRequest) -> str:
    return (
        f"Hello! This is a scripted answer, which no model has written. "
        f"You wrote: “{_heard(request)}”. {_remembered(request)}"
    )


def _remembered(request: ModelRequest) -> str:
    earlier = [message.content for message in request.messages if message.role == "user"][:-1]
    if not earlier:
        return "It is the first message that I have of you."
    times = "one earlier message" if len(earlier) == 1 else f"{len(earlier)} earlier messages"
    return f"I remember {times} of yours, the last one was: “{earlier[-1]}”."


def _heard(request: ModelRequest) -> str:
    texts = [message.content for message in request.messages if message.role == "user"]
    return texts[-1] if texts else ""


def _spoken(text: str) -> Iterator[TextDelta]:
    """Word by word, each with the space that follows it."""
    return (TextDelta(piece) for piece in re.findall(r"\s*\S+\s*", text))


def _usage(request: ModelRequest, answer: str) -> Usage:
    read = request.system_prompt + "".join(message.content for message in request.messages)
    return Usage(estimate_tokens(read), estimate_tokens(answer))


def _seconds(options: dict[str, list[str]], name: str) -> float:
    value = options.get(name, ["0"])[0]
    return int(value) / 1000 if value.isdecimal() else 0.0


PROVIDERS = (
    RegisteredProvider(
        name=SCRIPTED,
        make=Scripted,
        problem=problem,
        exists=lambda model: problem(model) is None,
        describe=lambda _: DESCRIPTION,
        model_prefixes=("echo",),
        is_free=True,
    ),
)
