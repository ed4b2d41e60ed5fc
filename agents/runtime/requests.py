"""What a run is asked for: the models, the conversation, and the bounds of both."""

from collections.abc import Mapping

import msgspec

from agents.runtime.providers import Connection
from agents.runtime.providers.base import ChatMessage, OutputFormat, ToolChoice, ToolSpec
from salient.texts import paragraphs


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. `total` is for the whole run, its tools and retries included."""

    connect: float = 5.0
    first_token: float = 30.0
    stall: float = 20.0
    total: float = 180.0


class RunRequest(msgspec.Struct, frozen=True):
    """`models` are written "provider:model": the wanted one, then the ones to fall back to.

    `connections` are the account's own servers, for models written "connection/<name>:model".
    `stream` says that the caller reads the answer as it comes; the provider is asked to stream
    in any case. `instructions` are the caller's, after the agent's own prompt. `client_tools` are
    run by the caller: a call of one ends the run, and `call_prefix` makes its id unique.
    """

    models: tuple[str, ...]
    system_prompt: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    tools: tuple[str, ...] = ()
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    retries: int = 2
    max_tool_rounds: int = 5
    stream: bool = True
    connections: Mapping[str, Connection] = msgspec.field(default_factory=dict)
    instructions: str = ""
    client_tools: tuple[ToolSpec, ...] = ()
    call_prefix: str = "call_"
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def whole_prompt(self) -> str:
        """What the model is told before the conversation: the agent's own, then the caller's."""
        return paragraphs((self.system_prompt, self.instructions))
