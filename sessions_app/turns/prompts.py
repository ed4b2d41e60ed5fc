"""A model's prompt in named, measured sections; each text is stored once, by its digest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from math import ceil
from typing import Any
from uuid import UUID

from django.db import transaction

from agents.config.versions.current import CurrentConfig
from agents.runtime.run import RunRequest
from agents.runtime.tools import TOOLS
from salient.ttl import TTLCache
from sessions_app.inputs.turn_input import TurnInput, text_of
from sessions_app.models import LLMRequest, PromptSection

PROMPT, HISTORY = "system prompt", "history"
USER_MESSAGE, TOOL_RESULTS = "user message", "tool results"
# What the caller of the API added: measured, and stored nowhere.
CALLER, INSTRUCTIONS, OUTPUT_FORMAT = "caller", "instructions", "output format"
# Each request's row lists its sections, so a prompt with many headings is cut into a few only.
MOST_PARTS = 12
LONGEST_NAME = 80
_HEADING = re.compile(r"^(?:(?P<fence>```|~~~)|#{1,3}[ \t]+(?P<title>\S.*))", re.MULTILINE)

# The texts of an account that this process knows to be stored.
_stored: TTLCache[tuple[UUID, str], str] = TTLCache(seconds=3600, of_rows=False)


class Sections(list[dict[str, Any]]):
    """The sections as a request's row lists them, and their texts by digest.

    A section is {"name", "source", "bytes", "tokens"} with "digest" where its text is the agent's,
    or "messages" where it is the conversation's, whose rows have the text.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], texts: Mapping[str, str]) -> None:
        super().__init__(rows)
        self.texts = texts


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A section as it is shown; `text` is None when messages have it, or when it was deleted."""

    name: str
    source: str
    bytes: int
    tokens: int
    text: str | None = field(repr=False)
    digest: str = ""
    messages: int = 0


def sections_of(
    request: RunRequest, current: CurrentConfig, asked: TurnInput | None = None
) -> Sections:
    """Return the sections of a request, each with its source.

    `asked` is the turn while the request has no messages yet: app_open_turns measures the
    history.
    """
    origins = current.effective.origins
    fixed = _fixed(
        request.system_prompt,
        origins.get("system_prompt", ""),
        request.tools,
        origins.get("tools", ""),
    )
    texts = (
        [message.content for message in request.messages] if asked is None else [asked.stored_text]
    )
    *before, last = [len(text.encode()) for text in texts]
    measured = [_from_messages(USER_MESSAGE, 1, last)]
    if before:
        measured.insert(0, _from_messages(HISTORY, len(before), sum(before)))
    if asked is not None:
        measured = [*_of_caller(asked), *measured]
    return Sections([*fixed, *measured], fixed.texts)


def _of_caller(asked: TurnInput) -> Iterator[dict[str, Any]]:
    if asked.instructions:
        yield _sized(INSTRUCTIONS, CALLER, len(asked.instructions.encode()))
    for tool in asked.client_tools:
        yield _sized(f"tool: {tool.name}"[:LONGEST_NAME], CALLER, len(text_of(tool).encode()))
    if asked.output_format is not None:
        yield _sized(OUTPUT_FORMAT, CALLER, len(asked.output_format.instruction.encode()))
    if asked.conversation:
        size = sum(len(message.content.encode()) for message in asked.conversation)
        yield _sized(HISTORY, CALLER, size)


def are_stored(account_id: UUID, sections: Sections) -> bool:
    """Whether this process knows, without asking the database, that all texts are stored."""
    return not _unknown(account_id, sections)


def store_sections(account_id: UUID, sections: Sections) -> None:
    """Store the texts that this process does not know to be stored; mostly without a query.

    Call it inside the tenant context, in a transaction that locks nothing else: it waits for
    another turn that stores the same text.
    """
    new = _unknown(account_id, sections)
    if not new:
        return
    PromptSection.objects.bulk_create(
        [
            PromptSection(account_id=account_id, digest=digest, text=sections.texts[digest])
            for digest in new
        ],
        ignore_conflicts=True,
    )
    transaction.on_commit(partial(_note_stored, account_id, new))


def read_sections(request: LLMRequest) -> list[PromptPart]:
    """Return the sections of one request with their texts, in the order of the prompt."""
    return read_sections_of([request])[request.pk]


def read_sections_of(requests: Iterable[LLMRequest]) -> dict[UUID, list[PromptPart]]:
    """Return the sections of many requests by their ids, with one query."""
    requests = list(requests)
    digests = {row["digest"] for each in requests for row in listed(each) if "digest" in row}
    found = PromptSection.objects.filter(
        account_id__in={request.account_id for request in requests}, digest__in=digests
    )
    texts = {
        (account_id, digest): text
        for account_id, digest, text in found.values_list("account_id", "digest", "text")
    }
    return {
        request.pk: [
            PromptPart(text=texts.get((request.account_id, row.get("digest", ""))), **row)
            for row in listed(request)
        ]
        for request in requests
    }


def listed(request: LLMRequest) -> list[dict[str, Any]]:
    """Return the sections as the row lists them, without their texts and without a query."""
    body = request.request_body or {}
    sections: list[dict[str, Any]] = list(body.get("sections", []))
    before = body.get("history_messages", 0)
    if sections and before and all(row["name"] != HISTORY for row in sections):
        sections.insert(-1, _from_messages(HISTORY, before, body["history_bytes"]))
    if sections and (used := (request.response_body or {}).get("tools")):
        # Later calls of the model read these parts of each tool call.
        texts = (f"{call['name']}{call['arguments']}{call['content']}" for call in used)
        sections.append(_sized(TOOL_RESULTS, "tools", sum(len(text.encode()) for text in texts)))
    return sections


def split(prompt: str) -> Iterator[tuple[str, str]]:
    """Cut a prompt at its Markdown headings into (name, text); the joined texts are the prompt."""
    starts = [(0, PROMPT), *_headings(prompt)]
    if len(starts) > 1 and starts[1][0] == 0:
        del starts[0]
    del starts[MOST_PARTS:]
    ends = [start for start, _ in starts[1:]] + [len(prompt)]
    for (start, name), end in zip(starts, ends, strict=True):
        yield name, prompt[start:end]


def _headings(prompt: str) -> Iterator[tuple[int, str]]:
    """Find headings of the first three levels; a # in a fenced block is none."""
    fence = ""
    for found in _HEADING.finditer(prompt):
        if marker := found["fence"]:
            fence = marker if not fence else "" if marker == fence else fence
        elif not fence:
            title = found["title"].rstrip("# \t\r")[:LONGEST_NAME]
            yield found.start(), f"{PROMPT}: {title}" if title else PROMPT


@lru_cache(maxsize=256)
def _fixed(prompt: str, prompt_source: str, tools: tuple[str, ...], tools_source: str) -> Sections:
    """Return the sections that all turns of a configuration share; computed once."""
    parts = [(name, prompt_source, text) for name, text in split(prompt)]
    parts += [(f"tool: {name}", tools_source, _schema(name)) for name in tools]
    named = [
        (name, source, text, sha256(text.encode()).hexdigest()) for name, source, text in parts
    ]
    rows = [
        _sized(name, source, len(text.encode())) | {"digest": digest}
        for name, source, text, digest in named
    ]
    return Sections(rows, {digest: text for _, _, text, digest in named})


def _schema(tool: str) -> str:
    spec = TOOLS[tool].spec
    schema = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return json.dumps(schema, indent=2, ensure_ascii=False)


def _from_messages(name: str, messages: int, size: int) -> dict[str, Any]:
    return _sized(name, "messages", size) | {"messages": messages}


def _sized(name: str, source: str, size: int) -> dict[str, Any]:
    # Four bytes a token, as estimate_tokens() in agents/runtime/providers/base.py counts.
    return {"name": name, "source": source, "bytes": size, "tokens": ceil(size / 4)}


def _unknown(account_id: UUID, sections: Sections) -> list[str]:
    # Sorted, so that two turns that store the same texts lock them in one order.
    return sorted(digest for digest in sections.texts if not _stored.get((account_id, digest)))


def _note_stored(account_id: UUID, digests: Iterable[str]) -> None:
    for digest in digests:
        _stored.put((account_id, digest), digest)
