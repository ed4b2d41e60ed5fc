"""What a caller asks for in one turn: every endpoint makes this value, and the engine takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from agents.runtime.events import ToolResult
from agents.runtime.providers.base import (
    Attachment,
    ChatMessage,
    OutputFormat,
    ToolChoice,
    ToolSpec,
)


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the caller wants words to be chosen; the agent's configuration bounds it."""

    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    max_tokens: int | None = None


AS_CONFIGURED = Sampling()


class TurnInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn as it is asked for.

    `message` is what the user says; `attachments` go with it. `results` are those of client tools
    that an earlier turn ended with: a turn has a message, results or both. `conversation` is the
    caller's own history, oldest first; None stands for the stored session's. `instructions` come
    after the agent's own prompt. `end_user` names whose session a new one is, as the account calls
    them. Of a turn with `store` false only figures are kept. `session_key` is the stored form of a
    name that the caller has for its session: the one with that key goes on, or begins.

    With `keeps_conversation` a session that this turn begins is given the messages of
    `conversation`. `is_branch` says that these are as we have stored them, and that a new session
    begins whatever the results belong to. `kept` is what the endpoint stores with the turn to
    describe it again later.
    """

    message: str = ""
    session_id: UUID | None = None
    session_key: str | None = None
    conversation: tuple[ChatMessage, ...] | None = None
    attachments: tuple[Attachment, ...] = ()
    results: tuple[ToolResult, ...] = ()
    instructions: str = ""
    client_tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    sampling: Sampling = AS_CONFIGURED
    metadata: Mapping[str, str] = {}
    store: bool = True
    end_user: str | None = None
    keeps_conversation: bool = False
    is_branch: bool = False
    kept: Mapping[str, Any] = {}

    @property
    def is_plain(self) -> bool:
        """Whether the run is as the agent is configured, but for its messages."""
        return not (
            self.instructions
            or self.client_tools
            or self.output_format is not None
            or self.sampling != AS_CONFIGURED
        )

    @property
    def spoken(self) -> tuple[ChatMessage, ...]:
        """What this turn adds to the conversation: the results, then what the user says."""
        results = tuple(map(result_message, self.results)) if self.results else ()
        if not self._has_message:
            return results
        return (*results, ChatMessage("user", self.message, attachments=self.attachments))

    @property
    def has_attachments(self) -> bool:
        before = self.conversation
        return bool(self.attachments) or (
            before is not None and any(message.attachments for message in before)
        )

    @property
    def stored_role(self) -> str:
        """The role of the message that is stored for this turn."""
        return "human" if self._has_message else "tool"

    @property
    def _has_message(self) -> bool:
        return bool(self.message or self.attachments or not self.results)

    @property
    def stored_text(self) -> str:
        """The text of that message; of an attachment only the kind is kept."""
        if not self._has_message:
            return "\n\n".join(result.content for result in self.results)
        if not self.attachments:
            return self.message
        return kept_text(self.message, self.attachments)

    @property
    def added_texts(self) -> list[str]:
        """What the model reads besides the agent's own prompt and the conversation."""
        if not self.instructions and not self.client_tools and self.output_format is None:
            return []
        texts = [text_of(tool) for tool in self.client_tools]
        if self.instructions:
            texts.append(self.instructions)
        if self.output_format is not None:
            texts.append(self.output_format.instruction)
        return texts


def result_message(result: ToolResult) -> ChatMessage:
    return ChatMessage("tool", result.content, call_id=result.id, is_error=result.is_error)


def kept_text(text: str, attachments: Iterable[Attachment]) -> str:
    """Return a message as it is stored: the text, and the names or types of what came with it."""
    came = [f"[{attachment.name or attachment.media_type}]" for attachment in attachments]
    return "\n".join([text, *came] if text else came)


def text_of(tool: ToolSpec) -> str:
    """Return a tool as the model reads it, to be measured."""
    return f"{tool.name}{tool.description}{msgspec.json.encode(tool.parameters).decode()}"
