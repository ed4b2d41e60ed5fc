"""Copies old rows into the new tables: whole sessions, in batches.

A session is carried with all that belongs to it, and anew when something of it has changed since.
So the first carrying and the following of later changes are one statement each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg import sql

from sessions_app.operations.adoption.choices import DEFAULT_OWNER, Choices, word
from sessions_app.operations.adoption.rows import NAIVE, Catalog
from sessions_app.operations.adoption.shapes import BASELINE, RENAMED, TENANCY, WORDS

type Expressions = dict[str, sql.Composable]

_KEY: Final = "encode(sha256(convert_to(o.session_key::text, 'UTF8')), 'hex')"
# A body that is no object gets a place of its own, where something is put beside it.
_BODY: Final = """
    CASE WHEN {kept} = '{{}}'::jsonb THEN o.request_body::jsonb
        WHEN o.request_body IS NULL THEN jsonb_build_object('adopted', {kept})
        WHEN jsonb_typeof(o.request_body::jsonb) = 'object'
            THEN o.request_body::jsonb || jsonb_build_object('adopted', {kept})
        ELSE jsonb_build_object('body', o.request_body::jsonb, 'adopted', {kept}) END
"""
# Which agent a session belongs to: its own, that of its slugs, that of its first message, its
# account's first one, the one that ops chose.
_AGENT: Final = """
    coalesce(
        (SELECT id FROM {agents} WHERE id = o.agent_instance_id),
        {by_slugs}
        (SELECT a.id FROM {messages} AS m JOIN {agents} AS a ON a.id = m.agent_instance_id
            WHERE m.session_id = o.id AND (o.account_id IS NULL OR a.account_id = o.account_id)
            ORDER BY m.created_at, m.id LIMIT 1),
        (SELECT a.id FROM {agents} AS a WHERE a.account_id = o.account_id
            ORDER BY a.created_at, a.id LIMIT 1),
        {owner}::uuid
    )
"""
_BY_SLUGS: Final = """
        (SELECT a.id FROM {agents} AS a JOIN {accounts} AS t ON t.id = a.account_id
            WHERE t.slug = o.account_slug AND a.instance_slug = o.agent_instance_slug
                AND t.id = coalesce(o.account_id, t.id)),
"""


def agent_of_session(
    tables: Callable[[str], sql.Composable], columns: Iterable[str], owner: UUID | None
) -> sql.Composed:
    """Return the expression of the agent of the session `o`, of old tables with accounts."""
    names = {"agents": tables("agent_instances"), "accounts": tables("accounts")}
    has_slugs = {"account_slug", "agent_instance_slug"} <= {*columns}
    return sql.SQL(_AGENT).format(
        agents=names["agents"],
        messages=tables("messages"),
        by_slugs=sql.SQL(_BY_SLUGS).format(**names) if has_slugs else sql.SQL(""),
        owner=sql.Literal(owner),
    )


@dataclass(frozen=True, slots=True)
class Source:
    """The old tables: their schema and columns, today's schema, and what ops decided."""

    catalog: Catalog
    old: str
    new: str
    columns: Mapping[str, Mapping[str, str]]
    choices: Choices

    @property
    def has_tenants(self) -> bool:
        return "accounts" in self.columns

    def of_old(self, table: str) -> sql.Identifier:
        return sql.Identifier(self.old, table)

    def of_new(self, table: str) -> sql.Identifier:
        return sql.Identifier(self.new, table)

    def value(self, table: str, column: str) -> sql.Composable:
        """Return a column of the row `o` as today's column has it."""
        name = sql.Identifier("o", column)
        kind = self.columns[table][column]
        if (table, column) in WORDS or column in {"slug", "instance_slug"}:
            return word(self.choices, table, column, "o")
        if kind == NAIVE:
            return sql.SQL("{} AT TIME ZONE {}").format(name, sql.Literal(self.choices.zone))
        if kind == "json":
            return sql.SQL("{}::jsonb").format(name)
        return name

    def same(self, table: str, names: Iterable[str]) -> Expressions:
        """Return what is carried under its own name, where the old table has it."""
        return {name: self.value(table, name) for name in names if name in self.columns[table]}


def carry_tenants(source: Source) -> None:
    """Carry accounts and agents, or what has changed in them; those that are gone, last."""
    if not source.has_tenants:
        return
    for table in ("accounts", "agent_instances"):
        values = source.same(table, TENANCY[table])
        if table == "agent_instances":
            values["allowed_origins"] = sql.SQL("'{}'")
        update = sql.SQL(", ").join(
            sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in values
        )
        key = "id" if table == "accounts" else "id, account_id"
        source.catalog.run(
            sql.SQL(
                "INSERT INTO {} ({}) SELECT {} FROM {} AS o ON CONFLICT ({}) DO UPDATE SET {}"
            ).format(
                source.of_new(table),
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join(values.values()),
                source.of_old(table),
                sql.SQL(key),
                update,
            )
        )


def forget_tenants(source: Source) -> None:
    """Delete the accounts and agents that the old tables no longer have, besides the owner."""
    if not source.has_tenants:
        return
    kept = sql.Literal("/".join(source.choices.owner or ()))
    source.catalog.run(
        sql.SQL(
            "DELETE FROM {agents} AS a USING {accounts} AS t WHERE t.id = a.account_id "
            "AND t.slug || '/' || a.instance_slug <> {kept} "
            "AND NOT EXISTS (SELECT FROM {old} AS o WHERE o.id = a.id)"
        ).format(
            agents=source.of_new("agent_instances"),
            accounts=source.of_new("accounts"),
            old=source.of_old("agent_instances"),
            kept=kept,
        )
    )
    source.catalog.run(
        sql.SQL(
            "DELETE FROM {accounts} AS t WHERE NOT EXISTS (SELECT FROM {old} AS o WHERE "
            "o.id = t.id) AND NOT EXISTS (SELECT FROM {agents} AS a WHERE a.account_id = t.id)"
        ).format(
            accounts=source.of_new("accounts"),
            old=source.of_old("accounts"),
            agents=source.of_new("agent_instances"),
        )
    )


def owner_id(source: Source) -> UUID | None:
    """Return the agent that gets what has no owner."""
    account, agent = source.choices.owner or DEFAULT_OWNER
    query = sql.SQL(
        "SELECT a.id FROM {} AS a JOIN {} AS t ON t.id = a.account_id "
        "WHERE t.slug = %s AND a.instance_slug = %s"
    ).format(source.of_new("agent_instances"), source.of_new("accounts"))
    found = source.catalog.rows(query, [account, agent])
    return found[0][0] if found else None


def carry_sessions(source: Source, ids: list[UUID], owner: UUID | None) -> None:
    """Carry these sessions with all that is in them; those that are gone are deleted."""
    source.catalog.run(
        sql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(source.of_new("sessions")), [ids]
    )
    for statement in statements(source, owner):
        source.catalog.run(statement, [ids])


def statements(source: Source, owner: UUID | None) -> Iterator[sql.Composed]:
    yield _insert(source, "sessions", session_values(source), _sessions_from(source, owner))
    for table in ("llm_requests", "messages", "profiles"):
        yield _insert(source, table, CARRIED[table](source), _parts_from(source, table))


def _insert(
    source: Source, table: str, values: Expressions, where_from: sql.Composable
) -> sql.Composed:
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
        source.of_new(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(values.values()),
        where_from,
    )


def _sessions_from(source: Source, owner: UUID | None) -> sql.Composed:
    chosen: sql.Composable = sql.Literal(owner)
    if source.has_tenants:
        chosen = agent_of_session(source.of_old, source.columns["sessions"], owner)
    return sql.SQL(
        "{} AS o JOIN {} AS i ON i.id = {} JOIN {} AS t ON t.id = i.account_id WHERE o.id = ANY(%s)"
    ).format(
        source.of_old("sessions"),
        source.of_new("agent_instances"),
        chosen,
        source.of_new("accounts"),
    )


def _parts_from(source: Source, table: str) -> sql.Composed:
    """Join what is in a session to it, `s`, and to its agent `i`, which is of its account."""
    chosen: sql.Composable = sql.SQL("s.agent_instance_id")
    if "agent_instance_id" in source.columns[table]:
        chosen = sql.SQL(
            "coalesce((SELECT a.id FROM {} AS a WHERE a.id = o.agent_instance_id "
            "AND a.account_id = s.account_id), s.agent_instance_id)"
        ).format(source.of_new("agent_instances"))
    return sql.SQL(
        "{} AS o JOIN {} AS s ON s.id = o.session_id JOIN {} AS i ON i.id = {} "
        "WHERE o.session_id = ANY(%s)"
    ).format(
        source.of_old(table), source.of_new("sessions"), source.of_new("agent_instances"), chosen
    )


def session_values(source: Source) -> Expressions:
    has = source.columns["sessions"]
    values = source.same(
        "sessions", ("id", "email", "is_anonymous", "created_at", "last_activity_at", "meta")
    )
    values |= _owners(slugs_of="t.slug")
    values["session_key"] = sql.SQL(_KEY)
    updated = "updated_at" if "updated_at" in has else "last_activity_at"
    values["updated_at"] = source.value("sessions", updated)
    if "user_id" in has:
        values["end_user"] = sql.SQL("o.user_id::text")
    return values


def _owners(slugs_of: str = "s.account_slug") -> Expressions:
    return {
        "account_id": sql.SQL("i.account_id"),
        "account_slug": sql.SQL(slugs_of),
        "agent_instance_id": sql.SQL("i.id"),
        "agent_instance_slug": sql.SQL("i.instance_slug"),
    }


def request_values(source: Source) -> Expressions:
    has = source.columns["llm_requests"]
    values = source.same(
        "llm_requests",
        [
            "id",
            "session_id",
            "provider",
            "model",
            "response_body",
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "latency_ms",
            "created_at",
        ],
    )
    for old, new in RENAMED.items():
        values[new] = sql.Identifier("o", old if old in has else new)
    values |= _owners()
    values["request_body"] = _request_body(has)
    own_type = sql.SQL("nullif(o.agent_type, ''), ") if "agent_type" in has else sql.SQL("")
    values["agent_type"] = sql.SQL("coalesce({}i.agent_type)").format(own_type)
    values |= _outcome(source, has, values["total_cost"])
    values["settled_at"] = values["created_at"]
    values["requests"] = sql.SQL("1")
    return values


def _outcome(source: Source, has: Mapping[str, str], cost: sql.Composable) -> Expressions:
    values: Expressions = {
        "completion_status": sql.SQL("'complete'"),
        "cost_source": sql.SQL("CASE WHEN {} IS NULL THEN 'unknown' ELSE 'reported' END").format(
            cost
        ),
    }
    if "completion_status" in has:
        status = word(source.choices, "llm_requests", "completion_status", "o")
        values["completion_status"] = sql.SQL("coalesce({}, 'complete')").format(status)
        values["error_code"] = sql.SQL(
            "CASE WHEN lower(o.completion_status::text) IN "
            "('running', 'pending', 'in_progress', 'started') THEN 'abandoned' ELSE '' END"
        )
    return values


def _request_body(has: Mapping[str, str]) -> sql.Composable:
    """Put `meta` and the prompt, for which there is no column, beside the body."""
    kept = [name for name in ("meta", "assembled_prompt") if name in has]
    if not kept:
        return sql.SQL("o.request_body::jsonb")
    pairs = ", ".join(f"'{name}', o.{name}" for name in kept)
    return sql.SQL(_BODY).format(kept=sql.SQL(f"jsonb_strip_nulls(jsonb_build_object({pairs}))"))


def message_values(source: Source) -> Expressions:
    values = source.same("messages", ("id", "session_id", "role", "content", "meta", "created_at"))
    values["account_id"] = sql.SQL("s.account_id")
    values["agent_instance_id"] = sql.SQL("i.id")
    if "llm_request_id" in source.columns["messages"]:
        values["llm_request_id"] = sql.SQL("o.llm_request_id")
    return values


def profile_values(source: Source) -> Expressions:
    values = source.same("profiles", BASELINE["profiles"])
    values["account_id"] = sql.SQL("s.account_id")
    return values


CARRIED: Final = {
    "sessions": session_values,
    "llm_requests": request_values,
    "messages": message_values,
    "profiles": profile_values,
}


def old_columns(catalog: Catalog, schema: str, tables: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the type of each column of the old tables that are there."""
    found = {table: catalog.columns(f"{schema}.{table}") for table in tables}
    return {
        table: {name: kind for name, (kind, *_) in columns.items()}
        for table, columns in found.items()
        if columns
    }
