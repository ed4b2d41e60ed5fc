"""Keeps out of the logs what opens something to whoever reads it."""

import logging
import re
from copy import copy

# The link of an invitation: /accounts/{account}/invitations/{token}/
_TOKEN = re.compile(r"(/invitations/)[^/\s?]+(?=/)")


class WithoutTokens(logging.Filter):
    """Django logs the address of whatever was refused or failed."""

    def filter(self, record: logging.LogRecord) -> logging.LogRecord:
        text = record.getMessage()
        if "/invitations/" not in text:
            return record
        clean = copy(record)
        clean.msg, clean.args = _TOKEN.sub(r"\1…", text), ()
        return clean
