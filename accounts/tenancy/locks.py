"""Locks of one kind of an account's rows, so that they are counted and made by one at a time."""

from __future__ import annotations

from uuid import UUID

from django.db import connection

# Whoever changes or erases a conversation has it shared; who places a legal hold or renames the
# account or an agent, which locks all its conversations, has it alone.
HOLDS = "legal holds"
# Whoever begins or ends a turn has it shared, before any row (sessions_app/sql); who renames the
# account or an agent has it alone, and asks for HOLDS first: that one may be held for long.
TURNS = "turns"


def lock_rows(kind: str, account_id: UUID, *, shared: bool = False) -> None:
    """Wait until no other transaction holds this lock, and hold it until this one ends.

    Those who ask for it `shared` wait only for whoever has it alone, not for one another.
    """
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        key = f"{kind}/{account_id}"
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [key])


def try_lock(kind: str, account_id: UUID) -> bool:
    """Hold the lock shared until this transaction ends, unless somebody has it alone now."""
    function = "pg_try_advisory_xact_lock_shared"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"{kind}/{account_id}"])
        [is_held] = cursor.fetchone()
    return bool(is_held)


def lock_conversations(account_id: UUID) -> None:
    """Keep all turns and changes of conversations waiting, once those that go on have ended.

    A rename calls it before it locks a row: it locks the account or the agent, then all their
    conversations. They lock a conversation first, and then refer to its account and agent.
    """
    lock_rows(HOLDS, account_id)
    lock_rows(TURNS, account_id)
