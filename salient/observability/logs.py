"""How the log is written: lines for people or JSON for programs, of our processes and gunicorn's.

gunicorn.conf.py reads this module too, so it imports nothing of Django's settings.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from salient.observability.context import FIELDS
from salient.security.logs import cleaned

FORMATS: Final = ("text", "json")
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FILTERS: Final = {
    "context": {"()": "salient.observability.context.ContextFilter"},
    "without_tokens": {"()": "salient.security.logs.WithoutTokens"},
    "one_line_refusals": {"()": "salient.security.logs.OneLineRefusals"},
}
FORMATTERS: Final = {
    "text": {"()": "salient.observability.logs.TextFormatter"},
    "json": {"()": "salient.observability.logs.JSONFormatter"},
}


class TextFormatter(logging.Formatter):
    """A line for people; what follows in further lines is indented, so that none can be forged."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} [{context}]: {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base names it
        return _indented(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base names it
        return "    " + _indented(cleaned(super().formatException(ei)))


def _indented(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\n    ")


class JSONFormatter(logging.Formatter):
    """One object on one line of ASCII: `json` escapes every line break that a text may hold.

    Fields that are not known are left out; `exception` is a whole traceback. What a call of the
    logger gives as `extra={"fields": {…}}` stands beside them.
    """

    def format(self, record: logging.LogRecord) -> str:
        made = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": made.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, ""))}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = cleaned(self.formatException(record.exc_info))
        elif record.exc_text:
            line["exception"] = cleaned(record.exc_text)
        if record.stack_info:
            line["stack"] = cleaned(record.stack_info)
        return json.dumps(line, default=str)


def _console(log_format: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": FORMATTERS,
        "filters": FILTERS,
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": log_format,
                "filters": list(FILTERS),
            }
        },
    }


def logging_config(level: str, log_format: str) -> dict[str, Any]:
    """Django's LOGGING: everything goes to stderr."""
    return _console(log_format) | {
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
            # gunicorn's own lines in a process that has read the settings; its level stays.
            "gunicorn.error": {"handlers": ["console"], "propagate": False},
            # It warns at every attempt; who needed the connection reports the result once.
            "psycopg.pool": {"level": "ERROR"},
            # Each call of a native provider would be a line, with the address.
            "httpx2": {"level": "WARNING"},
            # Each run of each job would be a line.
            "django.tasks": {"level": "WARNING"},
            "django_tasks_db": {"level": "WARNING"},
        },
    }


def gunicorn_config(level: str, log_format: str) -> dict[str, Any]:
    """gunicorn's `logconfig_dict`: of the arbiter, and of workers until they have the settings.

    Empty for text, which gunicorn writes in its own way.
    """
    if log_format == "text":
        return {}
    # A wrong level is reported with all other wrong settings, before anything is served.
    level = level.upper() if level.upper() in LEVELS else "INFO"
    ours = {"handlers": ["console"], "propagate": False, "level": level}
    return _console(log_format) | {
        "root": {"handlers": ["console"], "level": level},
        "loggers": {"gunicorn.error": ours, "gunicorn.access": ours},
    }
