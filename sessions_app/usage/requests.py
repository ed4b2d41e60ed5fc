"""Sums the requests themselves (llm_requests), by what the daily sums do not have.

An index finds the requests of the account's days. To keep it bounded, they are counted first, no
further than the most that are read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from accounts.tenancy.context import connection_in_use
from salient.api.problems import Invalid
from sessions_app.usage.queries import DAY, SUMS, Days, Figures, start_of
from sessions_app.usage.rollup import DAY_OF_MOMENT, LONGEST_TURN, MOMENT, PARTS, WHOLE

MOST_REQUESTS = 100_000

# A look-up of the session by its key, for each request: a join may read all accounts' sessions. By
# the account itself, without which a cluster cannot send it to the account's worker.
_OF_SESSION = """(
    SELECT {} FROM sessions
    WHERE sessions.account_id = %(account)s AND sessions.id = llm_requests.session_id
)"""
_END_USER = _OF_SESSION.format("sessions.end_user")


class Column(StrEnum):
    """What requests are summed by, as an expression."""

    DAY = DAY_OF_MOMENT
    MODEL = "provider || ':' || model"
    AGENT = "agent_instance_id"
    KEY = "CASE WHEN starts_with(caller, 'key:') THEN substr(caller, 5) END"
    END_USER = _END_USER
    TAG = _OF_SESSION.format("sessions.meta ->> %(tag)s")


@dataclass(frozen=True, slots=True)
class Which:
    """The requests that are summed, settled within the days; None is no filter.

    `model` is "provider:model", `tag` the name in the sessions' metadata that Column.TAG reads.
    """

    account_id: UUID
    days: Days
    instances: Collection[UUID] | None = None
    model: str | None = None
    key: UUID | None = None
    end_user: str | None = None
    tag: str | None = None


# ruff: noqa: S608 - built from constants of this module and of the roll-up only
_BETWEEN = """
    account_id = %(account)s AND created_at >= %(created)s AND created_at < %(until)s
"""
_OF_AGENTS = "AND agent_instance_id = ANY(%(instances)s)"
_COUNT = f"""
    SELECT count(*) FROM (
        SELECT FROM llm_requests WHERE {_BETWEEN} {{agents}} LIMIT %(most)s + 1
    ) AS found
"""
# OFFSET 0 has the requests found by one index, whatever it costs to look at their sessions.
_SUMS = f"""
    SELECT {{names}}, {WHOLE} FROM (
        SELECT {{columns}}, {PARTS}
        FROM (SELECT * FROM llm_requests WHERE {_BETWEEN} {{agents}} OFFSET 0) AS llm_requests
        WHERE completion_status <> 'running'
            AND {MOMENT} >= %(since)s AND {MOMENT} < %(until)s {{filters}}
        GROUP BY {{names}}, bucket
    ) AS parts
    GROUP BY {{names}}
"""


def requests_by(
    columns: Sequence[Column], which: Which, *, most: int | None = None
) -> dict[tuple[Any, ...], Figures]:
    """Sum the requests by these columns; call it inside a tenant or platform context.

    A turn that was settled more than a day after it began is left out. Raises Invalid when more
    than `most`, or MOST_REQUESTS, would be read.
    """
    most = MOST_REQUESTS if most is None else most
    values = _values(which) | {"most": most}
    agents = _OF_AGENTS if which.instances is not None else ""
    names = [f"part_{place}" for place in range(len(columns))]
    with connection_in_use().cursor() as cursor:
        cursor.execute(_COUNT.format(agents=agents), values)
        [[count]] = cursor.fetchall()
        if count > most:
            raise Invalid.field(
                "from", f"these days have more than {most} requests: ask for fewer days"
            )
        statement = _SUMS.format(
            names=", ".join(names),
            columns=", ".join(f"{c.value} AS {n}" for c, n in zip(columns, names, strict=True)),
            agents=agents,
            filters=_filters(which),
        )
        cursor.execute(statement, values)
        rows = cursor.fetchall()
    width = len(columns)
    return {
        row[:width]: Figures(**dict(zip(SUMS, row[width:-1], strict=True)), buckets=tuple(row[-1]))
        for row in rows
    }


def _filters(which: Which) -> str:
    wanted = {
        f"{Column.MODEL.value} = %(model)s": which.model,
        "caller = 'key:' || %(key)s": which.key,
        f"{_END_USER} = %(end_user)s": which.end_user,
    }
    return " ".join(f"AND {text}" for text, value in wanted.items() if value is not None)


def _values(which: Which) -> dict[str, Any]:
    begin = start_of(which.days.first)
    instances = None if which.instances is None else list(which.instances)
    return {
        "account": which.account_id,
        "created": begin - LONGEST_TURN,
        "since": begin,
        "until": start_of(which.days.last + DAY),
        "instances": instances,
        "model": which.model,
        "key": None if which.key is None else str(which.key),
        "end_user": which.end_user,
        "tag": which.tag,
    }
