"""What every test starts with."""

from collections.abc import Iterator

import pytest

from salient.ttl import clear_caches


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    clear_caches()
    yield
    clear_caches()
