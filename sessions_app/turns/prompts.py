"""What a model was told, in sections: named, measured, and each text stored once by its content."""

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
from sessions_app.models import LLMRequest, PromptSection

PROMPT, HISTORY, SAID, TOOLS_USED = "system prompt", "history", "user message", "tool results"
# Each request's row lists its sections: a prompt with a hundred headings is not a hundred of them.
MOST_PARTS = 12
LONGEST_NAME = 80
_HEADING = re.compile(r"^(?:(?P<fence>```|~~~)|#{1,3}[ \t]+(?P<title>\S.*))", re.MULTILINE)

# Which texts of an account this process knows to be stored.
_stored: TTLCache[tuple[UUID, str], str] = TTLCache(seconds=3600)


class Sections(list[dict[str, Any]]):
    """The sections as a request's row has them, and beside them the texts that their digests name.

    A section is {"name", "source", "bytes", "tokens"} with "digest" where its text is the agent's,
    or "messages" where it is the conversation's, whose rows have the text.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], texts: Mapping[str, str]) -> None:
        super().__init__(rows)
        self.texts = texts


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A section as it is shown; `text` is None where messages hold it, or where it is gone."""

    name: str
    source: str
    bytes: int
    tokens: int
    text: str | None = field(repr=False)
    digest: str = ""
    messages: int = 0


def sections_of(request: RunRequest, current: CurrentConfig, said: str | None = None) -> Sections:
    """Say what the model is told and where each part comes from.

    `said` is the user's message while the request has none yet: app_open_turn measures the rest.
    """
    origins = current.effective.origins
    fixed = _fixed(
        request.system_prompt,
        origins.get("system_prompt", ""),
        request.tools,
        origins.get("tools", ""),
    )
    texts = [said] if said is not None else [message.content for message in request.messages]
    *before, last = [len(text.encode()) for text in texts]
    told = [_from_messages(SAID, 1, last)]
    if before:
        told.insert(0, _from_messages(HISTORY, len(before), sum(before)))
    return Sections([*fixed, *told], fixed.texts)


def are_stored(account_id: UUID, sections: Sections) -> bool:
    """Tell, without asking the database, whether this process knows that all texts are stored."""
    return not _news(account_id, sections)


def store_sections(account_id: UUID, sections: Sections) -> None:
    """Store the texts that this process does not know to be stored; mostly it asks nothing.

    Call it inside the tenant's door, in a transaction that locks nothing else: a text that another
    turn stores at this moment is waited for.
    """
    new = _news(account_id, sections)
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
    """Return the sections of one request with their texts, in the order in which they were told."""
    return read_sections_of([request])[request.pk]


def read_sections_of(requests: Iterable[LLMRequest]) -> dict[UUID, list[PromptPart]]:
    """Return the sections of many requests by their ids; one query, whatever their number."""
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
    """Return the sections as the row lists them: without a query, and without texts."""
    asked, came = request.request_body or {}, request.response_body or {}
    sections: list[dict[str, Any]] = list(asked.get("sections", []))
    before = asked.get("history_messages", 0)
    if sections and before and all(row["name"] != HISTORY for row in sections):
        sections.insert(-1, _from_messages(HISTORY, before, asked["history_bytes"]))
    if sections and (used := came.get("tools")):
        sections.append(_sized(TOOLS_USED, "tools", sum(map(_tool_bytes, used))))
    return sections


def _tool_bytes(used: Mapping[str, str]) -> int:
    """Measure what a later call of the model was told of a tool's call."""
    return len(f"{used['name']}{used['arguments']}{used['content']}".encode())


def split(prompt: str) -> Iterator[tuple[str, str]]:
    """Cut a prompt at its Markdown headings into names and texts; joined again it is the prompt."""
    starts = [(0, PROMPT), *_headings(prompt)]
    if len(starts) > 1 and starts[1][0] == 0:
        del starts[0]
    del starts[MOST_PARTS:]
    ends = [start for start, _ in starts[1:]] + [len(prompt)]
    for (start, name), end in zip(starts, ends, strict=True):
        yield name, prompt[start:end]


def _headings(prompt: str) -> Iterator[tuple[int, str]]:
    """Find headings of the first three levels; in a fenced block a # is none."""
    fence = ""
    for found in _HEADING.finditer(prompt):
        if mark := found["fence"]:
            fence = mark if not fence else "" if mark == fence else fence
        elif not fence:
            title = found["title"].rstrip("# \t\r")[:LONGEST_NAME]
            yield found.start(), f"{PROMPT}: {title}" if title else PROMPT


@lru_cache(maxsize=256)
def _fixed(prompt: str, prompt_source: str, tools: tuple[str, ...], tools_source: str) -> Sections:
    """What all turns of a configuration are told; split, measured and hashed once."""
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
    told = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _from_messages(name: str, messages: int, size: int) -> dict[str, Any]:
    return _sized(name, "messages", size) | {"messages": messages}


def _sized(name: str, source: str, size: int) -> dict[str, Any]:
    # As estimate_tokens() in agents/runtime/providers/base.py has it: four bytes each.
    return {"name": name, "source": source, "bytes": size, "tokens": ceil(size / 4)}


def _news(account_id: UUID, sections: Sections) -> list[str]:
    # Sorted, so that two turns which store the same texts wait for each other in one order.
    return sorted(digest for digest in sections.texts if not _stored.get((account_id, digest)))


def _note_stored(account_id: UUID, digests: Iterable[str]) -> None:
    for digest in digests:
        _stored.put((account_id, digest), digest)
