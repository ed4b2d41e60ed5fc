"""Shows where in a text a problem is: the line, and a caret below the place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.config import ConfigProblem
from agents.config.layers import PUBLISHED

WIDEST = 100


@dataclass(frozen=True, slots=True)
class ProblemExcerpt:
    """A problem with its line of the text, and the caret's line below it."""

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


def excerpts_of(problems: Sequence[ConfigProblem], text: str) -> list[ProblemExcerpt]:
    lines = text.splitlines()
    return [_excerpt(problem, lines) for problem in problems]


def _excerpt(problem: ConfigProblem, lines: list[str]) -> ProblemExcerpt:
    number = problem.line if problem.file == PUBLISHED else None
    if number is None or not 0 < number <= len(lines):
        return ProblemExcerpt(problem)
    line = lines[number - 1][:WIDEST]
    place = _place(problem, line)
    # Tabs stay tabs, so that the caret is below the word.
    pad = "".join("\t" if character == "\t" else " " for character in line[:place])
    return ProblemExcerpt(problem, line, f"{pad}^")


def _place(problem: ConfigProblem, line: str) -> int:
    word = problem.key.rpartition(".")[2].partition("[")[0]
    found = line.find(word) if word else -1
    return found if found >= 0 else len(line) - len(line.lstrip())
