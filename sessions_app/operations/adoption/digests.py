"""Counts rows and digests what is in them, on both sides of an adoption."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from psycopg import sql

from sessions_app.operations.adoption.carrying import CARRIED, Expressions, Source
from sessions_app.operations.adoption.choices import DEFAULT_OWNER
from sessions_app.operations.adoption.rows import Catalog
from sessions_app.operations.adoption.shapes import TENANCY

# What is carried as it was, table by table: not whose it is, and nothing that was not there before.
SAME: Final = {
    "sessions": "id session_key email is_anonymous created_at last_activity_at meta",
    "messages": "id session_id role content meta created_at",
    "llm_requests": "id session_id provider model request_body response_body prompt_tokens "
    "completion_tokens total_tokens prompt_cost completion_cost total_cost latency_ms created_at",
    "profiles": "id session_id customer_name phone email address_street address_city "
    "address_state address_zip products_of_interest services_of_interest preferences updated_at",
}
# Tables of any order: a row's two hashes are added to those of all others.
_DIGEST: Final = """
    SELECT count(*), coalesce(sum(hashtextextended(line, 0)::numeric), 0),
        coalesce(sum(hashtextextended(line, 1)::numeric), 0)
    FROM (SELECT ROW({})::text AS line FROM {} AS o) AS lines
"""

# The tables of accounts and agents, each with its slug.
OWNED: Final = {"accounts": "slug", "agent_instances": "instance_slug"}
_WITHOUT_OWNER: Final = """
    (SELECT * FROM {0} AS own
        WHERE own.{1} <> {2} OR EXISTS (SELECT FROM {3} AS old WHERE old.id = own.id))
"""

type Digests = dict[str, tuple[int, str]]


def of_old(source: Source, schema: str) -> Digests:
    """Digest the old rows as today's tables should have them; no row is left out."""
    found: Digests = {}
    for table, values in _carried(source):
        expressions = [_plain(name, value) for name, value in values.items()]
        found[table] = _digest(source.catalog, sql.Identifier(schema, table), expressions)
    return found


def of_new(source: Source, schema: str) -> Digests:
    """Digest today's rows; the account and the agent that were made as the owner are left out."""
    found: Digests = {}
    for table, values in _carried(source):
        columns = [_plain(name, sql.Identifier("o", name)) for name in values]
        rows: sql.Composable = sql.Identifier(schema, table)
        if table in OWNED:
            rows = sql.SQL(_WITHOUT_OWNER).format(
                rows,
                sql.Identifier(OWNED[table]),
                sql.Literal((source.choices.owner or DEFAULT_OWNER)[table != "accounts"]),
                source.of_old(table),
            )
        found[table] = _digest(source.catalog, rows, columns)
    return found


def _carried(source: Source) -> Iterator[tuple[str, Expressions]]:
    """Yield each table with what its columns were carried from."""
    if source.has_tenants:
        yield from ((table, source.same(table, TENANCY[table])) for table in OWNED)
    for table, names in SAME.items():
        values = CARRIED[table](source)
        yield table, {name: values[name] for name in names.split() if name in values}


def _plain(name: str, value: sql.Composable) -> sql.Composable:
    """A number's trailing zeros are none."""
    return sql.SQL("trim_scale({})").format(value) if name.endswith("_cost") else value


def _digest(
    catalog: Catalog, table: sql.Composable, columns: Iterable[sql.Composable]
) -> tuple[int, str]:
    [(number, *sums)] = catalog.rows(sql.SQL(_DIGEST).format(sql.SQL(", ").join(columns), table))
    text = f"{number}:{sums[0]}:{sums[1]}"
    return int(number), hashlib.sha256(text.encode()).hexdigest()[:32]
