"""What a provider's refusal means: an HTTP status and a body become one of our errors."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from agents.runtime.errors import (
    ContextTooLong,
    ProviderAuth,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RunError,
    UnknownModel,
)

logger = logging.getLogger("agents.runtime")

MAX_DETAIL = 500
SERVER_ERRORS = range(500, 600)
REDIRECTS = range(300, 400)
BY_STATUS: Mapping[int, type[RunError]] = {
    401: ProviderAuth,
    403: ProviderAuth,
    404: UnknownModel,
    409: ProviderUnavailable,
    413: ContextTooLong,
}
# Every provider words it differently; these are what OpenAI, vLLM, llama.cpp, Mistral,
# Anthropic, Google and Ollama write.
TOO_LONG = re.compile(
    r"context.{0,3}(length|window|size)|maximum context|prompt is too long|too many tokens"
    r"|too large for model|input token count|reduce the length",
    re.IGNORECASE,
)
SECRETS = re.compile(
    r"(?i)(bearer\s+)[\w.~+/=-]+|\b(?:sk|pk|gsk|xai|key|csk|fw|pplx|r8|hf)[-_][\w*.-]{6,}|\bAIza[\w-]{10,}"
)


def refusal(status: int, body: str, headers: Mapping[str, str]) -> RunError:
    """The error for an answer that is none; `body` goes to its detail only."""
    detail = f"status {status}: {body}"
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        return _rate_limited(detail, body, headers)
    if status == 408:  # noqa: PLR2004 - Request Timeout
        error: RunError = ProviderTimeout(detail)
        error.retryable = error.refused = True
        return error
    if status in SERVER_ERRORS:
        return ProviderUnavailable(detail, retry_after=retry_after(headers))
    if status in REDIRECTS:
        redirected = ProviderProtocol(detail)
        redirected.refused = True
        return redirected
    if status in BY_STATUS:
        return BY_STATUS[status](detail)
    return ContextTooLong(detail) if TOO_LONG.search(body) else ProviderRejected(detail)


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
    """Tell whoever runs the service what the provider said, without the key that it may echo."""
    logger.warning(
        "%s:%s failed with %s: %s", provider, model, error.code, redacted(error.detail, key)
    )


def redacted(text: str, key: str = "") -> str:
    """One line, short, without keys."""
    # Before anything is cut off: half a key is a secret too.
    for spelling in _spellings(key) if key else ():
        text = text.replace(spelling, "[key]")
    text = text[: 4 * MAX_DETAIL]
    text = SECRETS.sub("[key]", text)
    return " ".join(text.split())[:MAX_DETAIL]


def _spellings(key: str) -> set[str]:
    """The key as it is, as JSON writes it (some escape the slash) and as a URL does."""
    as_json = json.dumps(key)[1:-1]
    return {key, as_json, as_json.replace("/", "\\/"), quote(key), quote(key, safe="")}


def _rate_limited(detail: str, body: str, headers: Mapping[str, str]) -> RunError:
    error = ProviderRateLimited(detail, retry_after=retry_after(headers))
    # OpenAI's word for an account without money: no waiting helps.
    error.retryable = "insufficient_quota" not in body
    return error
