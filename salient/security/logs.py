"""Logging filters: no keys, no tokens of links, and no tracebacks for refused requests."""

import logging
import re
from copy import copy

from salient.security.key_texts import without_secrets

# Links that are sent by e-mail: /accounts/{account}/invitations/{token}/, and /keys/{token}/;
# /password/{user}/{token}/.
_TOKEN = re.compile(r"(/(?:invitations|keys|password/[^/\s?]+)/)[^/\s?]+(?=/)")


def cleaned(text: str) -> str:
    """Return the text without the secret parts of keys and without tokens of links."""
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
