"""`manage.py check --database default` of a database from before tenancy."""

from collections.abc import Sequence
from typing import Any

from django.core import checks

from sessions_app.operations.adoption.survey import problems


@checks.register(checks.Tags.database)
def check_adoption(
    *, databases: Sequence[str] | None = None, **_more: Any
) -> list[checks.CheckMessage]:
    """Return what keeps `migrate` from adopting the database, without changing anything."""
    return [
        checks.Error(line, id="sessions_app.E001")
        for alias in databases or ()
        for line in problems(alias)
    ]
