"""One server and one Chromium for all tests in a browser: both take seconds to start."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.browser import BrowserThread
from tests.e2e.fixtures import Started
from tests.support.servers.mock_openai import KEY
from tests.support.servers.served import free_port, served


@pytest.fixture(scope="package")
def started(django_db_setup: None) -> Iterator[Started]:
    """Start both on the tests' database, and end them with the last of these tests."""
    folder, port = tempfile.TemporaryDirectory(), free_port()
    more = {
        "AGENT_CONFIG_DIR": folder.name,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "OPENAI_API_KEY": KEY,
    }
    with folder, BrowserThread() as browser, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        server = runner.run(stack.enter_async_context(served(cut_after=1, **more)))
        try:
            yield Started(server, browser, Path(folder.name), port)
        finally:
            runner.run(stack.aclose())
