"""Set-up of every test: files, databases, caches, and what cannot be run here."""

import gc
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import pytest
from django.conf import settings
from django.template.base import PartialTemplate, Template
from django.template.context import Context
from django.test import Client, TransactionTestCase, override_settings
from django.test.signals import template_rendered
from pytest_django import DjangoDbBlocker
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from salient import actors
from salient.ttl import clear_caches
from tests.support import shipped
from tests.support.database import sql_guard
from tests.support.database.emptying import empty_tables
from tests.support.database.savepoints import quick_savepoints
from tests.support.database.scratch_database import server_lock
from tests.support.database.template_database import use_template
from tests.support.isolation import declared_answers
from tests.support.servers import nginx, pgbouncer
from tests.support.servers.own_postgres import may_mount

# These tests use what the whole server has: its roles and their members.
SERVER_WIDE = ("test_roles.py", "test_database.py")
# Folders whose few tests take long. They start first, so that no worker ends alone with them.
LONG = frozenset({"isolation", "isolation_check", "schema"})
# How a module says that its tests start a server of ours.
STARTS_SERVERS = re.compile(
    r"^from tests\.support\.servers\.served import .*\bserved$", re.MULTILINE
)
# What some tests need besides Python: their name, where they are, the program, how to get it.
PROGRAMS = (
    ("tests behind nginx", "test_behind_nginx.py", nginx.nginx, nginx.INSTALL),
    (
        "tests of several servers",
        "test_several_servers.py",
        lambda: nginx.nginx() and pgbouncer.pgbouncer(),
        f"{nginx.INSTALL} pgbouncer",
    ),
    ("browser tests", "e2e", lambda: shutil.which("chromium"), "apt-get install chromium"),
)
SECONDS_A_DAY = 24 * 60 * 60
# How long before the end of a day no class of tests begins.
LONGEST_CLASS_SECONDS = 120
_not_run = pytest.StashKey[list[str]]()
# The class, or the module, of the last test that began.
_begun = pytest.StashKey[object]()
_render: Callable[[Template, Context], str] = Template._render  # type: ignore[attr-defined]
_render_partial = PartialTemplate._render  # type: ignore[attr-defined]
_shipped = tempfile.TemporaryDirectory()
# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")
# The middleware of static files is async: for each request of a test's client it would start an
# event loop, and hand the request to a thread and back.
_as_shipped = override_settings(
    AGENT_CONFIG_DIR=Path(_shipped.name),
    MIDDLEWARE=[each for each in settings.MIDDLEWARE if not each.startswith("servestatic.")],
)


def pytest_configure() -> None:
    """Run the tests with the files as shipped: without this checkout's models, keys and .env."""
    shipped.copy_agent_configs(Path(_shipped.name))
    _as_shipped.enable()
    for name in shipped.provider_variables(os.environ):
        del os.environ[name]
    declared_answers.watch()
    # For the processes that tests start: no settings of ours, and modules that are compiled once.
    os.environ["ENV_FILE"] = os.devnull
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all that was imported: it lives as long as the tests."""
    gc.collect()
    gc.freeze()


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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests whose program is missing; in CI they fail instead."""
    items.sort(key=lambda item: (not group_of(item.path), LONG.isdisjoint(item.path.parts)))
    config.stash[_not_run] = []
    for name, place, find, install in PROGRAMS:
        ours = [item for item in items if place in item.path.parts]
        if ours and not find() and os.environ.get("CI") != "true":
            items[:] = [item for item in items if item not in ours]
            config.hook.pytest_deselected(items=ours)
            config.stash[_not_run].append(f"{name} not run: {install}")
    if any("test_real_faults.py" in item.path.parts for item in items) and not may_mount():
        config.stash[_not_run].append("a full disk not tried: no small one may be mounted here")


@cache
def group_of(path: Path) -> str:
    """Return which tests run one after another: those of our servers, and those in a browser.

    Two servers on a small machine answer too late. A test in a browser waits for as long as that
    takes, so it may run beside those of servers.
    """
    if "e2e" in path.parts:
        return "browsers"
    return "servers" if STARTS_SERVERS.search(path.read_text()) else ""


class OneOfEachGroup(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all tests of a group to one worker, so that no other waits for their lock."""

    def _split_scope(self, nodeid: str) -> str:
        path = self.config.rootpath / nodeid.partition("::")[0]
        return group_of(path) or super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return OneOfEachGroup(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin no class of tests just before a day ends in UTC: what it made would be yesterday's.

    Python's clock and that of the database go on in the tests, so it waits for the next day.
    """
    if item.parent is not item.session.stash.get(_begun, None):
        item.session.stash[_begun] = item.parent
        left = SECONDS_A_DAY - time.time() % SECONDS_A_DAY
        if left < LONGEST_CLASS_SECONDS:
            time.sleep(left)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker of pytest-xdist hand on what was not run: only the main process reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["not_run"] = session.config.stash.get(_not_run, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_not_run] = getattr(node, "workeroutput", {}).get("not_run", [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_not_run, []):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def alone_on_the_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let tests of several workers wait for one another where they would disturb each other.

    Tests of the database server's roles do, and those of a group.
    """
    with ExitStack() as locks:
        if request.path.name in SERVER_WIDE:
            locks.enter_context(server_lock())
        if group := group_of(request.path):
            locks.enter_context(server_lock(group))
        yield


@pytest.fixture(autouse=True, scope="session")
def quick_tests(django_test_environment: None) -> Iterator[None]:
    """Replace what Django's tests do often and slowly.

    Only whole pages keep their context for `response.context`: Django's test environment copies
    the context of each template that it renders, those of includes and widgets too.
    """
    # Models can be imported only when Django is set up.
    from tests.support.people import log_in  # noqa: PLC0415

    with (
        mock.patch.object(TransactionTestCase, "_fixture_teardown", empty_tables),
        quick_savepoints(),
        mock.patch.object(Client, "_login", log_in),
        mock.patch.object(Template, "_render", _rendered),
        mock.patch.object(PartialTemplate, "_render", _render_partial),
    ):
        yield


def _rendered(template: Template, context: Context) -> str:
    if context.template is template and not str(template.name).startswith("django/forms/"):
        template_rendered.send(sender=template, template=template, context=context)
    return _render(template, context)


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    clear_caches()
    _forget_refusals()
    # A page that a test posts to sets the actor of that test's context.
    actors._actor.set("")
    yield
    clear_caches()
    actors._actor.set("")


def _forget_refusals() -> None:
    """Models can be imported only when Django is set up."""
    from accounts.audit.refusals.counting import forget_refusals  # noqa: PLC0415

    forget_refusals()


@pytest.fixture(autouse=True)
def guarded_sql() -> Iterator[None]:
    """Fail the test in which the product reached tenants' data outside a tenant context."""
    sql_guard.pop_faults()
    yield
    if found := sql_guard.pop_faults():
        pytest.fail("\n".join(["SQL outside a tenant context:", *found]))


@pytest.fixture(autouse=True)
def declared_answers_only() -> Iterator[None]:
    """Fail the test that got an answer of the API which its OpenAPI document does not declare."""
    declared_answers.pop_faults()
    yield
    if found := declared_answers.pop_faults():
        pytest.fail("\n".join(["Not in the OpenAPI document:", *dict.fromkeys(found)]))
