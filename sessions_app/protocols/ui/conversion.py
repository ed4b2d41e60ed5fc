"""What a chat interface sends, as the engine takes it."""

from __future__ import annotations

from collections.abc import Iterable

from agents.runtime.providers.base import ChatMessage
from salient.texts import paragraphs
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.protocols.openai.conversion import Function, offered, require_sendable, split


def turn_of(
    messages: Iterable[ChatMessage], functions: Iterable[Function], instructions: Iterable[str]
) -> TurnInput:
    """Return the turn that goes on with the messages of a client; raises a Problem."""
    before, results, last = split(list(messages))
    tools, choice = offered(functions)
    asked = TurnInput(
        message=last.content if last else "",
        attachments=last.attachments if last else (),
        results=results,
        conversation=before,
        instructions=paragraphs(instructions),
        client_tools=tools,
        tool_choice=choice,
    )
    require_sendable(asked)
    return asked
