"""What an adoption does with odd values, and which agent gets rows without an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from psycopg import sql

from sessions_app.operations.adoption.carrying import agent_of_session
from sessions_app.operations.adoption.choices import DEFAULT_OWNER, KNOWN, Choices, word
from sessions_app.operations.adoption.rows import MOST_NAMED, NAIVE, Catalog
from sessions_app.operations.adoption.shapes import BASELINE, OPTIONAL, Shape

# Tables of the newest revision that nothing here reads yet.
KEPT: Final = ("directory_lists", "directory_entries")
_AGENT_IS_THERE: Final = "EXISTS (SELECT FROM agent_instances WHERE id = o.agent_instance_id)"
# Whose account and agent do not agree, as the carrying decides it.
_STRAYS: Final = {
    "sessions whose agent is of another account; they go to the agent's": (
        "sessions",
        "EXISTS (SELECT FROM agent_instances AS a WHERE a.id = o.agent_instance_id "
        "AND a.account_id <> o.account_id)",
    ),
    "messages whose agent is of another account than their session; they get the session's": (
        "messages",
        "EXISTS (SELECT FROM agent_instances AS a JOIN sessions AS s ON s.id = o.session_id "
        "WHERE a.id = o.agent_instance_id AND s.account_id <> a.account_id)",
    ),
    "llm_requests without an account or an agent; they get their session's": (
        "llm_requests",
        f"o.account_id IS NULL OR NOT {_AGENT_IS_THERE}",
    ),
}
_OWNERS: Final = """
    SELECT coalesce(t.slug || '/' || a.instance_slug, {owner}), count(*)
    FROM (
        SELECT {agent} AS agent FROM sessions AS o
        WHERE o.agent_instance_id IS NULL
            OR NOT EXISTS (SELECT FROM agent_instances WHERE id = o.agent_instance_id)
    ) AS ownerless
    LEFT JOIN agent_instances AS a ON a.id = agent LEFT JOIN accounts AS t ON t.id = a.account_id
    GROUP BY 1 ORDER BY 2 DESC, 1
"""
_TWICE: Final = """
    SELECT indrelid::regclass::text, string_agg(indexrelid::regclass::text, ', ' ORDER BY 1)
    FROM pg_index WHERE indrelid = ANY(%s::regclass[])
    GROUP BY indrelid, indkey::text, indisunique, coalesce(pg_get_expr(indpred, indrelid), ''),
        coalesce(pg_get_expr(indexprs, indrelid), ''), indclass::text
    HAVING count(*) > 1 ORDER BY 1, 2
"""


def notes_of(catalog: Catalog, shape: Shape, choices: Choices) -> tuple[list[str], list[str]]:
    """Return more faults, and the notes."""
    faults: list[str] = []
    notes = [*_general(catalog, shape, choices)]
    if shape is BASELINE:
        owner = "/".join(choices.owner or DEFAULT_OWNER)
        notes.append(f"all rows go to {owner}")
        if choices.owner not in {None, DEFAULT_OWNER}:
            faults.append(
                f"--owner is {owner}: a database without accounts has default/simple-chat"
            )
        return faults, notes
    found, owned = _owner_lines(catalog, choices)
    faults += [*found, *_link_faults(catalog)]
    notes += [*owned, *_slug_notes(catalog), *_strays(catalog)]
    if kept := catalog.tables([*KEPT]):
        notes.append(f"{' and '.join(kept)} stay as they are: nothing reads them yet")
    return faults, notes


def _general(catalog: Catalog, shape: Shape, choices: Choices) -> Iterator[str]:
    [(number,)] = catalog.rows(
        "SELECT count(DISTINCT name) FROM ("
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = ANY(%(t)s::regclass[]) "
        "UNION SELECT conname FROM pg_constraint WHERE conrelid = ANY(%(t)s::regclass[]) "
        "AND contype <> 'n') AS names (name)",
        {"t": [*shape]},
    )
    yield f"{number} constraints and indexes of the old tables give way to today's"
    for table, names in catalog.rows(_TWICE, [[*shape]]):
        yield f"{table} has one index under several names: {names}"
    for table in shape:
        for column, (kind, *_) in sorted(catalog.columns(table).items()):
            if column not in {**shape[table], **OPTIONAL.get(table, {})}:
                yield f"{table}.{column} is not carried; it goes with adopt --finish"
            elif kind == NAIVE and choices.zone:
                yield f"{table}.{column} has no time zone: its values are taken as {choices.zone}"
    for table, name in catalog.rows(
        "SELECT tgrelid::regclass::text, tgname FROM pg_trigger "
        "WHERE NOT tgisinternal AND tgrelid = ANY(%s::regclass[]) ORDER BY 1, 2",
        [[*shape]],
    ):
        yield f"{table} has the trigger {name}, which today's table does not get"
    yield from _spellings(catalog, shape, choices)


def _spellings(catalog: Catalog, shape: Shape, choices: Choices) -> Iterator[str]:
    for table, column in KNOWN:
        if table not in shape or column not in catalog.columns(table):
            continue
        new = word(choices, table, column)
        query = sql.SQL(
            "SELECT {column}::text, {new}, count(*) FROM {table} "
            "WHERE {column}::text <> {new} GROUP BY 1, 2 ORDER BY 3 DESC, 1 LIMIT {most}"
        ).format(
            column=sql.Identifier(column),
            new=new,
            table=sql.Identifier(table),
            most=sql.Literal(MOST_NAMED),
        )
        for old, becomes, number in catalog.rows(query):
            yield f"{table}.{column}: {number} times {old!r} becomes {becomes!r}"


def _owner_lines(catalog: Catalog, choices: Choices) -> tuple[list[str], list[str]]:
    """Say which agents get the sessions without one; to whom the rest goes, ops have to say."""
    owner = "/".join(choices.owner) if choices.owner else ""
    faults, notes = [], []
    agent = agent_of_session(sql.Identifier, catalog.columns("sessions"), None)
    query = sql.SQL(_OWNERS).format(owner=sql.Literal(owner), agent=agent)
    for name, number in catalog.rows(query):
        if name:
            notes.append(f"sessions: {number} without an agent go to {name}")
        else:
            faults.append(
                f"sessions: {number} without an agent, which neither slugs nor messages name: say "
                "with --owner ACCOUNT/AGENT who gets them"
            )
    if choices.owner and not (keeps_first_account(catalog, choices) or _is_agent(catalog, choices)):
        faults.append(f"--owner: there is no agent {owner}")
    return faults, notes


def keeps_first_account(catalog: Catalog, choices: Choices) -> bool:
    """Return whether default/simple-chat, with which a new database begins, is wanted."""
    query = sql.SQL("SELECT FROM accounts WHERE {} = %s").format(word(choices, "accounts", "slug"))
    return choices.owner == DEFAULT_OWNER and not catalog.rows(query, [DEFAULT_OWNER[0]])


def _is_agent(catalog: Catalog, choices: Choices) -> bool:
    query = sql.SQL(
        "SELECT 1 FROM agent_instances AS a JOIN accounts AS t ON t.id = a.account_id "
        "WHERE {} = %s AND {} = %s"
    ).format(
        word(choices, "accounts", "slug", "t"),
        word(choices, "agent_instances", "instance_slug", "a"),
    )
    return bool(catalog.rows(query, choices.owner))


def _link_faults(catalog: Catalog) -> Iterator[str]:
    if "llm_request_id" not in catalog.columns("messages"):
        return
    query = """
        SELECT m.id::text FROM messages AS m JOIN llm_requests AS r ON r.id = m.llm_request_id
        WHERE r.session_id <> m.session_id ORDER BY m.id LIMIT 10
    """
    if found := catalog.rows(query):
        ids = ", ".join(row_id for (row_id,) in found)
        yield f"messages.llm_request_id: rows whose request is of another session: {ids}"
    query = """
        SELECT m.id::text FROM messages AS m WHERE llm_request_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM llm_requests WHERE id = llm_request_id)
        ORDER BY m.id LIMIT 10
    """
    if found := catalog.rows(query):
        ids = ", ".join(row_id for (row_id,) in found)
        yield f"messages.llm_request_id: rows with a request that is not there: {ids}"


def _slug_notes(catalog: Catalog) -> Iterator[str]:
    """Yield the copies of slugs that differ from the account's or agent's own, which are kept."""
    for table in ("sessions", "llm_requests"):
        there = catalog.columns(table)
        for column, key, owner, slug in (
            ("account_slug", "account_id", "accounts", "slug"),
            ("agent_instance_slug", "agent_instance_id", "agent_instances", "instance_slug"),
        ):
            if column not in there:
                continue
            query = sql.SQL(
                "SELECT count(*), (array_agg(o.id::text ORDER BY o.id))[1:{most}] "
                "FROM {table} AS o JOIN {owner} AS k ON k.id = o.{key} "
                "WHERE o.{column} IS DISTINCT FROM k.{slug}"
            ).format(
                most=sql.Literal(MOST_NAMED),
                table=sql.Identifier(table),
                owner=sql.Identifier(owner),
                key=sql.Identifier(key),
                column=sql.Identifier(column),
                slug=sql.Identifier(slug),
            )
            [(number, ids)] = catalog.rows(query)
            if number:
                yield (
                    f"{table}.{column}: {number} differ from the slug of their {key}, which "
                    f"counts: {', '.join(ids)}"
                )


def _strays(catalog: Catalog) -> Iterator[str]:
    for what, (table, condition) in _STRAYS.items():
        query = sql.SQL("SELECT count(*) FROM {} AS o WHERE {}").format(
            sql.Identifier(table), sql.SQL(condition)
        )
        [(number,)] = catalog.rows(query)
        if number:
            yield f"{number} {what}"
