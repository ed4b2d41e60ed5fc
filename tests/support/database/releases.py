"""What the tests keep of each release: its schema with rows, and the statements of its turns.

`make release` writes both for the version of pyproject.toml (write_release.py).
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "upgrades" / "releases"
type Statement = dict[str, Any]


def versions() -> list[str]:
    """The releases that are kept."""
    return sorted(path.name.removesuffix(".sql.gz") for path in FOLDER.glob("*.sql.gz"))


def schema_and_rows(version: str) -> str:
    """The release's database as SQL: run it on a connection that nobody uses afterwards."""
    return gzip.decompress((FOLDER / f"{version}.sql.gz").read_bytes()).decode()


def statements(version: str) -> list[Statement]:
    """What its code sent for two turns of one session and for reading them.

    Each has `sql`, `rows`, how many it found or changed (None for BEGIN and COMMIT), and `answer`,
    the text that a function of ours returned.
    """
    found: list[Statement] = json.loads((FOLDER / f"{version}.json").read_text())
    return found


def version_of_code() -> str:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    [version] = re.findall(r'^version = "(.+)"', project, re.MULTILINE)
    return str(version)
