"""Fields of a request that a server refuses: renamed, left out or made smaller, and remembered.

A refusal that names one of the optional fields is answered with a request that this server takes.
Only what led to an answer is remembered, for each server and model, for an hour.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agents.runtime.providers.base import OutputFormat
from agents.runtime.providers.error_body import ErrorBody, read_error
from agents.runtime.providers.overflow import says_too_long
from salient.ttl import TTLCache

logger = logging.getLogger("agents.runtime")

# As many as there are fields that a server may refuse one after the other.
MOST_REPEATS = 6
REMEMBERED_SECONDS = 3600
# A refusal with one of these may be about a field.
STATUSES = frozenset((400, 422, 500, 501))
MAX_TOKENS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
OPTIONAL = (
    *("stream_options", "temperature", "parallel_tool_calls", "usage", *MAX_TOKENS),
    *("response_format", "tool_choice", "top_p", "seed", "stop"),
)
# Everyday words, which name the field only where they are quoted.
QUOTED_ONLY = {"usage", "seed", "stop"}

# Their values come from a configuration or a caller: only a field that is not known is left out,
# and a value that is out of range stays an error.
CONFIGURED = {"temperature", "tool_choice", "top_p", "seed", "stop", *MAX_TOKENS}
FORMAT = "response_format"

_UNKNOWN = re.compile(
    r"unsupported|(?:not|n't|only) support|unrecogni[sz]ed|not recogni[sz]ed|unknown|unexpected"
    r"|extra[ _](?:inputs?|fields?|forbidden)|not (?:permitted|allowed|accepted|available)"
    r"|(?:not|n't) accept|deprecated|no longer|additional propert|incompatible|not compatible"
    r"|(?:cannot find|no such|forbidden) (?:field|parameter|argument|key|propert)|is forbidden"
    r"|only (?:the )?(?:default|['\"`]?temperature|\d(?:\.\d)?\b)|only be set to|is fixed"
    r"|must (?:be|equal|be set to) (?:exactly )?1(?:\.0)?\b(?!\.\d| or| to| and)"
    r"|cannot be (?:used|set|specified)|use ['\"`]?max_",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(r"too (?:large|big|high|many)|exceed", re.IGNORECASE)
# What follows is a list of what the server does know.
_KNOWN_LIST = re.compile(
    r"expected one of|(?:supported|allowed|valid|known|permitted|available) (?:parameters|fields"
    r"|arguments|keys|values|properties)|did you mean",
    re.IGNORECASE,
)
_NO_SYSTEM = re.compile(
    r"(?:system|developer)['\"`]? (?:role|message|prompt|instruction)s?\b.{0,60}"
    r"(?:not|n't|un)[ ]?(?:support|allow|enabled|accept|permit)"
    r"|(?:role|support)s?\b.{0,40}\bsystem\b.{0,60}(?:with this model|not|invalid|unsupported)"
    r"|(?:invalid|unsupported|unknown) (?:role|message role)\b.{0,20}\bsystem\b"
    r"|only user and assistant roles|^(?!.*optional system).*roles must alternate",
    re.IGNORECASE,
)
_USE_DEVELOPER = re.compile(r"(?:use|with|to).{0,20}\bdeveloper\b", re.IGNORECASE)
_LEFT_OVER = re.compile(r"\(\d{1,9} > (\d{1,9}) - (\d{1,9})\)")
# A lookahead, because the words before one number may overlap those before another.
_MOST = re.compile(
    r"(?=(?:at most|up to|<=|≤|<|>|less than(?: or equal to)?|limit(?: of| is|:)?"
    r"|max(?:imum)?(?: (?:value|output|allowed|completion|number|of|tokens|length|is|for)){0,6}:?"
    r"|[\[(]\d{1,3},|between \d{1,3} and|exceeds?) ?['\"`]?(\d[\d,]{1,11})\b)",
    re.IGNORECASE,
)
# No model writes less: a smaller number is something else.
_LEAST_LIMIT = 16


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How a request must differ for a server to take it.

    `system` is the role of the system prompt; "user" puts it before the first message.
    """

    without: frozenset[str] = frozenset()
    renamed: Mapping[str, str] | None = None
    most_tokens: int | None = None
    system: str = "system"
    # The limit holds for this conversation only, so it is not remembered.
    passing: bool = False

    def apply(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change a request's body in place, and return it."""
        for field, other in (self.renamed or {}).items():
            if field in body:
                body[other] = body.pop(field)
        if FORMAT in self.without and FORMAT in body:
            body["messages"] = _asked_in_words(body[FORMAT], body["messages"])
        for field in self.without:
            body.pop(field, None)
        for field in MAX_TOKENS:
            if field in body and self.most_tokens is not None:
                body[field] = min(body[field], self.most_tokens)
        if self.system != "system":
            body["messages"] = _with_system_as(self.system, body["messages"])
        return body

    def after(self, refused: Mapping[str, Any], answer: str) -> "Adaptation | None":
        """What to try after this body was refused; None where the answer names no such field."""
        error = read_error(answer)
        text = error.text[:4000]
        if says_too_long(text):
            return None
        first = refused["messages"][0]["role"]
        if first in {"system", "developer"} and _refuses_system(error, text):
            wanted = "developer" if first == "system" and _USE_DEVELOPER.search(text) else "user"
            return replace(self, system=wanted)
        named = _named(refused, error, text)
        if not _is_unknown(error, text):
            for limit in named.intersection(MAX_TOKENS):
                if (smaller := self._smaller(limit, refused[limit], text)) is not None:
                    return smaller
            named -= CONFIGURED
            if FORMAT in named:
                # This caller's schema: the server may well take another one.
                return replace(self._without({FORMAT}), passing=True)
        return self._without(named) if named else None

    def _smaller(self, field: str, requested: int, text: str) -> "Adaptation | None":
        """With the most tokens that the text allows, where it says that these are too many."""
        if left := _LEFT_OVER.search(text):
            most = int(left[1]) - int(left[2])
            if 0 < most < requested:
                return replace(self, most_tokens=most, passing=True)
        numbers = (int(number.replace(",", "")) for number in _MOST.findall(text))
        fitting = [number for number in numbers if _LEAST_LIMIT <= number < requested]
        if fitting:
            return replace(self, most_tokens=max(fitting))
        too_much = _TOO_MUCH.search(text) is not None
        return replace(self, without=self.without | {field}) if too_much else None

    def _without(self, named: set[str]) -> "Adaptation":
        renamed = dict(self.renamed or {})
        without = set(self.without)
        for field in named:
            other = MAX_TOKENS.get(field)
            if other is None or renamed.get(other) == field:
                # The other name was refused before.
                without.add(field)
            else:
                renamed[field] = other
        return replace(self, without=frozenset(without), renamed=renamed)


_UNCHANGED = Adaptation()
_remembered: TTLCache[tuple[str, str], Adaptation] = TTLCache(
    seconds=REMEMBERED_SECONDS, of_rows=False
)


def adaptation_for(url: str, model: str) -> Adaptation:
    return _remembered.get((url, model)) or _UNCHANGED


def remember(url: str, model: str, adaptation: Adaptation, *, name: str) -> None:
    """Keep the adaptation that led to an answer; log once what is left out."""
    if adaptation.passing:
        return
    before = adaptation_for(url, model)
    _remembered.put((url, model), adaptation)
    for field in adaptation.without - before.without:
        logger.warning("%s does not take %s: it is left out for an hour", name, field)


def _refuses_system(error: ErrorBody, text: str) -> bool:
    places = (re.split(r"[^\w]+", param.rstrip("]")) for param in error.params)
    return _NO_SYSTEM.search(text) is not None or any(
        place[-3:] == ["messages", "0", "role"] for place in places
    )


def _named(refused: Mapping[str, Any], error: ErrorBody, text: str) -> set[str]:
    """The optional fields of this body that the error names."""
    sent = [field for field in OPTIONAL if field in refused]
    places = {part for param in error.params for part in re.split(r"[^\w]+", param)}
    if named := places.intersection(sent):
        return named
    before_list = _KNOWN_LIST.split(text, maxsplit=1)[0]
    return {field for field in sent if _names(before_list, field)}


def _names(text: str, field: str) -> bool:
    quote = "['\"`]" if field in QUOTED_ONLY else ""
    return re.search(rf"{quote}(?<![\w.]){field}(?!\w){quote}", text) is not None


def _is_unknown(error: ErrorBody, text: str) -> bool:
    codes = " ".join(error.codes).replace("_", " ")
    return _UNKNOWN.search(text) is not None or _UNKNOWN.search(codes) is not None


def _asked_in_words(
    response_format: Mapping[str, Any], messages: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Ask for the format in the system prompt; one JSON object is asked for there already."""
    schema = response_format.get("json_schema")
    if schema is None:
        return messages
    instruction = OutputFormat(schema["schema"]).instruction
    if messages and messages[0]["role"] == "system":
        system, *others = messages
        return [{**system, "content": f"{system['content']}\n\n{instruction}"}, *others]
    return [{"role": "system", "content": instruction}, *messages]


def _with_system_as(role: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not messages or messages[0]["role"] != "system":
        return messages
    system, *others = messages
    if role == "developer":
        return [{**system, "role": role}, *others]
    if others and others[0]["role"] == "user":
        content = f"{system['content']}\n\n{others[0]['content']}"
        return [{**others[0], "content": content}, *others[1:]]
    return [{**system, "role": "user"}, *others]
