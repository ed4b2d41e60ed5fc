"""Turns a provider's refusal, an HTTP status and a body, into one of our errors."""

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import msgspec

from agents.runtime.errors import (
    AnswerRefused,
    ContextTooLong,
    ProviderAuth,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RunError,
    UnknownModel,
    UnsupportedContent,
)
from agents.runtime.providers.error_body import ErrorBody, decode_leniently, read_error
from agents.runtime.providers.openai.answer import MESSAGE_FIELDS
from agents.runtime.providers.overflow import says_too_long

logger = logging.getLogger("agents.runtime")

MAX_DETAIL, MAX_TEXT = 500, 4000
SERVER_ERRORS = range(500, 600)
REDIRECTS = range(300, 400)
OK = 200
BY_STATUS: Mapping[int, type[RunError]] = {
    401: ProviderAuth,
    403: ProviderAuth,
    404: UnknownModel,
    408: ProviderTimeout,
    409: ProviderUnavailable,
    413: ContextTooLong,
    425: ProviderUnavailable,
    429: ProviderRateLimited,
}
# These are general: a more specific status within the body is preferred.
GENERAL_STATUSES = {200, 400, 422, 424, 500, 502}
SPECIAL_STATUSES = {401, 402, 403, 404, 408, 413, 429}


class _Spent(ProviderRateLimited):
    """No money is left, or the request is above the limit of a minute: no waiting helps."""


type Meaning = tuple[re.Pattern[str], type[RunError], frozenset[int]]

# General statuses that blame the request; 200 where none is known.
LITTLE = frozenset((OK, 400, 422, 424))
ANY_STATUS = frozenset((OK, *range(300, 600)))
_SEPARATORS = str.maketrans("", "", "_-. :/")


def _meanings(*rows: tuple[str, type[RunError], Iterable[int]]) -> tuple[Meaning, ...]:
    """Compile rows of words, error and the statuses to explain, in the order of precedence."""
    return tuple(
        (re.compile(words, re.IGNORECASE), kind, frozenset(statuses))
        for words, kind, statuses in rows
    )


# The meaning of a code without its separators: "contextlengthexceeded", "RESOURCEEXHAUSTED". The
# numbers are those of Zhipu, MiniMax and Mistral.
SPECIAL_CODES = _meanings(
    (
        r"(?:context|prompt|input)(?:length|window|size|tokens?)*(?:limit)?(?:exceed|toolong"
        r"|overflow|toolarge)|exceedcontext|(?:exceed|max)\w*prompttokens|tokenlimitexceed"
        r"|maxinputtokens|tokenslimitreached|toomany(?:input|prompt)tokens"
        r"|(?:request|entity|payload)toolarge|^(?:1261|3051)$",
        ContextTooLong,
        ANY_STATUS,
    ),
    (
        r"contentfilter|contentpolicy|moderation|safety|datainspection|responsibleaipolicy",
        AnswerRefused,
        ANY_STATUS,
    ),
    (
        r"throttl|ratelimit|toomanyrequests|perminute|^(?:1039|130[235])$",
        ProviderRateLimited,
        ANY_STATUS,
    ),
    (
        r"quota|billing|insufficient(?:balance|credit|fund)|spendlimit|creditbalance"
        r"|paymentrequired|usagelimit|arrearage|^(?:1008|1113)$",
        _Spent,
        ANY_STATUS,
    ),
    (r"resourceexhausted", ProviderRateLimited, ANY_STATUS),
    (
        r"apikey|authentication|unauthenticated|unauthori[sz]ed|permission|accessdenied"
        r"|forbidden|expiredtoken|invalidtoken|unrecognizedclient|invalidsignature|^1004$",
        ProviderAuth,
        ANY_STATUS,
    ),
    (
        r"(?:model|deployment)\w*(?:notfound|notexist|notavailable)|nosuchmodel"
        r"|unknownmodel|invalidmodel|resourcenotfound|^notfound(?:error|exception)?$",
        UnknownModel,
        ANY_STATUS,
    ),
)
OTHER_CODES = _meanings(
    (r"timeout|timedout|deadlineexceeded", ProviderTimeout, LITTLE),
    (r"overloaded|unavailable|capacity|notready", ProviderUnavailable, LITTLE),
    (r"^(?:internal|server|api)", ProviderUnavailable, {OK}),
    (
        r"invalid|badrequest|validation|unprocessable|unsupported|precondition",
        ProviderRejected,
        {OK},
    ),
)
# The meaning of a text that comes without a code.
TEXTS = _meanings(
    (
        r"insufficient[ _](?:quota|balance|credit|fund)|credit balance|out of credits"
        r"|no credits left|in arrears",
        _Spent,
        {OK, 403, 429},
    ),
    (r"request too large .{0,160}per min", _Spent, {OK, 413, 429}),
    (r"exceeded (?:your|the) .{0,20}quota|payment required", _Spent, {OK, 403}),
    (r"requires moderation|was flagged", AnswerRefused, {403}),
    (
        r"content[ _-](?:management |filter(?:ing)? )?policy|content[ _-]filter"
        r"|data may contain inappropriate content",
        AnswerRefused,
        {OK, 400},
    ),
    (
        r"rate[ _-]?limit|too many requests|throttl|slow down|(?:tokens|requests) per min",
        ProviderRateLimited,
        {OK, 400, 500},
    ),
    (
        r"(?:invalid|incorrect|missing|expired|wrong|no) (?:x-)?api[ _-]?key"
        r"|api[ _-]?key (?:is )?(?:not valid|invalid|expired|not found|missing|required)"
        r"|unauthori[sz]ed|authentication (?:failed|required|error)|permission denied",
        ProviderAuth,
        {OK, 400, 422},
    ),
    (
        r"(?:unknown|invalid|no such) model\b|\bmodel\b.{0,80}"
        r"(?:not found|(?:does not|doesn't|not) exist)",
        UnknownModel,
        {OK, 400, 422},
    ),
    (r"timed? ?out|deadline exceeded", ProviderTimeout, {OK}),
)
# The keys of an error that has no object of its own.
BARE_KEYS = (
    "message",
    "msg",
    "detail",
    "errors",
    "fault",
    "exception",
    "base_resp",
    "error_type",
    "error_code",
    "error_message",
    "error_msg",
    "errorType",
    "errorCode",
    "errorMessage",
    "errorMsg",
    "Message",
    "status_msg",
)
# A refusal with one of these is about an image or a file of the request, if it had one.
ATTACHMENTS = re.compile(
    r"image|vision|multi-?modal|content\b.{0,60}must be a string|expected a string"
    r"|media[ _]type|\b(?:file|document|pdf)s?\b",
    re.IGNORECASE,
)
# A shorter key is a placeholder, which is no secret and occurs within other words.
SHORTEST_KEY = 8
SECRETS = re.compile(
    r"(?i)(bearer\s+)[\w.~+/=-]+|\b(?:sk|pk|gsk|xai|key|csk|fw|pplx|r8|hf)[-_][\w*.-]{6,}|\bAIza[\w-]{10,}"
)


def refusal(status: int, body: str, headers: Mapping[str, str]) -> RunError:
    """The error for a refused call; `body` goes to its detail only."""
    return _made(_meaning(status, read_error(body)), f"status {status}: {body}", headers)


def about_attachments(error: RunError) -> RunError:
    """What a refusal means for a request with images or files: the model may not read them."""
    may_be = isinstance(error, ProviderRejected | UnknownModel | ProviderUnavailable)
    if may_be and ATTACHMENTS.search(error.detail):
        return UnsupportedContent(error.detail)
    return error


def error_inside(data: bytes) -> RunError:
    """The error that came within an answer of status 200; it is read like a refusal."""
    return _made(_meaning(200, read_error(data)), data.decode(errors="replace"), {})


def find_error(data: bytes) -> RunError | None:
    """The error that an answer or an event of a stream holds in any place; None without one."""
    try:
        found = _error_in(decode_leniently(data))
    except (ValueError, RecursionError):
        return None
    return None if found is None else error_inside(msgspec.json.encode(found))


def _error_in(answer: object) -> object:
    if isinstance(answer, list):
        return next((found for part in answer if (found := _error_in(part)) is not None), None)
    if not isinstance(answer, dict):
        return None
    if _says_something(answer.get("error")):
        return answer
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        for place in (choice, *(choice.get(name) for name in MESSAGE_FIELDS)):
            if isinstance(place, dict) and _says_something(place.get("error")):
                return {"error": place["error"]}
        if choice.get("finish_reason") == "error":
            return {"message": "the answer ended with an error"}
    return None if choices or answer.get("usage") else _bare_error(answer)


def _bare_error(answer: Mapping[str, Any]) -> object:
    """An answer with neither choices nor usage may itself be an error."""
    signs = [answer.get(key) for key in ("object", "type", "status")]
    if "error" in signs or "failed" in signs or answer.get("success") is False:
        return answer
    if any(_says_something(answer.get(key)) for key in BARE_KEYS):
        return answer
    numbers = {key: answer[key] for key in ("code", "status", "statusCode") if key in answer}
    return answer if read_error(msgspec.json.encode(numbers)).statuses else None


def _says_something(error: object) -> bool:
    return error is True or not read_error(msgspec.json.encode(error)).is_empty


def _meaning(status: int, error: ErrorBody) -> type[RunError]:
    """Read the codes first, then the text, then the status, for every provider in the same way."""
    if status in REDIRECTS:
        return ProviderProtocol
    codes = [code.translate(_SEPARATORS) for code in error.codes]
    text = error.text
    kind = _first(SPECIAL_CODES, codes, status)
    if kind is None and says_too_long(text):
        return ContextTooLong
    status = _special_status(status, error.statuses)
    found = _first(TEXTS, [text[:MAX_TEXT]], status)
    if kind is not None:
        return _Spent if found is _Spent and kind is ProviderRateLimited else kind
    return found or _first(OTHER_CODES, codes, status) or _by_status(status)


def _by_status(status: int) -> type[RunError]:
    if status == OK or status in SERVER_ERRORS:
        return ProviderUnavailable
    return BY_STATUS.get(status, ProviderRejected)


def _special_status(status: int, within: Iterable[int]) -> int:
    """The most specific status: that of the answer, or of the error within it."""
    for other in within:
        if status == OK or (status in GENERAL_STATUSES and other in SPECIAL_STATUSES):
            status = other
    return status


def _first(meanings: Iterable[Meaning], texts: Sequence[str], status: int) -> type[RunError] | None:
    for words, kind, statuses in meanings:
        if status in statuses and any(words.search(text) for text in texts):
            return kind
    return None


def _made(kind: type[RunError], detail: str, headers: Mapping[str, str]) -> RunError:
    if kind is _Spent:
        error: RunError = ProviderRateLimited(detail, retry_after=retry_after(headers))
        error.retryable = False
        return error
    error = kind(detail, retry_after=retry_after(headers))
    # The provider itself says that it did no work.
    error.refused = True
    error.retryable = error.retryable or kind is ProviderTimeout
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `Retry-After` as a number or as a date. RFC 9110, 10.2.3."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def log_failure(provider: str, model: str, error: RunError, *, key: str = "") -> None:
    """Log the provider's report for the operator, without the key that it may echo."""
    name = _one_line(f"{provider}:{model}")
    logger.warning("%s failed with %s: %s", name, error.code, redacted(error.detail, key))


def redacted(text: str, key: str = "") -> str:
    """One short line without keys and without control characters."""
    # Keys are replaced before the text is cut: half a key is a secret too.
    for spelling in _spellings(key) if len(key) >= SHORTEST_KEY else ():
        text = text.replace(spelling, "[key]")
    return _one_line(SECRETS.sub("[key]", text[: 4 * MAX_DETAIL]))[:MAX_DETAIL]


def _one_line(text: str) -> str:
    return "".join(map(_printable, " ".join(text.split())))


def _printable(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _spellings(key: str) -> set[str]:
    """The key as it is, as JSON writes it (some escape the slash) and as a URL does."""
    as_json = json.dumps(key)[1:-1]
    return {key, as_json, as_json.replace("/", "\\/"), quote(key), quote(key, safe="")}
