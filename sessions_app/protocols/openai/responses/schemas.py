"""What clients of OpenAI's Responses API send; fields that only tune a model are passed over."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from salient.api.schemas import Whole
from sessions_app.protocols.openai.schemas import MOST_MESSAGES, MOST_TOOLS, Known, Name, Tokens

type CallId = Annotated[str, Field(min_length=1, max_length=128)]


class InputText(Known):
    type: Literal["input_text", "output_text", "text"]
    text: str


class InputRefusal(Known):
    type: Literal["refusal"]
    refusal: str


class InputImage(Known):
    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Annotated[str, Field(max_length=20)] | None = None


class InputFile(Known):
    type: Literal["input_file"]
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: Annotated[str, Field(max_length=255)] | None = None


class InputAudio(Known):
    type: Literal["input_audio"]


type Part = Annotated[
    InputText | InputRefusal | InputImage | InputFile | InputAudio, Field(discriminator="type")
]


class MessageItem(Known):
    """A message; replayed ones come with an id and a status, or without."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]
    id: str | None = None


class FunctionCallItem(Known):
    type: Literal["function_call"]
    call_id: CallId
    name: Annotated[str, Field(max_length=64)]
    arguments: str


class FunctionCallOutputItem(Known):
    type: Literal["function_call_output"]
    call_id: CallId
    output: str | list[Part]


class ReasoningItem(Known):
    """What a model thought; none of ours, so it is passed over."""

    type: Literal["reasoning"]


class ItemReference(Known):
    """An item of an earlier response, by its id."""

    type: Literal["item_reference"] | None = None
    id: Annotated[str, Field(min_length=1, max_length=128)]


def _kind(item: Any) -> str:
    """Return an item's type; the short forms of a message and of a reference have none."""
    found = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    if found is None and isinstance(item, dict):
        return "item_reference" if "id" in item and "role" not in item else "message"
    return str(found)


type InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[FunctionCallOutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[ItemReference, Tag("item_reference")],
    Discriminator(_kind),
]


class FunctionTool(Known):
    type: Literal["function"]
    name: Name
    description: Annotated[str, Field(max_length=8_000)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedFunctionTool(Known):
    type: Literal["function"]
    name: str


class AllowedFunctionTools(Known):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[NamedFunctionTool]


class PlainFormat(Known):
    type: Literal["text"]


class ObjectFormat(Known):
    type: Literal["json_object"]


class JSONSchemaFormat(Known):
    type: Literal["json_schema"]
    name: Name
    description: Annotated[str, Field(max_length=8_000)] | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class TextIn(Known):
    format: (
        Annotated[PlainFormat | ObjectFormat | JSONSchemaFormat, Field(discriminator="type")] | None
    ) = None


class ConversationIn(Known):
    id: str


class ResponseIn(Known):
    """What a response is asked for with; `model` is the slug of an agent."""

    model: Annotated[str, Field(max_length=255)]
    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=MOST_MESSAGES)]
    instructions: str | None = None
    stream: bool | None = None
    previous_response_id: Annotated[str, Field(max_length=128)] | None = None
    conversation: str | ConversationIn | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: (
        Literal["none", "auto", "required"]
        | Annotated[NamedFunctionTool | AllowedFunctionTools, Field(discriminator="type")]
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    text: TextIn | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_output_tokens: Tokens | None = None
    metadata: dict[str, Annotated[str, Field(max_length=512)]] | None = None
    store: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: Annotated[str, Field(max_length=255)] | None = None
    safety_identifier: Annotated[str, Field(max_length=255)] | None = None
    prompt_cache_key: Annotated[str, Field(max_length=255)] | None = None
    include: list[str] | None = None
    background: bool | None = None
    # Refused where they ask for another answer than one text.
    prompt: dict[str, Any] | None = None
    top_logprobs: int | None = None


class InputItemsIn(Known):
    """A page of a response's input, the newest item first unless `order` is `asc`."""

    limit: Annotated[Whole, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: Annotated[str, Field(max_length=160)] | None = None


class ReadResponseIn(Known):
    """How a stored response is read: whole, or as its events after the one with that number."""

    stream: bool | None = None
    starting_after: Annotated[int, Field(ge=0)] | None = None
