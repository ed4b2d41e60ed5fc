"""Reads the body of a provider's error, in any shape: JSON nested in texts, lists, plain text."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agents.runtime.providers.characters import clean

# Beyond these bounds a body only repeats itself.
DEEPEST, MOST_PARTS, MOST_TEXTS = 8, 400, 40
# Of all texts together: a longer body is the echo of a request, and slow to search.
MOST_CHARACTERS = 32 * 1024

# Keys are compared in lower case without "_" and "-".
_CODE_KEYS = {"code", "type", "status", "kind", "reason", "name", "error", "object"}
_CODE_KEYS |= {"statuscode", "errortype", "errorcode", "errcode", "errorstatus", "upstreamstatus"}
_CODE_KEYS |= {"httpstatus", "httpcode", "httpstatuscode", "providererrorcode"}
_TEXT_KEYS = {"message", "msg", "detail", "details", "error", "errors", "reason", "title", "text"}
_TEXT_KEYS |= {"errormessage", "errormsg", "errmsg", "statusmsg", "statusmessage", "raw", "body"}
_TEXT_KEYS |= {"description", "errordescription", "cause", "exception", "fault", "faultstring"}
_PARAM_KEYS = {"param", "parameter", "field", "property", "argument", "pointer"}
_PLACE_KEYS = {"loc", "path"}
# What the caller sent, and what belongs to no error.
_SKIPPED = {"input", "ctx", "request", "requestbody", "choices", "usage", "headers"}

_GOOD_WORDS = frozenset(("", "null", "none", "false", "success", "succeeded", "ok", "completed"))

_WORD = re.compile(r"[A-Za-z][\w.:/-]{1,79}", re.ASCII)
_STATUS = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.]*\d)", re.ASCII)
_NAMED_STATUS = re.compile(
    r"\b(?:error|status|http)(?:[ _]?(?:code|error))?[ :=(/]{1,3}([45]\d\d)\b", re.IGNORECASE
)
_ERROR_CLASS = re.compile(r"\b[A-Z][A-Za-z]{2,60}?(?:Error|Exception|Exceeded)\b", re.ASCII)
# What is left of JSON that was cut off, or of Python's way to write a dict.
_FIELD = re.compile(
    r"""["'](code|type|status|status_code|error_type|param)["']\s{0,3}:\s{0,3}["']?([\w.:-]{1,80})""",
    re.ASCII,
)
_KEY_SEPARATORS = str.maketrans("", "", "_-")


@dataclass(slots=True)
class ErrorBody:
    """The HTTP statuses, codes, texts and parameters that an error names, the outer ones first."""

    statuses: list[int] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    _parts: int = 0
    _characters: int = 0

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    @property
    def is_empty(self) -> bool:
        """Whether it is the empty error that some servers put beside a good answer."""
        words = {text.lower() for text in (*self.codes, *self.texts)}
        return not self.statuses and words <= _GOOD_WORDS

    def add(self, key: str, value: object, depth: int = 0) -> None:
        """Take a value that stood under this key, and whatever it holds."""
        self._parts += 1
        if self._parts > MOST_PARTS or depth > DEEPEST:
            return
        if isinstance(value, dict):
            for name, part in value.items():
                plain = str(name).lower().translate(_KEY_SEPARATORS)
                if plain not in _SKIPPED:
                    self.add(plain, part, depth + 1)
        elif isinstance(value, list):
            self._add_list(key, value, depth)
        elif isinstance(value, str):
            self._add_text(key, value.strip(), depth)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._add_number(key, value)

    def _add_list(self, key: str, values: list[Any], depth: int) -> None:
        if key in _PLACE_KEYS:
            self.params.append(".".join(str(value) for value in values[:DEEPEST]))
            return
        for value in values:
            self.add(key, value, depth + 1)

    def _add_number(self, key: str, number: float) -> None:
        if key not in _CODE_KEYS or not float(number).is_integer():
            return
        if 400 <= number < 600:  # noqa: PLR2004 - HTTP's errors
            self.statuses.append(int(number))
        elif number >= 1000:  # noqa: PLR2004 - a code of the provider's own
            self.codes.append(str(int(number)))

    def _add_text(self, key: str, text: str, depth: int) -> None:
        text = self._bounded(text)
        if not text:
            return
        if key in _PARAM_KEYS or key in _PLACE_KEYS:
            self.params.append(text)
        elif key in _CODE_KEYS and text.isdecimal():
            self._add_number(key, int(text[:9]))
        elif key in _CODE_KEYS and _is_code(text):
            self._add_code(text)
            if key in _TEXT_KEYS:
                self.texts.append(text)
        elif (key in _TEXT_KEYS or key in _CODE_KEYS) and len(self.texts) < MOST_TEXTS:
            self.texts.append(text)
            self._look_inside(text, depth)

    def _bounded(self, text: str) -> str:
        """Return the beginning and the end of a text, within what may still be read."""
        left = MOST_CHARACTERS - self._characters
        if len(text) > left:
            text = text[: left // 2] + text[len(text) - left // 2 :]
        self._characters += len(text)
        return text

    def _add_code(self, text: str) -> None:
        if status := _STATUS.search(text):
            self.statuses.append(int(status[1]))
        elif text not in {"None", "null", "error"}:
            self.codes.append(text)

    def _look_inside(self, text: str, depth: int) -> None:
        """Routers put the whole error of another server into their message."""
        inner = _json_inside(text)
        if inner is not None:
            self.add("message", inner, depth + 1)
        else:
            for name, value in _FIELD.findall(text)[:DEEPEST]:
                self._add_text(name.translate(_KEY_SEPARATORS), value, depth)
        self.statuses += [int(status) for status in _NAMED_STATUS.findall(text)[:2]]
        self.codes += _ERROR_CLASS.findall(text)[:DEEPEST]


def decode_leniently(body: bytes | str) -> Any:
    """Read JSON, also where it holds NaN or halves of characters; raises ValueError."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
        return clean(json.loads(text.strip("\ufeff\x00"), parse_constant=lambda _: None))


def read_error(body: bytes | str) -> ErrorBody:
    """Read a body; what is no JSON is one text."""
    error = ErrorBody()
    try:
        error.add("message", decode_leniently(body))
    except (ValueError, RecursionError):
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
        error.add("message", text)
    return error


def _is_code(text: str) -> bool:
    return _WORD.fullmatch(text) is not None or (len(text) <= 40 and bool(_STATUS.search(text)))  # noqa: PLR2004


def _json_inside(text: str) -> object:
    starts = [at for at in (text.find("{"), text.find("[{")) if at >= 0]
    end = max(text.rfind("}"), text.rfind("}]") + 1)
    if not starts or end < 0:
        return None
    try:
        return msgspec.json.decode(text[min(starts) : end + 1])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
