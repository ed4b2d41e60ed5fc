"""The agent's own tool calls as an interface shows them: their names and how they ended.

Arguments and results stay here. The ids say that a call is the agent's, so that it is known when a
client sends it back with the rest of its conversation.
"""

from __future__ import annotations

import re
from uuid import UUID

from agents.runtime.events import ToolResult

# Instead of the arguments, which clients parse.
NO_ARGUMENTS = "{}"
_ID = re.compile(r"tool_([0-9a-f]{32})_")


def shown_id(request_id: UUID, call_id: str) -> str:
    """Return the id of a call, which is unique in its turn, as one that is unique for ever."""
    return f"tool_{request_id.hex}_{call_id}"


def turn_of(shown: str) -> UUID | None:
    """Return the turn in which the agent made this call; None for a call of a client's tool."""
    found = _ID.match(shown)
    return UUID(found[1]) if found else None


def status_of(result: ToolResult) -> str:
    return "failed" if result.is_error else "done"
