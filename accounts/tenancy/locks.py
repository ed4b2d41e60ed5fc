"""Locks of one kind of an account's rows, so that they are counted and made by one at a time."""

from __future__ import annotations

from uuid import UUID

from django.db import connection


def lock_rows(kind: str, account_id: UUID) -> None:
    """Wait until no other transaction holds this lock, and hold it until this one ends."""
    with connection.cursor() as cursor:
        key = f"{kind}/{account_id}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
