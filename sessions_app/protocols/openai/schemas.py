"""What clients of OpenAI's chat API send.

Fields that only tune a model and that we do not know are ignored, as new ones appear every month.
Fields that change what the answer is, and that we cannot honour, are refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from salient.api.schemas import In

type Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
MOST_MESSAGES, MOST_TOOLS = 2_000, 128


class Known(In):
    """An object of which only the known fields are read."""

    model_config = ConfigDict(extra="ignore", strict=True)


class TextPart(Known):
    type: Literal["text"]
    text: str


class RefusalPart(Known):
    type: Literal["refusal"]
    refusal: str


class ImageURL(Known):
    url: str
    detail: Annotated[str, Field(max_length=20)] | None = None


class ImagePart(Known):
    type: Literal["image_url"]
    image_url: ImageURL


class FileData(Known):
    file_data: str | None = None
    file_id: str | None = None
    filename: Annotated[str, Field(max_length=255)] | None = None


class FilePart(Known):
    type: Literal["file"]
    file: FileData


class AudioPart(Known):
    type: Literal["input_audio"]


type UserPart = Annotated[TextPart | ImagePart | FilePart | AudioPart, Field(discriminator="type")]
type AnswerPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


class InstructionMessage(Known):
    role: Literal["system", "developer"]
    content: str | list[TextPart]


class UserMessage(Known):
    role: Literal["user"]
    content: str | list[UserPart]


class CalledFunction(Known):
    name: Annotated[str, Field(max_length=64)]
    arguments: str


class CallIn(Known):
    id: Annotated[str, Field(min_length=1, max_length=128)]
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(Known):
    role: Literal["assistant"]
    content: str | list[AnswerPart] | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[CallIn], Field(max_length=MOST_TOOLS)] | None = None


class ToolMessage(Known):
    role: Literal["tool"]
    content: str | list[TextPart]
    tool_call_id: str


type MessageIn = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class FunctionIn(Known):
    name: Name
    description: Annotated[str, Field(max_length=8_000)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolIn(Known):
    type: Literal["function"]
    function: FunctionIn


class NamedFunction(Known):
    name: str


class NamedTool(Known):
    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Known):
    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class AllowedToolsChoice(Known):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class TextFormat(Known):
    type: Literal["text"]


class JSONFormat(Known):
    type: Literal["json_object"]


class NamedSchema(Known):
    name: Name
    description: Annotated[str, Field(max_length=8_000)] | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class SchemaFormat(Known):
    type: Literal["json_schema"]
    json_schema: NamedSchema


class StreamOptions(Known):
    include_usage: bool | None = None


type Tokens = Annotated[int, Field(ge=1)]


class ChatCompletionIn(Known):
    """A conversation, and how it is to be answered; `model` is the slug of an agent."""

    model: Annotated[str, Field(max_length=255)]
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=MOST_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[ToolIn], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: (
        Literal["none", "auto", "required"]
        | Annotated[NamedTool | AllowedToolsChoice, Field(discriminator="type")]
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    response_format: (
        Annotated[TextFormat | JSONFormat | SchemaFormat, Field(discriminator="type")] | None
    ) = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Annotated[str, Field(max_length=500)] | list[str] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    metadata: dict[str, Annotated[str, Field(max_length=512)]] | None = None
    store: bool | None = None
    user: Annotated[str, Field(max_length=255)] | None = None
    # Refused where they ask for another answer than one text.
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    functions: list[Any] | None = None
    function_call: str | dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
