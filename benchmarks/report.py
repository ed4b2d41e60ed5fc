"""Writes RESULTS.md: the goals first, then all that they were judged by."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Self

from benchmarks import litellm_peer
from benchmarks.cluster import ROOT
from benchmarks.goals import (
    CHUNKS,
    FLAT,
    MANY,
    MANY_CHUNKS,
    USUAL,
    Goal,
    Measured,
    goals,
    number,
    rate,
    spread,
)
from benchmarks.measure import Record, Waited
from benchmarks.subjects import json_at, sse_at

LOADS = ("load", "subject", "turns/s", "CPU ms", "x ceiling", "p50", "p95", "p99")
MORE = ("1st chunk p50", "1st p99", "DB ms", "statements", "conn.", "MB", "busy", "errors")
FAR = """
All subjects share the cores with the client, the model and PostgreSQL. The ceiling, which stores
one row and does nothing else, says how far from LiteLLM anything can be here.
"""
HOW = """\
## What is compared

Each subject is one worker process that serves one mock model over loopback; all run side by side
and are measured in turns, another first in each round. Numbers are medians, in brackets from the
lowest to the highest round. The machine is shared, so **ratios within a round are the result** and
absolutes are context.

- **Salient** is served as production serves it: `gunicorn.conf.py`, `salient.asgi:application`,
  one worker, `DATABASE_POOL_SIZE=8`, production's settings. Every turn is authenticated by an API
  key, counted against two rate limits and the account's places, reserved and settled in three
  budgets, priced, and stored (session, two messages, one request) behind row-level security.
- **The ceiling** (`benchmarks/ceiling.py`) is a bare ASGI application under the same gunicorn
  worker and uvloop. It sends the body on to the same model through one kept aiohttp client, relays
  the answer (JSON, or the stream's bytes as they come, several events at once when they come so),
  and does one `INSERT` of the question and the answer on a pooled autocommit connection in one of
  four threads. No accounts, keys, limits, sessions, prices or shapes.
- **LiteLLM** is `litellm[proxy]` {litellm} from PyPI in an environment of its own, one worker, a
  master key, no database: it stores nothing.

CPU is user and system time of a server's whole process tree, divided by the turns answered; `busy`
is its share of one core. `DB ms` is the CPU of PostgreSQL's processes for it, not part of CPU.
Statements are those a client sends, `BEGIN` and `COMMIT` included. Latencies are in ms and hold
the wait behind {usual} or more other callers. MB is the proportional memory of the process tree.
"""


@dataclass(frozen=True)
class Facts:
    """Where and how long was measured."""

    date: str
    machine: str
    software: str
    commit: str
    length: str

    @classmethod
    def of_this_machine(cls, *, rounds: int, seconds: float, minutes: float) -> Self:
        names = ("gunicorn", "uvloop", "django", "psycopg", "aiohttp")
        versions = ", ".join(f"{name} {version(name)}" for name in names)
        return cls(
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            machine=f"{processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB",
            software=f"Python {platform.python_version()}, {versions}",
            commit=commit(),
            length=f"{rounds} rounds of {seconds:g} s a measurement, {minutes:.0f} minutes in all",
        )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def commit() -> str:
    def ask(*arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", *arguments],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    changed = " with uncommitted changes" if ask("status", "--porcelain", "-uno") else ""
    return (ask("rev-parse", "--short", "HEAD") or "unknown") + changed


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def goals_table(judged: Sequence[Goal]) -> str:
    rows = [(goal.name, goal.limit, goal.found, goal.verdict) for goal in judged]
    met = sum(goal.met is True for goal in judged)
    head = ("goal", "limit", "found", "")
    return f"{table(head, rows)}\n\n{met} of {len(judged)} goals are met."


def results(measured: Measured, facts: Facts) -> str:
    """The whole page."""
    parts = [
        "# Results of `make bench`\n\nWritten by the benchmark; do not edit. [How to read it]"
        "(README.md).",
        f"{facts.date}, commit {facts.commit}. {facts.machine}. {facts.software}. {facts.length}.",
        *(f"**{note}**" for note in measured.notes),
        "## Goals",
        goals_table(goals(measured)),
        "## How far from LiteLLM",
        FAR.strip(),
        peer_table(measured),
        HOW.format(litellm=litellm_peer.version(), usual=USUAL).strip(),
        "## Loads",
        neighbours(measured.records),
        loads_table(measured),
        "## Each further chunk of a stream",
        chunks_table(measured),
        "## Streams that wait",
        waiting_table(measured.waited),
        "## With little and with much in the tables",
        flat_table(measured),
        "## Whether the harness is the bottleneck",
        capacity_table(measured),
    ]
    return "\n\n".join(parts) + "\n"


def peer_table(measured: Measured) -> str:
    """Turns a second over LiteLLM's: what each way could reach at most, and what it reaches."""
    loads = [make(at).name for make in (json_at, sse_at) for at in (1, USUAL, MANY)]
    rows = []
    for load in loads:
        found = [
            measured.ratios(load, "litellm", rate, subject=subject)
            for subject in ("ceiling", "salient")
        ]
        if all(found):
            rows.append([load, *map(spread, found)])
    return table(("x LiteLLM's turns a second", "ceiling", "salient"), rows)


def neighbours(records: list[Record]) -> str:
    """How far the absolutes can be believed."""
    found = [record.neighbours for record in records]
    if not any(found):
        return "How busy the rest of the machine was is not known."
    return (
        f"Meanwhile others used {spread(found)} of the machine's {os.cpu_count()} cores. What they "
        "use is missing in turns/s and latencies, and makes CPU ms somewhat dearer for everybody."
    )


def loads_table(measured: Measured) -> str:
    rows = [
        load_row(measured, records)
        for scenario in dict.fromkeys(record.scenario for record in measured.records)
        for subject in ("ceiling", "salient", "litellm")
        if (records := measured.of(subject, scenario))
    ]
    return table((*LOADS, *MORE), rows)


def load_row(measured: Measured, records: list[Record]) -> list[str]:
    def many(ask: Callable[[Record], float]) -> str:
        return spread([ask(record) for record in records])

    def one(ask: Callable[[Record], float]) -> str:
        return number(median(ask(record) for record in records))

    def latency(name: str) -> str:
        return one(lambda record: record.result.latency_ms.get(name, 0.0))

    def first(name: str) -> str:
        return one(lambda record: record.result.first_chunk_ms.get(name, 0.0))

    subject, scenario = records[0].subject, records[0].scenario
    has_database, streams = subject != "litellm", "SSE" in scenario
    errors = sum(sum(record.result.errors.values()) for record in records)
    return [
        scenario,
        subject,
        many(lambda record: record.result.rps),
        many(lambda record: record.cpu_ms),
        over_ceiling(measured, records),
        *(latency(name) for name in ("p50", "p95", "p99")),
        *((first(name) if streams else "") for name in ("p50", "p99")),
        one(lambda record: record.database_ms) if has_database else "",
        one(lambda record: record.statements) if has_database else "",
        one(lambda record: record.connections) if has_database else "",
        one(lambda record: record.memory_mb),
        one(lambda record: record.busy),
        str(errors),
    ]


def over_ceiling(measured: Measured, records: list[Record]) -> str:
    subject, scenario = records[0].subject, records[0].scenario
    base = scenario.replace(", continues", "")
    if subject == "ceiling":
        return ""
    costs = {record.round: record.cpu_ms for record in measured.of("ceiling", base)}
    found = [r.cpu_ms / costs[r.round] for r in records if costs.get(r.round)]
    return spread(found) if found else ""


def chunks_table(measured: Measured) -> str:
    """What the goal is judged by, and the same where each chunk comes alone."""
    kinds = (
        ("as fast as the model sends them", "chunks", CHUNKS, MANY_CHUNKS),
        ("one every 2 ms, so that each comes alone", "paced", 20, 200),
    )
    rows = []
    for name, kind, few, many in kinds:
        found = [measured.per_chunk(s, kind, few, many) for s in ("ceiling", "salient", "litellm")]
        rows.append((name, *(spread(each) if each else "-" for each in found)))
    text = (
        "In us of CPU. The goal is judged by the first line. A chunk that comes alone costs two "
        "system calls and a turn of the event loop, in the ceiling as well."
    )
    return f"{text}\n\n{table(('chunks come', 'ceiling', 'salient', 'litellm'), rows)}"


def waiting_table(waited: list[Waited]) -> str:
    head = ("streams", "subject", "answered", "errors", "at once", "kB each", "conn.", "lag p99")
    more = ("lag max", "1st chunk p50", "1st max", "CPU ms each", "statements each")
    rows = [waited_row(each) for each in waited]
    text = (
        "All are opened at once, and the model lets each wait for its first token; `at once` is "
        "how many the model saw wait at the same time. Lag (ms) is how much later than asked a "
        "sleeper in the server's event loop wakes (`benchmarks/lag.py`), from the first call to "
        "the last."
    )
    return f"{text}\n\n{table((*head, *more), rows)}"


def waited_row(each: Waited) -> list[str]:
    first, lag = each.result.first_chunk_ms, each.lag_ms
    return [
        f"{each.streams:,}",
        each.subject,
        f"{each.result.turns:,}",
        " ".join(f"{count} x {what}" for what, count in each.result.errors.items()) or "0",
        f"{each.at_once:,}",
        number(each.kb_each),
        str(each.connections) if each.subject != "litellm" else "",
        number(lag["p99"]) if lag else "",
        number(lag["max"]) if lag else "",
        number(first.get("p50", 0.0)),
        number(first.get("max", 0.0)),
        number(each.cpu_ms),
        number(each.statements) if each.subject != "litellm" else "",
    ]


def waited_line(each: Waited) -> str:
    return "  ".join(waited_row(each))


def flat_table(measured: Measured) -> str:
    rows = [
        (flat.what, spread(flat.small), spread(flat.large), f"{flat.ratio:.2f}")
        for flat in measured.flat
    ]
    text = (
        "CPU of a JSON turn in ms, PostgreSQL's included, measured in turns; up to "
        f"{FLAT:g} x counts as flat. Sessions are continued in the first line, new in the others."
    )
    return f"{text}\n\n{table(('from … to', 'little', 'much', 'ratio'), rows)}"


def capacity_table(measured: Measured) -> str:
    rows = []
    for alone in [r for r in measured.records if r.subject == "mock and client alone"]:
        rates = [
            [record.result.rps for record in measured.of(subject, alone.scenario)]
            for subject in ("ceiling", "salient")
        ]
        shown = (number(median(each)) if each else "-" for each in rates)
        rows.append((alone.scenario, number(alone.result.rps), *shown))
    head = ("load, turns/s", "mock and client alone", "ceiling", "salient")
    return table(head, rows)
