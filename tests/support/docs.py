"""Reading the tables of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)


type Row = list[str]


def rows(page: Path, *columns: str) -> list[Row]:
    """Return the rows of every table whose heading begins with these columns."""
    found: list[Row] = []
    for block in re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE):
        heading, _, *lines = (split(line) for line in block.splitlines())
        if heading[: len(columns)] == list(columns):
            found += lines
    return found


def split(line: str) -> Row:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
