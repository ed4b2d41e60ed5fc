"""Answers without a model: the same every time, for demonstrations, test keys and tests.

A model is written `scripted:SCRIPT` or `scripted:SCRIPT?delay_ms=50&first_ms=1000`; the delays
are before each piece and before the first one. The scripts are in SCRIPTS.

What a caller's program can ask of a model, `echo`, `say` and `no-usage` play too: they call those
of the caller's tools that the message names, or the first one where they must call one, with the
JSON object of the message or a made-up one as arguments, and they answer in the format asked for.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from urllib.parse import parse_qs

from agents.runtime.errors import ProviderUnavailable, RunError
from agents.runtime.events import TextDelta, ToolCall
from agents.runtime.providers.base import (
    Finished,
    ModelEvent,
    ModelRequest,
    RegisteredProvider,
    ToolSpec,
    Usage,
    estimate_tokens,
)
from agents.runtime.providers.sample_json import sample

SCRIPTED = "scripted"
DESCRIPTION = (
    "No model is installed: the answers are scripted, good for trying the platform out "
    "and for nothing else."
)
type Step = ModelEvent | RunError


class Scripted:
    supports_tools = True
    supports_attachments = True
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
    yield from _played(request, _friendly(request))


def _say(request: ModelRequest) -> Iterator[Step]:
    """The last message, word for word."""
    yield from _played(request, _heard(request))


def _no_usage(request: ModelRequest) -> Iterator[Step]:
    """Like echo, from a provider that reports no usage."""
    for step in _played(request, _friendly(request)):
        yield Finished(step.reason) if isinstance(step, Finished) else step


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


def _played(request: ModelRequest, answer: str) -> Iterator[Step]:
    """The answer, or what the caller's program asks for instead of it."""
    if calls := _calls(request):
        yield from calls
        written = "".join(call.arguments for call in calls)
        yield Finished("tool_calls", _usage(request, written))
        return
    if request.messages and request.messages[-1].role == "tool":
        answer = f"The tool says: {request.messages[-1].content}"
    wanted = request.output_format
    if wanted is not None:
        schema = {"properties": {"answer": {}}} if wanted.schema is None else wanted.schema
        answer = json.dumps(sample(schema, answer), ensure_ascii=False)
    yield from _spoken(answer)
    yield Finished("stop", _usage(request, answer))


def _calls(request: ModelRequest) -> list[ToolCall]:
    """Those of the caller's tools that the last message asks for."""
    tools = [tool for tool in request.tools if tool.is_client]
    if not tools or not request.messages or request.messages[-1].role == "tool":
        return []
    message, choice = _heard(request), request.tool_choice
    named = [tool for tool in tools if tool.name in ([choice.name] if choice.name else message)]
    if choice.mode == "required":
        named = named or tools[:1]
    if choice.name or request.parallel_tool_calls is False:
        named = named[:1]
    return [
        ToolCall(f"call_{number}", tool.name, _arguments(tool, message))
        for number, tool in enumerate(named, start=1)
    ]


def _arguments(tool: ToolSpec, message: str) -> str:
    """The first JSON object of the message, else one that fits the tool."""
    start = message.find("{")
    if start >= 0:
        with suppress(ValueError, RecursionError):
            given, _ = json.JSONDecoder().raw_decode(message, start)
            return json.dumps(given, ensure_ascii=False)
    return json.dumps(sample({"type": "object", **tool.parameters}, "text"), ensure_ascii=False)


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
        f"You wrote: “{_heard(request)}”. {_looked_at(request)}{_remembered(request)}"
    )


def _looked_at(request: ModelRequest) -> str:
    """What came with the last message, for nobody has looked at it."""
    came = request.messages[-1].attachments if request.messages else ()
    kinds = ", ".join(attachment.media_type for attachment in came)
    return f"With it came: {kinds}. " if came else ""


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
        find=lambda model: problem(model) or Scripted(),
        exists=lambda model: problem(model) is None,
        describe=lambda _: DESCRIPTION,
        model_prefixes=("echo",),
        is_free=True,
    ),
)
