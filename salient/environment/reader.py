"""Reads settings from the environment and from .env, and collects what is wrong with them.

A setting is declared where it is read: name, kind, default and range. A wrong value is one line
that names the setting and the value; `finish()` raises all lines together.
"""

from __future__ import annotations

import difflib
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import environ
from django.core.exceptions import ImproperlyConfigured

# A line of .env that environ reads as a setting; it passes over all others.
LINE: Final = re.compile(r"(?:export )?([A-Za-z_0-9]+)=.*")
WORDS: Final = dict.fromkeys(("true", "1", "yes", "on", "y", "t"), True) | dict.fromkeys(
    ("false", "0", "no", "off", "n", "f"), False
)
# These are read from the real environment only.
OF_THE_PROCESS: Final = (
    "HOST",
    "PORT",
    "WEB_CONCURRENCY",
    "START_WORKER",
    "LOCAL_MODEL_PATH",
    "LOCAL_MODEL",
)
SECRETS: Final = re.compile("SECRET|PEPPER|METRICS_TOKEN")
LONGEST_SHOWN: Final = 60
# The most wrong lines of a file that are named one by one.
MOST_LINES: Final = 5
# How similar a name in .env must be to a setting's to count as a typing error (0 to 1).
SIMILARITY: Final = 0.8


class SettingsError(ImproperlyConfigured):
    """Settings that cannot be used; `lines` says what is wrong with each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class WrongValue(ValueError):
    """A value that a setting cannot have; the message says what it must be."""


class Environment:
    """The settings of a process. A wrong one is noted, and its default is used."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = os.environ if values is None else values
        self.problems: list[str] = []
        self.names: set[str] = set()
        self.in_file: set[str] = set()

    def read_file(self, path: Path, *, must_exist: bool = False) -> None:
        """Add what the file sets and the environment lacks."""
        if not (must_exist or path.exists()):
            return
        file = f"ENV_FILE={shown('ENV_FILE', str(path))}" if must_exist else path.name
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self.problems.append(f"{file} cannot be read: {reason}")
            return
        except UnicodeDecodeError as error:
            number = error.object[: error.start].count(b"\n") + 1
            self.problems.append(f"{file} is not UTF-8 in line {number}: save it as UTF-8")
            return
        wrong = [number for number, line in enumerate(text.splitlines(), 1) if not self._take(line)]
        # A file of another format has thousands of wrong lines.
        self.problems += [f"{file} has no NAME=value in line {n}" for n in wrong[:MOST_LINES]]
        if more := wrong[MOST_LINES:]:
            self.problems.append(f"{file} has no NAME=value in {len(more)} more lines")
        if not wrong:
            environ.Env.read_env(io.StringIO(text))

    def _take(self, line: str) -> bool:
        """Note the name that a line of the file sets; False when the line is no setting."""
        if not line.strip() or line.startswith("#"):
            return True
        match = LINE.fullmatch(line)
        if match is None or "\0" in line:
            return False
        self.in_file.add(match[1])
        return True

    def text(self, name: str, *, default: str = "", required: str = "") -> str:
        """A text; `required` says what to do where it is not set."""
        if required and not self._given(name):
            self.problems.append(f"{name} is not set; {required}")
        return self.one(name, _printable, default=default)

    def boolean(self, name: str, *, default: bool) -> bool:
        return self.one(name, _boolean, default=default)

    def integer(self, name: str, *, default: int, least: int = 0, most: int = 2_147_483_647) -> int:
        def read(value: str) -> int:
            # int() also takes 1_000 and the digits of other scripts.
            if re.fullmatch(r"[+-]?[0-9]{1,18}", value) and least <= int(value) <= most:
                return int(value)
            raise WrongValue(f"it must be a whole number from {least} to {most}")

        return self.one(name, read, default=default)

    def seconds(
        self, name: str, *, default: float, least: float = 0.01, most: float = 86_400
    ) -> float:
        read = _decimal(least, most, "a number of seconds, without a unit,")
        return float(self.one(name, read, default=Decimal(default)))

    def decimal(self, name: str, *, default: str, most: float) -> Decimal:
        return self.one(name, _decimal(0, most, "a number"), default=Decimal(default))

    def items[T](self, name: str, *, default: list[T], each: Callable[[str], T]) -> list[T]:
        """The values between commas; an empty value is an empty list."""
        self.names.add(name)
        if name not in self.values:
            return default
        parts = [part.strip() for part in self.values[name].split(",")]
        return [item for part in parts if part for item in self._read(name, part, each)]

    def one[T](self, name: str, read: Callable[[str], T], *, default: T) -> T:
        """A value that `read` understands; an empty one counts as not set."""
        self.names.add(name)
        if not self._given(name):
            return default
        return next(iter(self._read(name, self.values[name].strip(), read)), default)

    def _given(self, name: str) -> bool:
        return bool(self.values.get(name, "").strip())

    def _read[T](self, name: str, value: str, read: Callable[[str], T]) -> list[T]:
        """The value as a list of one, or of none when it is wrong."""
        try:
            return [read(value)]
        except WrongValue as wrong:
            self.problems.append(f"{name}={shown(name, value)}: {wrong}")
            return []

    @contextmanager
    def noting_misconfiguration(self) -> Iterator[None]:
        """Note an error of several settings together, or of a folder, as one more problem."""
        try:
            yield
        except ImproperlyConfigured as error:
            self.problems.append(str(error))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self.problems.append(f"{error.filename} cannot be written: {reason}")

    def warnings(self) -> list[str]:
        """Return the names in .env that look like a typing error, and those without effect."""
        lines = []
        known = sorted({*self.names, *OF_THE_PROCESS})
        for name in sorted(self.in_file):
            if name in OF_THE_PROCESS:
                lines.append(f"{name} has no effect in .env: set it in the environment")
            elif name not in known:
                near = difflib.get_close_matches(name.upper(), known, 1, SIMILARITY)
                lines += [f"{name} in .env is no setting: is {like} meant?" for like in near]
        return lines

    def finish(self) -> None:
        """Raise SettingsError if there are problems."""
        if self.problems:
            raise SettingsError(self.problems)


def _printable(value: str) -> str:
    if not value.isprintable():
        raise WrongValue("it has a line break or another control character inside")
    return value


def _boolean(value: str) -> bool:
    if value.lower() not in WORDS:
        raise WrongValue("it must be true or false")
    return WORDS[value.lower()]


def _decimal(least: float, most: float, kind: str) -> Callable[[str], Decimal]:
    def read(value: str) -> Decimal:
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        # Decimal() also takes 1_000 and the digits of other scripts.
        plain = number.is_finite() and value.isascii() and "_" not in value
        if plain and Decimal(str(least)) <= number <= Decimal(str(most)):
            return number
        raise WrongValue(f"it must be {kind} from {least} to {most}")

    return read


def shown(name: str, value: str) -> str:
    """The value as a message may show it: without secrets, on one line, not too long."""
    if SECRETS.search(name):
        return "…"
    if name.endswith(("_URL", "_ENDPOINT")):
        # Before an @ or after a ? there may be a password.
        value = re.sub(r"\A([\w+.-]+://)?.*@", r"\1…@", value, flags=re.DOTALL).partition("?")[0]
        value = "…" if "password" in value.lower() else value
    text = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
