"""Locks of one kind of an account's rows, so that they are counted and made by one at a time."""

from __future__ import annotations

from uuid import UUID

from django.db import connection

# Whoever changes or erases a conversation has it shared; who places a legal hold or renames the
# account, which locks all its conversations, has it alone.
HOLDS = "legal holds"


def lock_rows(kind: str, account_id: UUID, *, shared: bool = False) -> None:
    """Wait until no other transaction holds this lock, and hold it until this one ends.

    Those who ask for it `shared` wait only for whoever has it alone, not for one another.
    """
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        key = f"{kind}/{account_id}"
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [key])
