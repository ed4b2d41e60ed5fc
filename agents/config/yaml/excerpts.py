"""Shows people where in a text something is wrong: the line, and a caret below the place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.config import ConfigProblem
from agents.config.layers import PUBLISHED

WIDEST = 100


@dataclass(frozen=True, slots=True)
class Told:
    """A problem with its line as it stands in the text, and the caret's line below it."""

    problem: ConfigProblem
    line: str = ""
    caret: str = ""

    @property
    def here(self) -> bool:
        """Whether it is in this text, and not in a file below it."""
        return self.problem.file == PUBLISHED

    @property
    def where(self) -> str:
        if not self.here:
            number = self.problem.line
            return f"{self.problem.file}, line {number}" if number else self.problem.file
        return f"Line {self.problem.line}" if self.problem.line else ""


def told(problems: Sequence[ConfigProblem], text: str) -> list[Told]:
    lines = text.splitlines()
    return [_told(problem, lines) for problem in problems]


def _told(problem: ConfigProblem, lines: list[str]) -> Told:
    number = problem.line if problem.file == PUBLISHED else None
    if number is None or not 0 < number <= len(lines):
        return Told(problem)
    line = lines[number - 1][:WIDEST]
    place = _place(problem, line)
    # Tabs stay tabs, so that the caret stands where the eye expects it.
    pad = "".join("\t" if character == "\t" else " " for character in line[:place])
    return Told(problem, line, f"{pad}^")


def _place(problem: ConfigProblem, line: str) -> int:
    word = problem.key.rpartition(".")[2].partition("[")[0]
    found = line.find(word) if word else -1
    return found if found >= 0 else len(line) - len(line.lstrip())
