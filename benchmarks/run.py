"""The benchmark: `python -m benchmarks.run` measures everything and writes RESULTS.md."""

from __future__ import annotations

import argparse
import json
import math
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import cluster, goals, litellm_peer, report, subjects
from benchmarks.cluster import BENCH, ROOT
from benchmarks.goals import Flat, Measured
from benchmarks.load import Plan
from benchmarks.measure import Record, load, measure, measure_plan, wait, warm
from benchmarks.servers import NotStarted, Servers
from benchmarks.subjects import Subject, json_at, sse_at

SALIENT, LITTLE, ACCOUNTS, REQUESTS, CEILING = DATABASES = (
    "bench_salient",
    "bench_little",
    "bench_accounts",
    "bench_requests",
    "bench_ceiling",
)
SCENARIOS = [
    *(json_at(connections) for connections in (1, 16, 64)),
    json_at(16, continues=True),
    json_at(16, without_model=True),
    *(sse_at(connections) for connections in (1, 16, 64)),
    sse_at(16, continues=True),
    *(sse_at(connections, "chunks-500") for connections in (1, 16, 64)),
    sse_at(16, "paced-20"),
    sse_at(16, "paced-200"),
]
FEW_ACCOUNTS, MANY_ACCOUNTS = 10, 10_000
WAITING = (1_000, 2_000)
# The model's shortest wait; longer where a server needs longer to accept all streams.
WAIT_SECONDS, LONGEST_WAIT = 10, 120
FLAT_CONNECTIONS = 8
LEAST_FLAT_ROUNDS = 5
SETTLE_IN_SECONDS = 4.0


@dataclass(frozen=True)
class Options:
    rounds: int
    seconds: float
    rows: int
    only: str


def say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stderr.flush()


class Benchmark:
    """The parts of one run, in their order."""

    def __init__(self, options: Options, servers: Servers) -> None:
        self.options, self.servers = options, servers
        self.measured = Measured()
        self.subjects: list[Subject] = []
        self.made: dict[str, Any] = {}

    def wants(self, part: str) -> bool:
        return not self.options.only or part in self.options.only.split(",")

    def run(self) -> Measured:
        self.prepare()
        self.capacity()
        if self.wants("rounds"):
            self.rounds()
        if self.wants("waiting"):
            self.waiting()
        if self.wants("flat"):
            self.flatness()
        return self.measured

    def prepare(self) -> None:
        """Databases, the model and the servers that the rounds compare."""
        say("Making the databases …")
        self.servers.model()
        self.made = self.servers.new_salient_database(SALIENT)
        self.servers.new_ceiling_database(CEILING)
        if self.wants("flat"):
            for name in (LITTLE, ACCOUNTS, REQUESTS):
                cluster.make_database(name, template=SALIENT)
        say("Starting the servers …")
        native = self.salient(SALIENT)
        compatible = subjects.compatible(native.server, self.made["key"])
        self.subjects = [subjects.ceiling(self.servers.ceiling(CEILING)), native, compatible]
        if self.wants("rounds") or self.wants("waiting"):
            self.add_peer()

    def salient(self, database: str) -> Subject:
        """Start Salient, and analyze its tables once they have rows.

        Plans that were made for empty tables read all rows, and are kept while the tables grow.
        """
        name = "salient" if database == SALIENT else database
        subject = subjects.salient(self.servers.salient(database, name), self.made["key"], name)
        warm(subject, json_at(FLAT_CONNECTIONS), SETTLE_IN_SECONDS)
        with cluster.administrator(database) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        return subject

    def add_peer(self) -> None:
        try:
            litellm_peer.install()
            self.subjects.append(subjects.litellm(self.servers.litellm()))
        except (litellm_peer.NotInstalled, NotStarted) as error:
            self.measured.notes.append(f"LiteLLM could not be measured: {error}")
            say(self.measured.notes[-1])

    def capacity(self) -> None:
        """Measure the model server and the client with nothing between them."""
        for scenario in (json_at(16), sse_at(16), sse_at(16, "chunks-500")):
            plan = subjects.ceiling(self.subjects[0].server).plan(scenario)
            result = load(replace(plan, port=self.servers.model_port, seconds=self.options.seconds))
            record = Record("mock and client alone", scenario.name, 0, result)
            self.measured.records.append(record)
            self.tell(record)

    def rounds(self) -> None:
        """Measure all subjects side by side in each round, in another order each time."""
        for number in range(self.options.rounds):
            first = number % len(self.subjects)
            for scenario in SCENARIOS:
                for subject in self.subjects[first:] + self.subjects[:first]:
                    if subject.takes(scenario):
                        record = measure(subject, scenario, self.options.seconds, number)
                        self.measured.records.append(record)
                        self.tell(record)

    def tell(self, record: Record) -> None:
        errors = f"  ERRORS {record.result.errors}" if record.result.errors else ""
        say(
            f"round {record.round + 1}  {record.scenario:44} {record.subject:10}"
            f"{record.result.rps:9,.0f} rps {record.cpu_ms:8.2f} ms CPU{errors}"
        )

    def waiting(self) -> None:
        """Use new servers for each number, because a process does not give memory back."""
        for streams in WAITING:
            for name in [subject.name for subject in self.subjects]:
                if name == subjects.COMPATIBLE:
                    # The same server: a stream holds the same while it waits.
                    continue
                seconds = self.long_enough(name, streams)
                say(f"{streams:,} streams wait {seconds} s at {name} …")
                with self.noted(f"{streams:,} streams at {name}"):
                    self.measured.waited.append(self.wait_at(name, streams, seconds))
                    say("  ".join(report.waited_row(self.measured.waited[-1])))

    @contextmanager
    def noted(self, what: str) -> Iterator[None]:
        """Continue without a server that did not start."""
        try:
            yield
        except NotStarted as error:
            self.measured.notes.append(f"{what}: {error}")

    def long_enough(self, name: str, streams: int) -> int:
        """Return seconds, so many that the last stream has arrived before the first one ends."""
        scenario = sse_at(64)
        [subject] = [each for each in self.subjects if each.name == name]
        known = self.measured.of(name, scenario.name)
        found = known or [measure(subject, scenario, min(2.0, self.options.seconds))]
        rps = max(1.0, median(record.result.rps for record in found))
        return min(LONGEST_WAIT, max(WAIT_SECONDS, math.ceil(5 * streams / rps)))

    def wait_at(self, name: str, streams: int, seconds: int) -> Any:
        lag_file = BENCH / "lag"
        lag_file.unlink(missing_ok=True)
        own = Servers(secrets=self.servers.secrets, model_port=self.servers.model_port)
        try:
            if name == "salient":
                server = own.salient(SALIENT, "salient-waiting", lag_file)
                subject = subjects.salient(server, self.made["key"])
            elif name == "litellm":
                subject = subjects.litellm(own.litellm("litellm-waiting"))
            else:
                subject = subjects.ceiling(own.ceiling(CEILING, "ceiling-waiting"))
            file = lag_file if name == "salient" else None
            return wait(subject, streams, seconds, self.servers.most_waiting, file)
        finally:
            own.stop()

    def flatness(self) -> None:
        """Measure the same turn with few and with many rows in the tables, alternately."""
        self.fill(LITTLE, accounts=FEW_ACCOUNTS - 1)
        seconds = self.fill(ACCOUNTS, accounts=MANY_ACCOUNTS - 1)
        say(f"{MANY_ACCOUNTS:,} accounts took {seconds:.0f} s")
        seconds = self.fill(REQUESTS, requests=self.options.rows)
        say(f"{self.options.rows:,} requests took {seconds:.0f} s")
        little = self.salient(LITTLE)
        base_plan = replace(little.plan(json_at(FLAT_CONNECTIONS)), seconds=self.options.seconds)
        short, long = (replace(base_plan, sessions=self.made[name]) for name in ("short", "long"))
        self.compare(goals.MESSAGES, (little, short), (little, long))
        rows = f"0 to {self.options.rows:,} {goals.REQUESTS}"
        for what, database in ((goals.ACCOUNTS, ACCOUNTS), (rows, REQUESTS)):
            much = self.salient(database)
            self.compare(
                what, (little, base_plan), (much, replace(base_plan, port=much.server.port))
            )

    def compare(self, what: str, small: tuple[Subject, Plan], large: tuple[Subject, Plan]) -> None:
        costs: dict[bool, list[float]] = {False: [], True: []}
        for number in range(-1, max(LEAST_FLAT_ROUNDS, self.options.rounds)):
            for is_large in (False, True) if number % 2 else (True, False):
                subject, plan = large if is_large else small
                record = measure_plan(subject, plan, what, number)
                # The first measurement warms both up.
                if number >= 0:
                    costs[is_large].append(record.cpu_ms + record.database_ms)
                    say(
                        f"  {'much' if is_large else 'little':8}{record.cpu_ms:8.2f} ms CPU "
                        f"{record.database_ms:8.2f} ms in the database"
                    )
                if record.result.errors:
                    self.measured.notes.append(f"{what}: errors {record.result.errors}")
        self.measured.flat.append(Flat(what, costs[False], costs[True]))
        say(f"{what}: {self.measured.flat[-1].ratio:.2f} x")

    def fill(self, database: str, *, accounts: int = 1_000, requests: int = 0) -> float:
        """Add other accounts and their requests to the database; returns the seconds."""
        begin = time.monotonic()
        size = ["--accounts", str(accounts), "--requests", str(requests)]
        command = [sys.executable, "-m", "benchmarks.big_data.fill", *size]
        address = ["--database-url", cluster.url(database)]
        subprocess.run([*command, *address], cwd=ROOT, check=True, stdout=sys.stderr)  # noqa: S603
        return time.monotonic() - begin


@contextmanager
def open_servers() -> Iterator[Servers]:
    """A running PostgreSQL, and servers to be started; nothing is left afterwards."""
    BENCH.mkdir(parents=True, exist_ok=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Two for each waiting stream.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    cluster.start()
    servers = Servers()
    try:
        yield servers
    finally:
        servers.stop()
        for name in DATABASES:
            cluster.drop_database(name)


def options() -> tuple[Options, Path]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rows", type=int, default=5_000_000, help="requests in the large table")
    parser.add_argument("--only", default="", help="of rounds,waiting,flat; for development")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "RESULTS.md")
    given = parser.parse_args()
    return Options(given.rounds, given.seconds, given.rows, given.only), given.output


def main() -> None:
    chosen, output = options()
    begin = time.monotonic()
    with open_servers() as servers:
        measured = Benchmark(chosen, servers).run()
    (BENCH / "measured.json").write_text(json.dumps(asdict(measured), indent=1))
    facts = report.Facts.of_this_machine(
        rounds=chosen.rounds, seconds=chosen.seconds, minutes=(time.monotonic() - begin) / 60
    )
    output.write_text(report.results(measured, facts))
    sys.stdout.write(report.goals_table(goals.goals(measured)) + "\n")


if __name__ == "__main__":
    main()
