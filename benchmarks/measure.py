"""One measurement: a warm-up, then a load whose cost is read from the kernel and the database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks import cluster, meters
from benchmarks.cluster import ROOT
from benchmarks.load import Plan, Result, percentiles
from benchmarks.servers import Server
from benchmarks.subjects import Scenario, Subject, sse_at

WARM_SHARE, WARM_CONNECTIONS = 0.25, 4
# After a load: work that continues after the answer belongs to the turn's cost, too.
SETTLE_SECONDS = 0.2
# A stream that waits for a free connection waits more than once.
LONGEST_SECONDS = 900.0


@dataclass
class Record:
    """What one subject needed for one load."""

    subject: str
    scenario: str
    round: int
    result: Result
    cpu_ms: float = 0.0
    # Share of one core that the server used.
    busy: float = 0.0
    database_ms: float = 0.0
    statements: float = 0.0
    connections: int = 0
    memory_mb: float = 0.0
    # How many cores other processes of this machine used meanwhile.
    other_load: float = 0.0


@dataclass
class Waited:
    """What many streams needed that all waited for their first token at once."""

    subject: str
    streams: int
    at_once: int
    result: Result
    kb_each: float
    connections: int
    lag_ms: dict[str, float] = field(default_factory=dict)
    cpu_ms: float = 0.0
    statements: float = 0.0


def load(plan: Plan) -> Result:
    """Run the client in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        cwd=ROOT,
        input=json.dumps(asdict(plan)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Result(**json.loads(done.stdout))


def warm(subject: Subject, scenario: Scenario, seconds: float) -> None:
    plan = subject.plan(scenario)
    few = min(plan.connections, WARM_CONNECTIONS)
    load(replace(plan, seconds=seconds, connections=few))


def measure(subject: Subject, scenario: Scenario, seconds: float, number: int = 0) -> Record:
    """Warm up, then measure for so many seconds."""
    warm(subject, scenario, seconds * WARM_SHARE)
    plan = replace(subject.plan(scenario), seconds=seconds)
    return measure_plan(subject, plan, scenario.name, number)


def measure_plan(subject: Subject, plan: Plan, name: str, number: int) -> Record:
    """Measure a plan; the server is warm already."""
    cost, others = Cost(subject.server), OtherLoad()
    result = load(plan)
    time.sleep(SETTLE_SECONDS)
    cpu, database, sent = cost.since()
    turns = max(1, result.turns)
    return Record(
        subject=subject.name,
        scenario=name,
        round=number,
        result=result,
        cpu_ms=cpu * 1000 / turns,
        busy=cpu / result.seconds,
        database_ms=database * 1000 / turns,
        statements=sent / turns,
        connections=subject.server.connections(),
        memory_mb=meters.proportional_kb(cost.processes) / 1024,
        other_load=others.cores(besides=database),
    )


class OtherLoad:
    """The CPU time of other processes since this was created."""

    def __init__(self) -> None:
        self._begin, self._started = self._now(), time.monotonic()

    def cores(self, *, besides: float) -> float:
        """Return cores in use by others; PostgreSQL's seconds are given: it is no child process."""
        seconds = self._now() - self._begin - besides
        return max(0.0, seconds / (time.monotonic() - self._started))

    @staticmethod
    def _now() -> float:
        return meters.machine_seconds() - meters.cpu_seconds(meters.tree(os.getpid()))


class Cost:
    """The CPU time of a server and its database since this was created."""

    def __init__(self, server: Server) -> None:
        self._database = server.database
        self.processes = meters.tree(server.process.pid)
        self._backends = cluster.backends(server.name) if self._database else []
        self._begin = self._now()

    def since(self) -> tuple[float, float, float]:
        """Return CPU seconds of the server, those of its database's backends, and statements."""
        cpu, database, sent = (
            now - then for now, then in zip(self._now(), self._begin, strict=True)
        )
        return cpu, database, sent

    def _now(self) -> tuple[float, float, float]:
        sent = cluster.statements(self._database) if self._database else 0
        return meters.cpu_seconds(self.processes), meters.cpu_seconds(self._backends), sent


def wait(
    subject: Subject,
    streams: int,
    seconds: int,
    most_waiting: Callable[[], int],
    lag_file: Path | None = None,
) -> Waited:
    """Open many streams at once, and have the model wait for so many seconds in each."""
    warm(subject, sse_at(16), 2.0)
    plan = replace(
        subject.plan(sse_at(streams, f"wait-{seconds}")), calls=1, timeout=LONGEST_SECONDS
    )
    cost, before = Cost(subject.server), len(lag_lines(lag_file))
    memory_before = meters.resident_kb(cost.processes)
    most_waiting()
    with (
        meters.Watch(lambda: meters.resident_kb(cost.processes)) as memory,
        meters.Watch(subject.server.connections) as connected,
    ):
        result = load(plan)
    # The lag is written to its file once a second.
    time.sleep(1.5)
    late = [float(line) / 1000 for line in lag_lines(lag_file)[before:]]
    cpu, _, sent = cost.since()
    return Waited(
        subject=subject.name,
        streams=streams,
        at_once=most_waiting(),
        result=result,
        kb_each=(memory.most - memory_before) / streams,
        connections=connected.most,
        lag_ms=percentiles(late),
        cpu_ms=cpu * 1000 / streams,
        statements=sent / streams,
    )


def lag_lines(file: Path | None) -> list[str]:
    return file.read_text().splitlines() if file is not None and file.exists() else []
