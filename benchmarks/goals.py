"""The goals of the benchmark, and whether the measurements meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measure import Record, Waited
from benchmarks.subjects import COMPATIBLE, json_at, sse_at

CONCURRENCY, HIGH_CONCURRENCY = 16, 64
CHUNKS, MANY_CHUNKS = 20, 500
STREAMS, POOL = 2_000, 8
# A turn may cost so much more and still count as flat: the noise of a shared machine.
FLAT = 1.15


@dataclass(frozen=True)
class Flat:
    """One turn's CPU, the database's included, with few and with many rows in the tables."""

    what: str
    small: list[float]
    large: list[float]

    @property
    def ratio(self) -> float:
        return median(b / a for a, b in zip(self.small, self.large, strict=True))


@dataclass
class Measured:
    """All measurements of one run of the benchmark."""

    records: list[Record] = field(default_factory=list)
    waited: list[Waited] = field(default_factory=list)
    flat: list[Flat] = field(default_factory=list)
    # Why something is missing.
    notes: list[str] = field(default_factory=list)

    def of(self, subject: str, scenario: str) -> list[Record]:
        found = [r for r in self.records if (r.subject, r.scenario) == (subject, scenario)]
        return sorted(found, key=lambda record: record.round)

    def ratios(
        self,
        scenario: str,
        over: str,
        number: Callable[[Record], float],
        *,
        base: str = "",
        subject: str = "salient",
    ) -> list[float]:
        """Divide a subject's number by another's by round; `base` is the other's scenario."""
        mine = {r.round: number(r) for r in self.of(subject, scenario)}
        others = {r.round: number(r) for r in self.of(over, base or scenario)}
        return [mine[n] / others[n] for n in sorted(mine.keys() & others.keys()) if others[n]]

    def per_chunk(self, subject: str, kind: str, few: int, many: int) -> list[float]:
        """Return microseconds of CPU for each further chunk, round by round."""
        low = {
            r.round: r.cpu_ms for r in self.of(subject, sse_at(CONCURRENCY, f"{kind}-{few}").name)
        }
        high = {
            r.round: r.cpu_ms for r in self.of(subject, sse_at(CONCURRENCY, f"{kind}-{many}").name)
        }
        rounds = sorted(low.keys() & high.keys())
        return [(high[n] - low[n]) * 1000 / (many - few) for n in rounds]


@dataclass(frozen=True)
class Goal:
    """A goal: its limit, the measurement, and whether it is met (None: not measured)."""

    name: str
    limit: str
    found: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "**not met**", None: "**not measured**"}[self.met]


def at_most(name: str, limit: float, values: Iterable[float], unit: str) -> Goal:
    """Compare the median with the limit, and show the spread of the rounds."""
    return _compared(name, f"<= {limit:g} {unit}", values, unit, lambda found: found <= limit)


def at_least(name: str, limit: float, values: Iterable[float], unit: str) -> Goal:
    return _compared(name, f">= {limit:g} {unit}", values, unit, lambda found: found >= limit)


def _compared(
    name: str, limit: str, values: Iterable[float], unit: str, keeps: Callable[[float], bool]
) -> Goal:
    found = list(values)
    if not found:
        return Goal(name, limit, "-", None)
    return Goal(name, limit, f"{spread(found)} {unit}", keeps(median(found)))


def spread(values: list[float]) -> str:
    """The median, with the lowest and highest round."""
    text = number(median(values))
    return text if len(values) == 1 else f"{text} ({number(min(values))}-{number(max(values))})"


def number(value: float) -> str:
    """Round to about three digits; whole numbers stay."""
    digits = 0 if value == int(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2  # noqa: PLR2004
    return f"{value:,.{digits}f}"


def goals(measured: Measured) -> list[Goal]:
    return [
        *_over_ceiling(measured),
        *_over_native(measured),
        *_over_litellm(measured),
        *_waiting(measured),
        *(_flat(measured, what) for what in FLATNESS),
    ]


def _over_ceiling(measured: Measured) -> list[Goal]:
    def cost(record: Record) -> float:
        return record.cpu_ms

    found = []
    for name, make, limit in (("JSON", json_at, 2.5), ("SSE, 20 chunks", sse_at, 3.5)):
        base = make(CONCURRENCY).name
        # The more expensive of the two ways to use sessions counts.
        ways = [
            measured.ratios(scenario, "ceiling", cost, base=base)
            for scenario in (base, make(CONCURRENCY, continues=True).name)
        ]
        dearer = max((way for way in ways if way), key=median, default=[])
        found.append(at_most(f"{name}: CPU of a turn", limit, dearer, "x ceiling"))
    lone = json_at(1).name
    found.append(
        at_most(f"{lone}: CPU of a turn", 1.5, measured.ratios(lone, "ceiling", cost), "x ceiling")
    )
    chunk = measured.per_chunk("salient", "chunks", CHUNKS, MANY_CHUNKS)
    return [*found, at_most("SSE: CPU of each further chunk", 15, chunk, "us")]


def _over_native(measured: Measured) -> list[Goal]:
    """The endpoint for clients of OpenAI's API does the same turns as the native routes."""
    found = []
    for make in (json_at, sse_at):
        for at in (1, CONCURRENCY):
            load = make(at).name
            costs = measured.ratios(load, "salient", lambda r: r.cpu_ms, subject=COMPATIBLE)
            found.append(at_most(f"v1, {load}: CPU of a turn", 1.15, costs, "x native route"))
    return found


def rate(record: Record) -> float:
    return record.result.rps


def _over_litellm(measured: Measured) -> list[Goal]:
    found = []
    for make, limit in ((json_at, 10), (sse_at, 15)):
        for at in (CONCURRENCY, HIGH_CONCURRENCY):
            load = make(at).name
            rates = measured.ratios(load, "litellm", rate)
            found.append(at_least(f"{load}: turns a second", limit, rates, "x LiteLLM"))
    return found


def _waiting(measured: Measured) -> list[Goal]:
    mine = [w for w in measured.waited if w.subject == "salient" and w.streams == STREAMS]
    errors = [STREAMS - w.result.turns + sum(w.result.errors.values()) for w in mine]
    name = f"{STREAMS:,} waiting streams"
    return [
        at_least(f"{name}: all of them at once", STREAMS, [w.at_once for w in mine], "streams"),
        at_most(f"{name}: errors", 0, errors, "errors"),
        at_most(f"{name}: database connections", POOL, [w.connections for w in mine], "open"),
        at_most(f"{name}: memory", 40, [w.kb_each for w in mine], "kB each"),
        at_most(
            f"{name}: event-loop lag, p99", 50, [w.lag_ms["p99"] for w in mine if w.lag_ms], "ms"
        ),
    ]


MESSAGES = "10 to 10,000 messages in the session"
ACCOUNTS = "10 to 10,000 accounts"
REQUESTS = "requests in the table"
FLATNESS = (MESSAGES, ACCOUNTS, REQUESTS)


def _flat(measured: Measured, what: str) -> Goal:
    found = [flat for flat in measured.flat if what in flat.what]
    name = f"Flat: {found[0].what if found else what}"
    values = [b / a for flat in found for a, b in zip(flat.small, flat.large, strict=True)]
    return at_most(name, FLAT, values, "x CPU of a turn")
