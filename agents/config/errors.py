"""What is wrong with a configuration, and where: the one error that loading raises."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches

# A hostile file has thousands of faults, and its error is logged.
MAX_LINES = 20

type KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One fault of one file; file is relative to the base directory, line counts from 1."""

    file: str
    message: str
    line: int | None = None
    key: str = ""
    suggestion: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = ": ".join(filter(None, [place, self.key, self.message]))
        return f'{text}; did you mean "{self.suggestion}"?' if self.suggestion else text

    def as_dict(self) -> dict[str, str | int | None]:
        """Give the fields for JSON."""
        return asdict(self)


class ConfigError(Exception):
    """A configuration cannot be used; `problems` lists every reason found."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[:MAX_LINES]]
        if hidden := len(self.problems) - len(lines):
            lines.append(f"… and {hidden} more")
        super().__init__("\n".join(lines))


def dotted(path: KeyPath) -> str:
    """Write a path as people read it: timeouts.connect, tools[0]."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{legible(part)}" for part in path)
    return text.removeprefix(".")


def legible(text: str, *, limit: int = 60) -> str:
    """Shorten a stranger's text and escape what a terminal or a log must not print."""
    safe = text if text.isprintable() else text.encode("unicode_escape").decode()
    return safe if len(safe) <= limit else f"{safe[: limit - 1]}…"


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant."""
    found = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None
