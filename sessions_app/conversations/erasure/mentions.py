"""Looks for an identifier in all texts of an account, page by page, and masks it where it may."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import connection
from psycopg import sql

from sessions_app.conversations.erasure.persons import Person
from sessions_app.models import IdentifierKind

MASK: Final = "[erased]"
# A shorter id is a word of its own too often.
SHORTEST_SOUGHT: Final = 6
PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """The texts of one table: columns, each with the type that it is written back as.

    `order` is a column by which an index of the account's rows is read. What is kept is counted
    only: it is a record of what staff did, or gone within the hour.
    """

    table: str
    columns: Mapping[str, str] = field(default_factory=dict)
    order: str = "created_at"
    is_kept: bool = False


PLACES: Final = (
    Place("messages", {"content": "text", "meta": "jsonb"}),
    Place("llm_requests", {"request_body": "jsonb", "response_body": "jsonb"}),
    Place("message_feedback", {"comment": "text"}),
    Place("sessions", {"title": "varchar(200)", "meta": "jsonb"}, "last_activity_at"),
    Place("profiles", {"customer_name": "varchar(255)", "preferences": "jsonb"}, "updated_at"),
    Place("saved_chats", {"messages": "jsonb", "expected": "jsonb", "better_answers": "jsonb"}),
    Place("saved_chat_runs", {"answers": "jsonb"}),
    Place("config_drafts", {"text": "text"}),
    Place("webhook_deliveries", {"data": "jsonb"}),
    Place("turn_event_batches", {"events": "jsonb"}, is_kept=True),
    Place("config_publications", {"text": "text", "note": "text"}, is_kept=True),
    Place("config_versions", {"content": "jsonb"}, is_kept=True),
    Place("prompt_sections", {"text": "text"}, is_kept=True),
    Place(
        "audit_log",
        {"object": "text", "actor": "text", "reason": "text", "changes": "jsonb"},
        is_kept=True,
    ),
    Place("legal_holds", {"reason": "text", "actor": "text"}, is_kept=True),
    Place("invitations", {"email": "text"}, is_kept=True),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of one page that name the person, and where the next page begins; None: nowhere."""

    ids: list[UUID]
    after: list[str] | None


def is_sought(person: Person) -> bool:
    """Whether the identifier is one that texts name, and long enough to mean this person."""
    return person.kind != IdentifierKind.SESSION and len(person.value) >= SHORTEST_SOUGHT


def may_mask(person: Person) -> bool:
    """Whether it may be replaced in others' texts: an account's own id may be a word as well."""
    return person.kind == IdentifierKind.EMAIL


def look(person: Person, place: Place, after: list[str] | None) -> Found:
    """Look through one page of the account's rows; inside its tenant context."""
    order = sql.Identifier(place.order)
    query = sql.SQL(
        "WITH page AS (SELECT id, {order} AS place, concat_ws(' ', {texts}) AS words FROM {table} "
        "WHERE account_id = %(account)s{beyond} ORDER BY {order}, id LIMIT %(page)s) "
        "SELECT count(*), array_agg(id) FILTER (WHERE words ~* %(pattern)s), "
        "(array_agg(place::text || '~' || id::text ORDER BY place DESC, id DESC))[1] FROM page"
    ).format(
        order=order,
        table=sql.Identifier(place.table),
        texts=sql.SQL(", ").join(_text(column) for column in place.columns),
        beyond=sql.SQL(" AND ({}, id) > (%(time)s::timestamptz, %(id)s::uuid)").format(order)
        if after
        else sql.SQL(""),
    )
    values: dict[str, Any] = {
        "account": person.account_id,
        "page": PAGE,
        "pattern": _pattern(person),
    }
    if after:
        values |= {"time": after[0], "id": after[1]}
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        many, ids, last = cursor.fetchone()
    return Found(ids or [], last.split("~") if many == PAGE else None)


def mask(person: Person, place: Place, ids: list[UUID]) -> None:
    """Replace the identifier in these rows; inside the tenant context."""
    changes = [
        sql.SQL("{0} = regexp_replace({0}::text, %(pattern)s, %(mask)s, 'gi')::{1}").format(
            sql.Identifier(column),
            sql.SQL(kind),
        )
        for column, kind in place.columns.items()
    ]
    query = sql.SQL("UPDATE {} SET {} WHERE account_id = %(account)s AND id = ANY(%(ids)s)").format(
        sql.Identifier(place.table), sql.SQL(", ").join(changes)
    )
    values: dict[str, Any] = {"account": person.account_id, "ids": ids, "mask": MASK}
    with connection.cursor() as cursor:
        cursor.execute(query, values | {"pattern": _pattern(person)})


def _text(column: str) -> sql.Composable:
    return sql.SQL("{}::text").format(sql.Identifier(column))


def _pattern(person: Person) -> str:
    """Match the identifier where it is no part of a longer one.

    In JSON a new line before it is written as a letter: it stands behind an escape, too.
    """
    before = r"(?:(?<![\w.+-])|(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4}))"
    return rf"{before}{re.escape(person.value)}(?![\w-]|\.\w)"
