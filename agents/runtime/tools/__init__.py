"""The tools that an agent may be given, one module each."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from agents.runtime.discovery import by_name, declared
from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.tools.base import Arguments, Tool, ToolError
from salient.observability import genai, tracing

__all__ = ["TOOLS", "Arguments", "Tool", "ToolError", "find_tools", "run_tools", "tool_names"]

# The model reads at most this many characters of one result.
LONGEST_RESULT = 64_000
# The `error.type` of a tool's span.
TOOL_FAILED = "tool_failed"


def find_tools(package: str) -> dict[str, Tool[Any]]:
    """The tools that the modules of the package declare in `TOOL`, by name."""
    return by_name((tool.name, tool) for tool in declared(package, "TOOL"))


TOOLS: Mapping[str, Tool[Any]] = find_tools(__name__)


def tool_names() -> list[str]:
    return sorted(TOOLS)


async def run_tools(calls: Iterable[ToolCall], allowed: Iterable[str]) -> list[ToolResult]:
    """Run the calls concurrently; the results are in the order of the calls."""
    names = frozenset(allowed)
    return await asyncio.gather(*(_run(call, names) for call in calls))


async def _run(call: ToolCall, allowed: frozenset[str]) -> ToolResult:
    if call.problem:
        return ToolResult(call.id, call.name, call.problem, is_error=True)
    # A model may invent a name, or call a tool that this agent does not have.
    if call.name not in allowed or call.name not in TOOLS:
        known = ", ".join(sorted(allowed)) or "none"
        reason = f"There is no such tool; there are: {known}."
        return ToolResult(call.id, call.name, reason, is_error=True)
    about = {
        genai.OPERATION: genai.EXECUTE_TOOL,
        genai.TOOL_NAME: call.name,
        genai.TOOL_TYPE: "function",
        genai.TOOL_CALL_ID: call.id,
    }
    with tracing.inside(f"{genai.EXECUTE_TOOL} {call.name}", about) as span:
        result = _sendable(await TOOLS[call.name].run(call))
        if span is not None:
            span.error = TOOL_FAILED if result.is_error else ""
            if tracing.takes_content(span):
                span.set({genai.TOOL_ARGUMENTS: call.arguments, genai.TOOL_RESULT: result.content})
    return result


def _sendable(result: ToolResult) -> ToolResult:
    """The result without characters that cannot be sent or stored, cut to LONGEST_RESULT."""
    text = result.content.replace("\x00", "").encode(errors="replace").decode()
    if len(text) > LONGEST_RESULT:
        text = f"{text[:LONGEST_RESULT]} … (the rest is left out)"
    return result if text == result.content else replace(result, content=text)
