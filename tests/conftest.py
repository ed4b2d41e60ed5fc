"""What every test starts with."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from salient import actors
from salient.ttl import clear_caches
from tests.support import nginx, shipped, sql_guard
from tests.support.scratch_database import server_lock
from tests.support.template_database import use_template

_left_out = pytest.StashKey[bool]()
_shipped = tempfile.TemporaryDirectory()
_as_shipped = override_settings(AGENT_CONFIG_DIR=Path(_shipped.name))


def pytest_configure() -> None:
    """Tests know this checkout as it is shipped: not its models, its keys and its .env."""
    shipped.copy_agent_configs(Path(_shipped.name))
    _as_shipped.enable()
    for name in shipped.provider_variables(os.environ):
        del os.environ[name]
    # Also what tests start as a process of its own.
    os.environ["ENV_FILE"] = os.devnull


def pytest_unconfigure() -> None:
    _as_shipped.disable()
    _shipped.cleanup()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """Copy the database of each worker from one that is migrated once."""
    with django_db_blocker.unblock():
        use_template()


# These tests use what the whole server has: its roles and their members.
SERVER_WIDE = ("test_roles.py", "test_database.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without nginx: failures where it is owed, and a line that says so everywhere else."""
    if nginx.nginx() or os.environ.get("CI") == "true":
        return
    ours = [item for item in items if item.path.name == "test_behind_nginx.py"]
    items[:] = [item for item in items if item not in ours]
    config.hook.pytest_deselected(items=ours)
    config.stash[_left_out] = bool(ours)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.stash.get(_left_out, False):
        terminalreporter.write_line(f"tests behind nginx not run: no nginx ({nginx.INSTALL})")


@pytest.fixture(autouse=True)
def alone_on_the_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let tests that run side by side wait for one another where they share the server."""
    if request.path.name not in SERVER_WIDE:
        yield
        return
    with server_lock():
        yield


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
