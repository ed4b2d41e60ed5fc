"""Writes .env, the settings of this checkout: random secrets, made once and never changed."""

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

PATH = Path(__file__).resolve().parent.parent.parent / ".env"
HEADING = """\
# Settings of this checkout, made by `make run`. Not for git, not for production.
# README.md lists all of them; a name in the real environment wins over this file.
# DATABASE_URL=postgres://user:password@host:5432/salient   (unset: the embedded PostgreSQL)
# OPENAI_API_KEY=
"""


def secret() -> str:
    """A random secret of letters, digits, - and _ only: no quoting is needed anywhere."""
    return secrets.token_urlsafe(48)


DEFAULTS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": secret,
    "API_KEY_PEPPER": secret,
    "SECRET_ENCRYPTION_KEYS": secret,
    "DEBUG": lambda: "true",
    "DEMO": lambda: "true",
}


def complete(path: Path) -> list[str]:
    """Append the names that the file lacks and return them; existing lines stay."""
    text = path.read_text(encoding="utf-8-sig") if path.exists() else HEADING
    missing = [name for name in DEFAULTS if name not in names(text)]
    if missing:
        ends_well = "" if text.endswith("\n") else "\n"
        lines = "".join(f"{name}={DEFAULTS[name]()}\n" for name in missing)
        replace(path, f"{text}{ends_well}{lines}")
    return missing


def names(text: str) -> set[str]:
    """The names that are set in the text of a file."""
    lines = (line.strip().removeprefix("export ") for line in text.splitlines())
    return {line.partition("=")[0].strip() for line in lines if "=" in line and line[0] != "#"}


def replace(path: Path, text: str) -> None:
    """Write the file whole or not at all, readable by its owner only from the first byte."""
    path = path.resolve()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def main() -> str | None:
    """Complete .env and say what was added; the problem in one line, or None."""
    try:
        added = complete(PATH)
    except UnicodeDecodeError:
        return "salient: .env is not UTF-8: save it as UTF-8"
    except OSError as error:
        return f"salient: {error.filename} cannot be used: {str(error.strerror).lower()}"
    if added:
        sys.stderr.write(f"Wrote {', '.join(added)} to .env\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
