"""Locks of one kind of rows, of an account mostly, so that one at a time counts and makes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection

# Whoever changes or erases a conversation has it shared; who places a legal hold or renames the
# account or an agent, which locks all its conversations, has it alone.
HOLDS = "legal holds"
# That of an agent. Whoever begins or ends a turn has it shared, before any row (sessions_app/sql);
# who renames the agent, or the account with all its agents, has it alone, and asks for HOLDS first:
# that one may be held for long.
TURNS = "turns"


def lock_rows(kind: str, whose: UUID, *, shared: bool = False) -> None:
    """Wait until no other transaction holds this lock, and hold it until this one ends.

    Those who ask for it `shared` wait only for whoever has it alone, not for one another.
    """
    _call("pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock", kind, whose)


def try_shared_lock(kind: str, whose: UUID) -> bool:
    """Hold the lock shared until this transaction ends, unless somebody has it alone now."""
    return bool(_call("pg_try_advisory_xact_lock_shared", kind, whose))


def lock_conversations(account_id: UUID, agent_ids: Iterable[UUID]) -> None:
    """Keep these agents' turns waiting, and all changes of the account's conversations.

    A rename calls it before it locks a row: it locks the account or the agent, then all their
    conversations. They lock a conversation first, and then refer to its account and agent. It waits
    until those that go on have ended.
    """
    lock_rows(HOLDS, account_id)
    for agent_id in agent_ids:
        lock_rows(TURNS, agent_id)


def _call(function: str, kind: str, whose: UUID) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"{kind}/{whose}"])
        [result] = cursor.fetchone()
    return result
