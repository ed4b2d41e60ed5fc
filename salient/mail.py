"""E-mail on the console and in files, as people read it: no line is wrapped, nothing is encoded."""

import email.policy
from email.message import EmailMessage as Message
from typing import Any, Final

from django.core.mail import EmailMessage
from django.core.mail.backends import console, filebased

# RFC 5322, 2.1.1. The usual 78 break a link in two, and encode the sign = in it.
LONGEST_LINE: Final = 998
READABLE: Final = email.policy.default.clone(cte_type="8bit", max_line_length=LONGEST_LINE)


def readable(message: EmailMessage) -> str:
    """The text of the message, headers and all, with a line below it."""
    whole: Message = message.message(policy=READABLE)
    return f"{whole.as_bytes().decode(errors='replace')}\n{'-' * 79}\n"


class ConsoleBackend(console.EmailBackend):
    """Writes messages to standard output."""

    def write_message(self, message: Any) -> None:
        self.stream.write(readable(message))


class FileBackend(filebased.EmailBackend):
    """Writes each message into a file of a folder."""

    def write_message(self, message: Any) -> None:
        file: Any = self.stream  # of bytes, other than its base's
        file.write(readable(message).encode())
