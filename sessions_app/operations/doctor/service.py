"""Checks every subject separately: an exception in one is reported as its fault."""

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
from sessions_app.operations.doctor.findings import Finding, Needs, Status, Subject, fault, warning

logger = logging.getLogger(__name__)

SUBJECTS: tuple[Subject, ...] = (
    *configured.SUBJECTS,
    *database.SUBJECTS,
    *stored_secrets.SUBJECTS,
    *agents_in_use.SUBJECTS,
    *work.SUBJECTS,
    *network.SUBJECTS,
)
PROVIDES = {database.DATABASE: Needs.DATABASE, database.SCHEMA: Needs.SCHEMA}


def examine(*, offline: bool = False) -> Iterator[tuple[str, Finding]]:
    """Yield (subject, finding); `offline` calls no other machine besides the database.

    What needs the database, or its tables, is left out where these cannot be used.
    """
    there, left_out = Needs.NOTHING, list[str]()
    for subject in (database.DATABASE, database.SCHEMA, *SUBJECTS):
        if offline and subject.needs_network:
            continue
        if subject.needs > there:
            left_out.append(subject.name)
            continue
        found = look(subject)
        yield from ((subject.name, each) for each in found)
        if subject in PROVIDES and all(each.status != Status.FAULT for each in found):
            there = PROVIDES[subject]
    if left_out:
        yield "left out", warning(", ".join(left_out), "Mend what is above, and run it again.")


def look(subject: Subject) -> list[Finding]:
    try:
        return list(subject.look())
    except Exception as error:
        logger.debug("The subject %s failed", subject.name, exc_info=True)
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        return [fault(f"could not be checked: {type(error).__name__}: {reason}")]
