"""Takes keys and tokens out of texts, and out of the log also stored texts and idle tracebacks."""

import logging
import re
from copy import copy

# `sal_sk_<id>_<secret>`, also when it was cut off, and a key without its prefix.
_KEY = re.compile(r"(sal_[a-z]{2}_[0-9A-Za-z]+|\b[0-9A-Za-z]{12})_(?:[0-9A-Za-z]+|…|%E2%80%A6)")
# Bearer tokens have no public part.
_BEARER = re.compile(r"(sal_[vp]t_)[^\s&\"']+")
_SHORTEST_SECRET = 32
# Links that are sent by e-mail: /accounts/{account}/invitations/{token}/, and /keys/{token}/;
# /password/{user}/{token}/.
_TOKEN = re.compile(r"(/(?:invitations|keys|password/[^/\s?]+)/)[^/\s?]+(?=/)")
# What PostgreSQL adds to an error: the row that it refused, or the JSON that it could not read.
# The row's texts may have lines, so that it ends only with the whole error.
_ROW = re.compile(
    r"^(DETAIL|CONTEXT):  .*?(?=\n\n(?:The above exception was|During handling of)|\Z)",
    re.MULTILINE | re.DOTALL,
)
# What pydantic shows of a value that it refused.
_INPUT = re.compile(r"(?<=\binput_value=).*?(?=, input_type=)", re.DOTALL)


def without_secrets(text: str) -> str:
    """Return the text with the public parts of its keys and tokens alone."""
    return _BEARER.sub(r"\1…", _KEY.sub(_public, text))


def _public(found: re.Match[str]) -> str:
    # Other words are written with underscores too.
    is_key = found[1].startswith("sal_") or len(found[0]) > len(found[1]) + _SHORTEST_SECRET
    return found[1] if is_key else found[0]


def cleaned(text: str) -> str:
    """Return the text without the secret parts of keys, tokens of links, and stored texts."""
    text = _INPUT.sub("…", _ROW.sub(r"\1:  …", text))
    return without_secrets(_TOKEN.sub(r"\1…", text))


class OneLineRefusals(logging.Filter):
    """Shortens the traceback that Django logs for each suspicious or forbidden request."""

    def filter(self, record: logging.LogRecord) -> logging.LogRecord:
        is_refusal = record.name == "django.request" and record.levelno < logging.ERROR
        if not is_refusal and not record.name.startswith("django.security"):
            return record
        line = copy(record)
        line.exc_info = line.exc_text = None
        line.levelno, line.levelname = logging.WARNING, "WARNING"
        return line


class WithoutTokens(logging.Filter):
    """Removes keys, and tokens from the addresses that Django logs for refused requests."""

    def filter(self, record: logging.LogRecord) -> logging.LogRecord:
        text = record.getMessage()
        shown = cleaned(text)
        if shown == text:
            return record
        clean = copy(record)
        clean.msg, clean.args = shown, ()
        return clean
