"""Reads an archive into this installation: all of it in one transaction, or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError

from accounts.audit.notes import note
from accounts.models import User
from accounts.tenancy.context import platform_context
from agents.config import config_dir
from sessions_app.operations.lifecycle.transfer.archive import (
    CONFIG,
    ArchiveProblem,
    Reader,
    opened,
)
from sessions_app.operations.lifecycle.transfer.conflicts import Plan, plan
from sessions_app.operations.lifecycle.transfer.rows import Target, write_rows
from sessions_app.operations.lifecycle.transfer.tables import tables
from sessions_app.usage import totals

# One statement inserts at most a batch; keys are checked with it.
WRITE_SECONDS = 900


def import_account(
    path: Path, *, slug: str = "", add_people: bool = False, dry_run: bool = False
) -> tuple[Plan, dict[str, int]]:
    """Import the account; return the plan and the rows by table (none where it has conflicts).

    Raises ArchiveProblem where the file is none, is damaged or of a newer format, or where the
    database refuses a row. Outside of any context.
    """
    with opened(path) as read:
        found = plan(read, slug=slug, add_people=add_people)
        if found.conflicts:
            return found, {}
        if dry_run:
            return found, {table.name: read.rows(table.name) for table in tables()}
        try:
            return found, _write(read, found)
        except DatabaseError as error:
            reason = str(error).partition("\n")[0]
            raise ArchiveProblem(f"Nothing was imported: {reason}") from error


def _write(read: Reader, found: Plan) -> dict[str, int]:
    """Write people, rows and files; a failure leaves none of them."""
    target = Target(found.account_id, found.slug, found.people)
    manifest = read.manifest
    with _files(read, found.slug), platform_context(statement_seconds=WRITE_SECONDS):
        for person in found.new_people:
            user = User(**person)
            user.set_unusable_password()
            user.save(force_insert=True)
        written = {table.name: write_rows(read, table, target) for table in tables()}
        totals.forget(target.account_id)
        came = {"version": manifest["version"], "exported_at": manifest["exported_at"]}
        changes = {name: [None, value] for name, value in came.items()}
        note(found.account_id, "accounts", "import of the account", changes=changes)
    return written


@contextmanager
def _files(read: Reader, slug: str) -> Iterator[None]:
    """Put the agents' files in their place; they are removed again when the rows do not follow."""
    names = read.names(CONFIG)
    if not names:
        yield
        return
    place = config_dir() / slug
    config_dir().mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".import-", dir=config_dir()))
    try:
        for name in names:
            path = draft / name.removeprefix(CONFIG)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(read.pieces(name))
        draft.chmod(0o755)
        draft.rename(place)
    except OSError as error:
        raise ArchiveProblem(f"{place} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
