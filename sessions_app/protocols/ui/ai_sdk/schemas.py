"""What `useChat` and `DefaultChatTransport` of the AI SDK (5 to 7) send.

Fields that we do not know are not read: a page may add its own to the body.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from sessions_app.protocols.openai.schemas import MOST_MESSAGES, MOST_TOOLS, Name, TextPart
from sessions_app.protocols.ui.ag_ui.schemas import Id, Sent

# What an interface shows beside the conversation, as the SDK itself leaves it out of a prompt.
_UNREAD = ("reasoning", "source-url", "source-document")
_DATA, _TOOL, _DYNAMIC = "data-", "tool-", "dynamic-tool"


class UIFilePart(Sent):
    """An image or a PDF: `url` is a data URL or a URL to fetch."""

    type: Literal["file"]
    url: str
    filename: Annotated[str, Field(max_length=255)] | None = None


class UIToolPart(Sent):
    """A call of a tool and what came of it: `tool-<name>`, or `dynamic-tool` with its name."""

    type: str
    tool_call_id: Annotated[str, Field(min_length=1, max_length=128)]
    tool_name: Annotated[str, Field(max_length=64)] | None = None
    state: Literal[
        "input-streaming",
        "input-available",
        "approval-requested",
        "approval-responded",
        "output-available",
        "output-error",
        "output-denied",
    ]
    input: Any = None
    raw_input: Any = None
    output: Any = None
    error_text: str | None = None
    provider_executed: bool | None = None

    @property
    def name(self) -> str:
        return (self.tool_name or "") if self.type == _DYNAMIC else self.type.removeprefix(_TOOL)


class UIStepPart(Sent):
    """Begins a call of the model."""

    type: Literal["step-start"]


class UIUnreadPart(Sent):
    """What an interface shows beside the conversation, and `data-…`: it is not read."""

    type: str


def _kind(part: Any) -> str:
    name = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    if not isinstance(name, str):
        return "unread"
    if name == _DYNAMIC or name.startswith(_TOOL):
        return "tool"
    return name if name in {"text", "file", "step-start"} else "unread"


def _known(part: Any) -> Any:
    """Refuse by its name a part that may say something which would be missed."""
    if isinstance(part, UIUnreadPart) and not part.type.startswith((*_UNREAD, _DATA)):
        raise ValueError(f"there are no parts of the type “{part.type[:64]}” here")
    return part


type UIPart = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[UIFilePart, Tag("file")]
    | Annotated[UIToolPart, Tag("tool")]
    | Annotated[UIStepPart, Tag("step-start")]
    | Annotated[UIUnreadPart, Tag("unread")],
    Discriminator(_kind),
    AfterValidator(_known),
]


class UIMessage(Sent):
    """A message as the interface shows it."""

    id: Annotated[str, Field(max_length=255)]
    role: Literal["system", "user", "assistant"]
    parts: list[UIPart]
    metadata: Any = None


class UITool(Sent):
    """A tool of the page's; `parameters` is a JSON schema."""

    description: Annotated[str, Field(max_length=8_000)] | None = None
    parameters: dict[str, Any] | None = None


class UIChatIn(Sent):
    """The whole chat as the page has it; `id` names the conversation, or is a session's id.

    `tools`, by name, and `system` are what a page adds to the body for the model, as in
    `new DefaultChatTransport({body: {tools}})`; assistant-ui does so by itself. `background`, added
    likewise, lets the turn go on when the page is left; `useChat({resume: true})` follows it.
    """

    id: Id
    messages: Annotated[list[UIMessage], Field(min_length=1, max_length=MOST_MESSAGES)]
    trigger: Literal["submit-message", "regenerate-message"] | None = None
    message_id: Annotated[str, Field(max_length=255)] | None = None
    tools: Annotated[dict[Name, UITool], Field(max_length=MOST_TOOLS)] | None = None
    system: str | None = None
    background: bool | None = None
