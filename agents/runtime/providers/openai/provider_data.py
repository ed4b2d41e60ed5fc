"""What a provider wants back with the tool calls of its answer, unchanged."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agents.runtime.errors import ProviderProtocol
from agents.runtime.providers.characters import clean, whole_characters
from agents.runtime.providers.openai.answer import Message

# The most that one answer may think; a stream without end is cut here.
MAX_REASONING_CHARACTERS = 4 * 1024 * 1024
NAMES = tuple(
    name
    for name in Message.__struct_fields__
    if name not in {"content", "refusal", "tool_calls", "function_call", "error"}
)
# Of OpenRouter's `reasoning_details`: the texts that come in pieces.
_TEXTS = {"reasoning.text": "text", "reasoning.summary": "summary"}


class ProviderData:
    """Collects the fields over the deltas: texts are joined, lists are merged."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {}
        self._size = 0

    def take(self, message: Message) -> bool:
        """Keep these fields of a message or a delta; return whether it has any."""
        # Each field by name: a loop would take as long as decoding the delta does.
        if (
            message.reasoning_content is None
            and message.reasoning is None
            and message.reasoning_details is None
            and message.reasoning_text is None
            and message.reasoning_opaque is None
            and message.thinking_blocks is None
            and message.extra_content is None
        ):
            return False
        found = False
        for name in NAMES:
            if (value := getattr(message, name)) is not None:
                self._add(name, value)
                found = found or bool(value)
        return found

    def result(self) -> dict[str, Any] | None:
        return {name: _whole(parts) for name, parts in self._parts.items()} or None

    def _add(self, name: str, value: Any) -> None:
        parts = self._parts.setdefault(name, [])
        if not value and parts:
            return
        if isinstance(value, str):
            self._size += len(value)
        else:
            value = clean(value)
            self._size += len(msgspec.json.encode(value))
        if self._size > MAX_REASONING_CHARACTERS:
            raise ProviderProtocol("the thoughts of the model have no end")
        parts.append(value)


def _whole(parts: list[Any]) -> Any:
    if all(isinstance(part, str) for part in parts):
        return whole_characters("".join(parts))
    if all(isinstance(part, list) for part in parts):
        return _merged(item for part in parts for item in part)
    if all(isinstance(part, dict) for part in parts):
        return {key: value for part in parts for key, value in part.items()}
    return parts[-1]


def _merged(items: Iterable[Any]) -> list[Any]:
    """Join the pieces of a text that have the same number; all else stays as it is."""
    merged: list[Any] = []
    texts: list[str] = []
    for item in items:
        if merged and _goes_on(merged[-1], item):
            name = _TEXTS[item["type"]]
            texts.append(item.get(name) or "")
            merged[-1] |= {key: value for key, value in item.items() if value is not None}
            continue
        _join(merged, texts)
        texts = [item.get(_TEXTS.get(item.get("type"), "")) or ""] if _is_text(item) else []
        merged.append(item)
    _join(merged, texts)
    return merged


def _join(merged: list[Any], texts: list[str]) -> None:
    if len(texts) > 1:
        merged[-1] |= {_TEXTS[merged[-1]["type"]]: whole_characters("".join(texts))}


def _is_text(item: Any) -> bool:
    if not isinstance(item, dict) or item.get("type") not in _TEXTS:
        return False
    return isinstance(item.get(_TEXTS[item["type"]], ""), str | None)


def _goes_on(before: Any, item: Any) -> bool:
    return (
        _is_text(before)
        and _is_text(item)
        and all(before.get(key) == item.get(key) for key in ("type", "index"))
        and (None in (before.get("id"), item.get("id")) or before["id"] == item["id"])
        # A signature ends the text that it is for.
        and not (before.get("signature") and item.get(_TEXTS[item["type"]]))
    )
