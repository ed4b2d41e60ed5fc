"""What `manage.py check` and `migrate` say of a database that Alembic made."""

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections

from salient.management.base import Refused
from sessions_app.operations.adoption.check import faults, revision_of
from sessions_app.operations.adoption.rows import Catalog
from sessions_app.operations.adoption.state import NEXT, Step, found_state


@checks.register(checks.Tags.database)
def check_adoption(
    *, databases: Sequence[str] | None = None, **_more: Any
) -> list[checks.CheckMessage]:
    """Return what keeps `adopt` from carrying the database over, without changing anything."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    return [checks.Error(line, id="sessions_app.E001") for line in faults()]


def refuse_migration(using: str) -> None:
    """Raise Refused where `migrate` would meet old tables: they are not its to change."""
    catalog = Catalog(connections[using])
    if catalog.rows("SELECT current_schema()::text") == [(NEXT,)]:
        return
    state = found_state()
    if state is not None and state.step != Step.SETTLED:
        raise Refused(
            "An adoption is under way here: end it with “manage.py adopt” and “adopt --switch”, "
            "or take it back with “adopt --undo”."
        )
    revision = revision_of(catalog)
    if revision is not None:
        raise Refused(
            f"Alembic made this database (revision {revision or 'none'}): carry it over with "
            "“manage.py adopt”; “adopt --check” says before what stands in the way."
        )
