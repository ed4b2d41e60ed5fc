"""Watches the statements of all tests: the product reads tenants' tables in contexts only."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from accounts.tenancy.context import PLATFORM, current_context
from accounts.tenancy.roles import TENANT_RIGHTS

# Users belong to no account: they are authenticated before there is a context.
TABLES = sorted(set(TENANT_RIGHTS) - {"users"})
_TOUCHES = re.compile(
    rf'(?:FROM|JOIN|INTO|UPDATE|USING|,)\s+(?:ONLY\s+)?"?({"|".join(TABLES)})"?(?![\w"])',
    re.IGNORECASE,
)
_QUERY = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_BY_ACCOUNT = re.compile(r"\b(?:WHERE|ON)\b.*\baccount_id\b", re.IGNORECASE | re.DOTALL)
_BASE = Path(settings.BASE_DIR)
# The first tries statements that must fail. The second works on databases without tenants. The last
# two run the statements of migrations.
_EXEMPT = {
    Path("sessions_app/isolation_check/sql_probes.py"),
    Path("sessions_app/operations/adoption/rows.py"),
    Path("salient/management/commands/migrate.py"),
    Path("salient/database/sql_files.py"),
}
_found: list[str] = []


def watch(connection: BaseDatabaseWrapper, **_more: Any) -> None:
    """Install the guard on a connection; connections of other threads are made in their time."""
    if guard not in connection.execute_wrappers:
        connection.execute_wrappers.append(guard)


connection_created.connect(watch, dispatch_uid="tests.support.database.sql_guard")


def guard(execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: Any) -> Any:
    """Note a violation; raised here, it would only become a 500 of the request."""
    text = sql if isinstance(sql, str) else sql.as_string(None)
    if (fault := fault_of(text)) and (place := place_in_product()):
        _found.append(f"{place}: {fault}: {text[:300]}")
    return execute(sql, params, many, context)


def pop_faults() -> list[str]:
    """Return what was found since the last call."""
    found = list(_found)
    _found.clear()
    return found


def fault_of(text: str) -> str | None:
    """Say what is wrong with a statement that touches tenants' tables, in the current context."""
    touches, constrained = _read(text)
    if not touches or (context := current_context()) == PLATFORM:
        return None
    if context is None:
        return "outside any context"
    return None if constrained else "not constrained by the account"


@lru_cache(10_000)
def _read(text: str) -> tuple[bool, bool]:
    """Return whether a statement touches tenants' tables, and whether it names the account."""
    tables = {match.lower() for match in _TOUCHES.findall(text)} if _QUERY.match(text) else set()
    is_insert = text.lstrip()[:6].upper() == "INSERT"
    return bool(tables), tables == {"accounts"} or is_insert or bool(_BY_ACCOUNT.search(text))


def place_in_product() -> str | None:
    """Return where the statement comes from, when that is the product and not a test."""
    frame = sys._getframe(1)
    while frame is not None:
        if (place := _place_of(frame.f_code.co_filename)) is not None:
            other = {"tests", "migrations"} & set(place.parts) or place in _EXEMPT
            return None if other else f"{place}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


@cache
def _place_of(file: str) -> Path | None:
    """Return the file's path in this tree; None for the guard's own and for libraries."""
    path = Path(file)
    if not path.is_relative_to(_BASE) or ".venv" in path.parts:
        return None
    place = path.relative_to(_BASE)
    return None if place == Path("tests/support/database/sql_guard.py") else place
