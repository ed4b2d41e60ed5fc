"""What tests read of the syntax of files is kept for one module, outside the collector's reach."""

import gc
from collections.abc import Iterator

import pytest

from tests.project.source_tree import nodes


@pytest.fixture(autouse=True, scope="module")
def syntax_trees() -> Iterator[None]:
    """Let the garbage collector not pass over a million nodes again and again."""
    gc.disable()
    yield
    nodes.cache_clear()
    gc.enable()
