"""Writes RESULTS.md: the goals, then the measurements behind them."""

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
    CONCURRENCY,
    FLAT,
    HIGH_CONCURRENCY,
    MANY_CHUNKS,
    Goal,
    Measured,
    goals,
    number,
    rate,
    spread,
)
from benchmarks.measure import Record, Waited
from benchmarks.subjects import COMPATIBLE, json_at, sse_at

LOADS = ("load", "subject", "turns/s", "CPU ms", "x ceiling", "x native", "p50", "p95", "p99")
ALL = ("ceiling", "salient", COMPATIBLE, "litellm")
MORE = ("1st chunk p50", "1st p99", "DB ms", "statements", "conn.", "MB", "busy", "errors")
FAR = """
All subjects share the cores with the client, the model and PostgreSQL. The ceiling, which stores
one row and does nothing else, is the best ratio to LiteLLM that can be reached here.
"""
HOW = """\
## What is compared

Each subject is one worker process that calls one mock model over loopback; all run side by side
and are measured one after the other, in another order each round. Numbers are medians, with the
lowest and the highest round in brackets. The machine is shared, so **ratios within a round are the
result** and absolutes are context.

- **Salient** is served as production serves it: `gunicorn.conf.py`, `salient.asgi:application`,
  one worker, `DATABASE_POOL_SIZE=8`, production's settings. Every turn is authenticated by an API
  key, counted against two rate limits and the account's places, reserved and settled in three
  budgets, priced, and stored (session, two messages, one request) behind row-level security.
- **Salient v1** is the same server at `…/v1/chat/completions`, its endpoint for clients of OpenAI's
  API: the same turns, with the requests and the answers of that API.
- **The ceiling** (`benchmarks/ceiling.py`) is a bare ASGI application under the same gunicorn
  worker and uvloop. It sends the body to the same model through one kept aiohttp client, relays
  the answer (JSON, or the stream's bytes as they arrive, with several events at once if so), and
  does one `INSERT` of the request and the answer on a pooled autocommit connection in one of four
  threads. It has no accounts, keys, limits, sessions, prices or schemas.
- **LiteLLM** is `litellm[proxy]` {litellm} from PyPI in its own environment, with one worker, a
  master key and no database: it stores nothing.

CPU is user and system time of a server's whole process tree, divided by the turns answered; `busy`
is its share of one core. `DB ms` is the CPU of PostgreSQL's processes for it, not part of CPU.
Statements are those that a client sends, `BEGIN` and `COMMIT` included. Latencies are in ms and
include the wait behind {usual} or more other callers. MB is the proportional memory of the process
tree.
"""


@dataclass(frozen=True)
class Facts:
    """Where and how long the benchmark ran."""

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


def goals_table(found: Sequence[Goal]) -> str:
    rows = [(goal.name, goal.limit, goal.found, goal.verdict) for goal in found]
    met = sum(goal.met is True for goal in found)
    head = ("goal", "limit", "found", "")
    return f"{table(head, rows)}\n\n{met} of {len(found)} goals are met."


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
        HOW.format(litellm=litellm_peer.version(), usual=CONCURRENCY).strip(),
        "## Loads",
        other_load(measured.records),
        loads_table(measured),
        "## Each further chunk of a stream",
        chunks_table(measured),
        "## Streams that wait",
        waiting_table(measured.waited),
        "## With few and with many rows in the tables",
        flat_table(measured),
        "## Whether the harness is the bottleneck",
        capacity_table(measured),
    ]
    return "\n\n".join(parts) + "\n"


def peer_table(measured: Measured) -> str:
    """Turns a second divided by LiteLLM's, of the ceiling and of Salient."""
    loads = [
        make(at).name for make in (json_at, sse_at) for at in (1, CONCURRENCY, HIGH_CONCURRENCY)
    ]
    rows = []
    for load in loads:
        found = [
            measured.ratios(load, "litellm", rate, subject=subject)
            for subject in ("ceiling", "salient")
        ]
        if all(found):
            rows.append([load, *map(spread, found)])
    return table(("x LiteLLM's turns a second", "ceiling", "salient"), rows)


def other_load(records: list[Record]) -> str:
    """Say how much other processes disturbed the absolute numbers."""
    found = [record.other_load for record in records]
    if not any(found):
        return "The load of other processes is not known."
    return (
        f"Other processes used {spread(found)} of the machine's {os.cpu_count()} cores. That "
        "lowers turns/s, adds to latencies, and raises CPU ms somewhat for all subjects."
    )


def loads_table(measured: Measured) -> str:
    rows = [
        load_row(measured, records)
        for scenario in dict.fromkeys(record.scenario for record in measured.records)
        for subject in ALL
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
        over(measured, records, "ceiling"),
        over(measured, records, "salient") if records[0].subject == COMPATIBLE else "",
        *(latency(name) for name in ("p50", "p95", "p99")),
        *((first(name) if streams else "") for name in ("p50", "p99")),
        one(lambda record: record.database_ms) if has_database else "",
        one(lambda record: record.statements) if has_database else "",
        one(lambda record: record.connections) if has_database else "",
        one(lambda record: record.memory_mb),
        one(lambda record: record.busy),
        str(errors),
    ]


def over(measured: Measured, records: list[Record], other: str) -> str:
    """The CPU of these turns divided by that of the other subject's, of the same load and round."""
    subject, scenario = records[0].subject, records[0].scenario
    base = scenario.replace(", continues", "")
    if subject == other:
        return ""
    costs = {record.round: record.cpu_ms for record in measured.of(other, base)}
    found = [r.cpu_ms / costs[r.round] for r in records if costs.get(r.round)]
    return spread(found) if found else ""


def chunks_table(measured: Measured) -> str:
    """The numbers behind the goal, and the same where each chunk is sent alone."""
    kinds = (
        ("as fast as the model sends them", "chunks", CHUNKS, MANY_CHUNKS),
        ("one every 2 ms, so that each is sent alone", "paced", 20, 200),
    )
    rows = []
    for name, kind, few, many in kinds:
        found = [measured.per_chunk(subject, kind, few, many) for subject in ALL]
        rows.append((name, *(spread(each) if each else "-" for each in found)))
    text = (
        "In us of CPU. The goal is about the first line. A chunk that is sent alone costs two "
        "system calls and a turn of the event loop, in the ceiling as well."
    )
    return f"{text}\n\n{table(('chunks are sent', *ALL), rows)}"


def waiting_table(waited: list[Waited]) -> str:
    head = ("streams", "subject", "answered", "errors", "at once", "kB each", "conn.", "lag p99")
    more = ("lag max", "1st chunk p50", "1st max", "CPU ms each", "statements each")
    rows = [waited_row(each) for each in waited]
    text = (
        "All are opened at once, and the model delays the first token of each; `at once` is the "
        "number that waited at the model at the same time. Lag (ms) is how late a sleeping task "
        "in the server's event loop is woken (`benchmarks/lag.py`), over all calls."
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


def flat_table(measured: Measured) -> str:
    rows = [
        (flat.what, spread(flat.small), spread(flat.large), f"{flat.ratio:.2f}")
        for flat in measured.flat
    ]
    text = (
        "CPU of a JSON turn in ms, PostgreSQL's included, measured alternately; up to "
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
