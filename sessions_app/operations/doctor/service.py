"""Looks at every subject, each alone: what one raises is its own fault."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from sessions_app.operations.doctor import (
    agents_in_use,
    configured,
    database,
    network,
    stored_secrets,
    work,
)
from sessions_app.operations.doctor.findings import Finding, Status, Subject, fault

logger = logging.getLogger(__name__)

SUBJECTS: tuple[Subject, ...] = (
    *configured.SUBJECTS,
    *database.SUBJECTS,
    *stored_secrets.SUBJECTS,
    *agents_in_use.SUBJECTS,
    *work.SUBJECTS,
    *network.SUBJECTS,
)


def examine(*, offline: bool = False) -> Iterator[tuple[str, Finding]]:
    """Yield (subject, finding); `offline` calls no other machine besides the database.

    What needs the database is left out where that cannot be used.
    """
    about = _look(database.DATABASE)
    is_there = all(each.status != Status.FAULT for each in about)
    yield from ((database.DATABASE.name, each) for each in about)
    for subject in SUBJECTS:
        if (is_there or not subject.needs_database) and not (offline and subject.needs_network):
            yield from ((subject.name, each) for each in _look(subject))


def _look(subject: Subject) -> list[Finding]:
    try:
        return list(subject.look())
    except Exception as error:
        logger.debug("The subject %s failed", subject.name, exc_info=True)
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        return [fault(f"could not be looked at: {type(error).__name__}: {reason}")]
