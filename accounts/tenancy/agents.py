"""Which agents an account has, by id and slug.

`accounts` may not read the tables of the app that has agents, so that app registers how.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol
from uuid import UUID


class ReadAgents(Protocol):
    def __call__(self, account_ids: Collection[UUID], *, only_active: bool) -> dict[UUID, str]: ...


# Returns (account's id, slug) of each agent of these accounts.
type ReadPairs = Callable[[Collection[UUID]], Iterable[tuple[UUID, str]]]
_readers: list[ReadAgents] = []
_pairs: list[ReadPairs] = []


def register_agents(read: ReadAgents, pairs: ReadPairs) -> None:
    """Have the agents of accounts read by these functions."""
    if read not in _readers:
        _readers.append(read)
        _pairs.append(pairs)


def agents_of(account_ids: Collection[UUID]) -> set[tuple[UUID, str]]:
    """Return which agents these accounts have, as (account's id, slug); inside a context."""
    return {pair for pairs in _pairs for pair in pairs(account_ids)}


def agent_slugs(*account_ids: UUID, only_active: bool = False) -> dict[UUID, str]:
    """Return the slug of each agent of these accounts, by the agent's id.

    Call it inside a tenant or platform context.
    """
    found: dict[UUID, str] = {}
    for read in _readers:
        found |= read(account_ids, only_active=only_active)
    return found
