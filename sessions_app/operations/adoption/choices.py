"""What operators decide about an adoption: owners of rows without one, new values for odd ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from psycopg import sql

from accounts.models.account import AccountStatus, SubscriptionTier
from agents.models.agent import InstanceStatus
from salient.management.base import Misused
from sessions_app.models import CompletionStatus, Role
from sessions_app.operations.adoption.shapes import WORDS

DEFAULT_OWNER: Final = ("default", "simple-chat")
SLUGS: Final = {("accounts", "slug"), ("agent_instances", "instance_slug")}
# The words that today's columns know. A turn of the old system that ran is over.
KNOWN: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("messages", "role"): tuple(Role.values),
    ("accounts", "status"): tuple(AccountStatus.values),
    ("accounts", "subscription_tier"): tuple(SubscriptionTier.values),
    ("agent_instances", "status"): tuple(InstanceStatus.values),
    ("llm_requests", "completion_status"): tuple(
        each for each in CompletionStatus.values if each != CompletionStatus.RUNNING
    ),
}
# Other spellings of these words that can mean one thing only.
SPELLINGS: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("llm_requests", "completion_status"): {
        **dict.fromkeys(("completed", "success", "succeeded", "ok"), "complete"),
        **dict.fromkeys(("failed", "failure"), "error"),
        **dict.fromkeys(("running", "pending", "in_progress", "started"), "error"),
        "canceled": "cancelled",
    },
}


@dataclass(frozen=True, slots=True)
class Choices:
    """`words` maps "table.column" to old values and what becomes of each.

    `zone` is the time zone of columns without one; "" refuses them.
    """

    owner: tuple[str, str] | None = None
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    zone: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Choices:
        owner = stored["owner"]
        return cls(tuple(owner) if owner else None, stored["words"], stored["zone"])

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read(owner: str, mapped: list[str], zone: str) -> Choices:
    """Read the options of the command; raises Misused."""
    account, _, agent = owner.partition("/")
    if owner and not (account and agent):
        raise Misused("--owner is ACCOUNT/AGENT, by their slugs.")
    words: dict[str, dict[str, str]] = {}
    for text in mapped:
        where, _, change = text.partition(":")
        old, equals, new = change.partition("=")
        table, _, column = where.partition(".")
        if (table, column) not in WORDS | SLUGS or not equals:
            known = ", ".join(sorted(f"{table}.{column}" for table, column in WORDS | SLUGS))
            raise Misused(f"--map is TABLE.COLUMN:OLD=NEW, for one of {known}.")
        words.setdefault(where, {})[old] = new
    if zone:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise Misused(f"There is no time zone “{zone}”.") from error
    return Choices((account, agent) if owner else None, words, zone)


def word(choices: Choices, table: str, column: str, of: str = "") -> sql.Composable:
    """Return the expression of what becomes of a word, or of a slug."""
    name = sql.Identifier(*filter(None, (of, column)))
    if (table, column) in SLUGS:
        spelled: sql.Composable = sql.SQL("{}::text").format(name)
    else:
        lower = sql.SQL("lower(btrim({}::text))").format(name)
        spelled = _case(lower, SPELLINGS.get((table, column), {}), lower)
    return _case(
        sql.SQL("{}::text").format(name), choices.words.get(f"{table}.{column}", {}), spelled
    )


def _case(
    value: sql.Composable, cases: Mapping[str, str], otherwise: sql.Composable
) -> sql.Composable:
    if not cases:
        return otherwise
    whens = sql.SQL(" ").join(
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(old), sql.Literal(new))
        for old, new in cases.items()
    )
    return sql.SQL("CASE {} {} ELSE {} END").format(value, whens, otherwise)
