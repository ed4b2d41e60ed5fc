"""Figures read from the database for /metrics: the queue, webhooks, accounts.

Every process of every server gives the same, so that a query takes their maximum and not their sum.
Each app registers what it knows; a reader runs outside of any tenant context.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from salient.database import in_database_once

logger = logging.getLogger(__name__)

# Prometheus itself waits 10 s; the figures of the processes are given in any case.
READ_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A gauge: its value for each combination of values of its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = field(default_factory=dict)


type Reader = Callable[[], Iterable[Figure]]

_readers: list[Reader] = []


def stored_figures(reader: Reader) -> Reader:
    """Register what reads figures from the database."""
    _readers.append(reader)
    return reader


def late_by(due: datetime | None) -> float:
    """Return for how many seconds something has been due; 0 where it is not, or there is none."""
    return 0.0 if due is None else max(0.0, (timezone.now() - due).total_seconds())


async def read_stored() -> list[Figure] | None:
    """Return all figures, or None while the database does not give them."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await in_database_once(_read)
    except (DatabaseError, InterfaceError, TimeoutError) as error:
        logger.warning("No figures from the database for /metrics: %s", type(error).__name__)
        return None


def _read() -> list[Figure]:
    return [figure for reader in _readers for figure in reader()]
