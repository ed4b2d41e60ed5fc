"""What every test starts with."""

from collections.abc import Iterator

import pytest

from salient import actors
from salient.ttl import clear_caches
from tests import sql_guard


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    clear_caches()
    # A page that a test posts to names who is at work, for the rest of that test.
    actors._actor.set("")
    yield
    clear_caches()


@pytest.fixture(autouse=True)
def guarded_sql() -> Iterator[None]:
    """Fail the test in which the product reached tenants' data past the doors."""
    sql_guard.taken()
    yield
    if found := sql_guard.taken():
        pytest.fail("\n".join(["SQL past the doors:", *found]))
