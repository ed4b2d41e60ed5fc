"""The twenty accounts of the full demo and their sixty agents."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from accounts.models import AccountStatus

DAYS = 90
SEED = 20_26
# Milliseconds until the first token, and for each further one.
SPEEDS = {
    "openai:gpt-4.1-mini": (420, 9.0),
    "openai:gpt-4.1": (680, 14.0),
    "openai:gpt-5-mini": (1_400, 10.0),
    "anthropic:claude-haiku-4-5": (510, 8.0),
    "anthropic:claude-sonnet-4-5": (980, 17.0),
    "google:gemini-2.5-flash": (450, 6.0),
    "mistral:mistral-small-latest": (390, 9.0),
    "groq:llama-3.3-70b-versatile": (210, 3.0),
    "openrouter:deepseek/deepseek-chat-v3.1": (1_100, 21.0),
    "ollama:llama3.1:8b": (650, 28.0),
}
MINI, GPT, GPT5, HAIKU, SONNET, FLASH, MISTRAL, GROQ, DEEPSEEK, OLLAMA = SPEEDS
# (days ago, provider): the share of its turns that failed on that day.
INCIDENTS = {(2, "openai"): 0.22, (37, "anthropic"): 0.35}
# How busy the days of a week are, from Monday on, and the hours of a day (UTC).
WEEK = (1.15, 1.1, 1.05, 1.0, 0.9, 0.45, 0.35)
HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 17, 14, 15, 17, 16, 14, 12, 10, 9, 8, 6, 3, 2)
TURNS = (1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 7, 11)
MEAN_TURNS = sum(TURNS) / len(TURNS)


@dataclass(frozen=True, slots=True)
class AgentPlan:
    slug: str
    # A kind of talk.yaml.
    kind: str
    # The model now, and the one before; "" if it never changed.
    model: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """An account of the demo.

    `share` is its weight among all turns, `growth` its turns a day at the end to those at the
    beginning. `filled` is the spent share of this month's budget; with 0 it has no budget.
    `since` and `until` are days ago.
    """

    slug: str
    name: str
    city: str
    tier: str
    share: float
    agents: tuple[AgentPlan, ...]
    growth: float = 1.6
    filled: float = 0.0
    since: int = DAYS
    until: int = 0
    status: AccountStatus = AccountStatus.ACTIVE


def agents(*plans: tuple[str, ...]) -> tuple[AgentPlan, ...]:
    return tuple(AgentPlan(*plan) for plan in plans)


SUSPENDED, DELETED = AccountStatus.SUSPENDED, AccountStatus.DELETED
UNPAID = "Invoices unpaid for 60 days"
ACCOUNTS = (
    AccountPlan(
        "cobalt-air", "Cobalt Air", "Lisbon", "enterprise", 17,
        agents(
            ("help", "support", HAIKU, SONNET), ("trips", "travel", SONNET),
            ("upgrades", "sales", MINI), ("crew", "people", MISTRAL),
            ("refunds", "billing", GPT, MINI),
        ), filled=0.71,
    ),
    AccountPlan(
        "nordlicht-energy", "Nordlicht Energy", "Hamburg", "enterprise", 13,
        agents(
            ("service", "support", MINI, GPT), ("invoices", "billing", MINI),
            ("tariffs", "sales", FLASH), ("it", "it-help", HAIKU), ("staff", "people", FLASH),
        ), filled=0.88, growth=1.3,
    ),
    AccountPlan(
        "paperplane", "Paperplane", "Austin", "premium", 11,
        agents(
            ("docs", "docs", SONNET, HAIKU), ("support", "support", GPT5, MINI),
            ("pricing", "sales", MINI), ("sandbox", "docs", GROQ),
        ), filled=1.0, growth=3.2,
    ),
    AccountPlan(
        "oak-and-iron", "Oak & Iron Furniture", "Leeds", "premium", 9,
        agents(
            ("orders", "support", MINI), ("advice", "sales", HAIKU, MINI),
            ("invoices", "billing", MINI), ("workshop", "it-help", OLLAMA),
        ), filled=0.46,
    ),
    AccountPlan(
        "medina-hotels", "Medina Hotels", "Seville", "premium", 8,
        agents(
            ("concierge", "travel", GPT, SONNET), ("tables", "booking", FLASH),
            ("rooms", "sales", FLASH, MINI), ("team", "people", MISTRAL),
        ), filled=0.62, growth=2.1,
    ),
    AccountPlan(
        "kestrel-bank", "Kestrel Bank", "Zurich", "enterprise", 7,
        agents(
            ("cards", "billing", GPT), ("helpdesk", "it-help", OLLAMA),
            ("handbook", "people", OLLAMA), ("branches", "support", HAIKU),
        ), filled=0.33, growth=1.2,
    ),
    AccountPlan(
        "velo-city", "Velo City", "Utrecht", "standard", 6,
        agents(
            ("shop", "support", MINI), ("rental", "booking", FLASH), ("tours", "travel", FLASH),
        ), filled=0.55,
    ),
    AccountPlan(
        "lumen-health", "Lumen Health", "Boston", "enterprise", 5,
        agents(
            ("appointments", "booking", SONNET, GPT), ("portal", "it-help", HAIKU),
            ("bills", "billing", HAIKU),
        ), filled=0.83,
    ),
    AccountPlan(
        "tanuki-games", "Tanuki Games", "Osaka", "premium", 5,
        agents(
            ("players", "support", DEEPSEEK), ("modders", "docs", DEEPSEEK),
            ("store", "sales", GROQ),
        ), filled=0.18, growth=2.6,
    ),
    AccountPlan(
        "brasserie-lune", "Brasserie Lune", "Lyon", "standard", 4,
        agents(("tables", "booking", MISTRAL), ("events", "sales", MISTRAL, MINI)), filled=0.4,
    ),
    AccountPlan(
        "orbit-parcel", "Orbit Parcel", "Rotterdam", "premium", 4,
        agents(
            ("tracking", "support", GROQ), ("claims", "billing", MINI), ("depot", "it-help", GROQ),
        ), filled=0.95,
    ),
    AccountPlan(
        "fjord-software", "Fjord Software", "Bergen", "standard", 3,
        agents(
            ("api-guide", "docs", SONNET), ("sales", "sales", MINI), ("office", "people", MINI),
        ), filled=0.29,
    ),
    AccountPlan(
        "casa-verde", "Casa Verde Gardens", "Valencia", "standard", 2.5,
        agents(("advice", "sales", FLASH), ("orders", "support", FLASH)),
    ),
    AccountPlan(
        "helvetia-print", "Helvetia Print", "Bern", "standard", 2,
        agents(("jobs", "support", MISTRAL), ("ledger", "billing", MISTRAL)), filled=0.12,
    ),
    AccountPlan(
        "blue-harbour", "Blue Harbour Sailing", "Split", "free", 1.5,
        agents(("charter", "booking", MINI), ("routes", "travel", MINI)), since=48, growth=4,
    ),
    AccountPlan(
        "atlas-university", "Atlas University", "Leuven", "enterprise", 3,
        agents(
            ("students", "people", HAIKU), ("campus-it", "it-help", HAIKU, OLLAMA),
            ("library", "docs", FLASH), ("admissions", "sales", FLASH),
        ), filled=0.5, since=75, growth=2.4,
    ),
    AccountPlan(
        "sprout-kitchen", "Sprout Kitchen", "Portland", "free", 1,
        agents(("tables", "booking", FLASH)), since=30, growth=3,
    ),
    AccountPlan(
        "quarry-stone", "Quarry & Stone", "Aberdeen", "free", 0.6,
        agents(("quotes", "sales", MINI), ("help", "support", MINI)), since=21,
    ),
    AccountPlan(
        "red-fox-media", "Red Fox Media", "Prague", "standard", 3,
        agents(("subscribers", "billing", GPT), ("readers", "support", MINI)),
        until=11, status=SUSPENDED, filled=1.0,
    ),
    AccountPlan(
        "tin-whistle", "Tin Whistle Records", "Galway", "free", 0.8,
        agents(("fans", "support", MINI), ("tickets", "booking", MINI)), until=44, status=DELETED,
        growth=0.4,
    ),
)  # fmt: skip


def seeded_random(*names: object) -> random.Random:
    """Return a random generator that gives the same values each time for these names."""
    return random.Random("/".join(map(str, (SEED, *names))))  # noqa: S311 - no secret


def starts(
    account: AccountPlan, agent: AgentPlan, turns: float, until: datetime
) -> Iterator[tuple[datetime, random.Random]]:
    """Yield when conversations begin, more often on working days, by day and towards the end."""
    dice = seeded_random(account.slug, agent.slug, "starts")
    length = account.since - account.until
    midnight = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=length - 1 - place) for place in range(length)]
    weights = [
        WEEK[day.weekday()] * (1 + (account.growth - 1) * place / length) * dice.uniform(0.75, 1.25)
        for place, day in enumerate(days)
    ]
    for day, weight in zip(days, weights, strict=True):
        expected = turns / MEAN_TURNS * weight / sum(weights)
        for number in range(int(expected + dice.random())):
            own = seeded_random(account.slug, agent.slug, day.date(), number)
            seconds = own.choices(range(24), HOURS)[0] * 3600 + own.randrange(3600)
            moment = day + timedelta(seconds=seconds, milliseconds=own.randrange(1000))
            if moment < until:
                yield moment, own


def dated_id(moment: datetime, dice: random.Random) -> UUID:
    """Return an id as salient.ids.uuid7 would have made it at that moment."""
    milliseconds = int(moment.timestamp() * 1000)
    low = dice.getrandbits(62)
    return UUID(int=milliseconds << 80 | 7 << 76 | dice.getrandbits(12) << 64 | 2 << 62 | low)
