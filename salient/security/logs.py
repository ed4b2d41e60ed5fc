"""Logging filters: no keys, tokens of links or stored texts, no tracebacks for refused requests."""

import logging
import re
from copy import copy

from salient.security.key_texts import without_secrets

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
