"""Without a browser the tests fail in CI; elsewhere they are left out, and a line says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.browser import INSTALL, chromium

NOT_RUN = f"browser tests not run: no Chromium ({INSTALL})"
_left_out = pytest.StashKey[bool]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if chromium() or os.environ.get("CI") == "true":
        return
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    items[:] = [item for item in items if item not in ours]
    config.hook.pytest_deselected(items=ours)
    config.stash[_left_out] = bool(ours)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.stash.get(_left_out, False):
        terminalreporter.write_line(NOT_RUN)
