"""The metrics themselves, by prometheus-client. Their names and labels are an interface.

With PROMETHEUS_MULTIPROC_DIR, which gunicorn.conf.py sets, each process keeps its numbers in files
of a shared folder (salient/observability/multiprocess.py); whichever of them is asked sums them.
Labels have few values each: no ids, no words that callers choose.

A server counts into a dictionary and writes it into the files every few seconds: a write takes a
lock and a call of the system, and a turn counts eight things.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from salient.observability import count_files

if TYPE_CHECKING:
    from salient.observability.stored import Figure

# Before the first metric makes its file.
count_files.use()
REGISTRY: Final = CollectorRegistry()
# Seconds. A turn may take STREAM_MAX_SECONDS.
TURN_BUCKETS: Final = (0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
TOKEN_BUCKETS: Final = (0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 30)
# A code of a problem; there are some seventy of them.
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST_CODES: Final = 200
# Values of histograms that wait to be written.
MOST_WAITING: Final = 500
CONNECTION, OTHER, OK = "connection", "other", "ok"


class Call(Protocol):
    """A model's call as agents/runtime records it."""

    @property
    def provider(self) -> str: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def error(self) -> str: ...


def _counters(name: str, text: str, *labels: str) -> Callable[..., Counter]:
    """Make a metric; return what gives its counter for values of the labels.

    `labels()` takes a lock and as long as the count itself: each counter is looked up once.
    """
    return cache(Counter(f"salient_{name}", text, labels, registry=REGISTRY).labels)


def _gauge(name: str, text: str, *labels: str, worst: bool = False) -> Gauge:
    """Sum, or take the worst of, what the living processes say."""
    mode: Literal["livemax", "livesum"] = "livemax" if worst else "livesum"
    return Gauge(f"salient_{name}", text, labels, registry=REGISTRY, multiprocess_mode=mode)


class Recorder:
    """Everything that is counted in the processes."""

    def __init__(self) -> None:
        self._request = _counters(
            "http_requests", "Requests that have ended.", "method", "route", "status"
        )
        self._refusal = _counters("refusals", "Errors of the API by their code.", "code")
        self._turn = _counters("turns", "Turns that have ended.", "status")
        self._token = _counters("tokens", "Tokens of models.", "direction", "provider")
        self._cost_of = _counters("cost_usd", "Known cost of turns in US dollars.", "provider")
        self._call = _counters("model_calls", "Calls of models.", "provider", "outcome")
        self._turn_seconds = Histogram(
            "salient_turn_seconds", "From the message to the end of its answer.",
            buckets=TURN_BUCKETS, registry=REGISTRY,
        )  # fmt: skip
        self._first_token_seconds = Histogram(
            "salient_first_token_seconds", "From the call of a model to its first token.",
            buckets=TOKEN_BUCKETS, registry=REGISTRY,
        )  # fmt: skip
        self.running_requests = _gauge("requests_running", "Requests under way.")
        self.running_streams = _gauge("streams_running", "Server-sent event streams under way.")
        self.connections = _gauge(
            "database_connections", "Open connections to the database.", "pool", "state"
        )
        self.pool_size = _gauge("database_pool_size", "The most connections of a pool.", "pool")
        self.waiting = _gauge("database_waiting", "Callers that wait for a connection.", "pool")
        self.is_circuit_open = _gauge(
            "database_circuit_open", "1 while calls are refused at once.", worst=True
        )
        self._codes: set[str] = set()
        self._lock = Lock()
        # Of a server; elsewhere everything is written at once.
        self.is_batched = False
        self._counts: defaultdict[Counter, float] = defaultdict(float)
        self._observed: list[tuple[Histogram, float]] = []

    def _add(self, counter: Counter, amount: float = 1) -> None:
        if not self.is_batched:
            counter.inc(amount)
            return
        # The threads of the database count too.
        with self._lock:
            self._counts[counter] += amount

    def _observe(self, histogram: Histogram, value: float) -> None:
        if not self.is_batched:
            histogram.observe(value)
            return
        with self._lock:
            self._observed.append((histogram, value))
        if len(self._observed) >= MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what was counted since the last time."""
        with self._lock:
            counts, self._counts = self._counts, defaultdict(float)
            observed, self._observed = self._observed, []
        for counter, amount in counts.items():
            counter.inc(amount)
        for histogram, value in observed:
            histogram.observe(value)

    def request(self, method: str, route: str, status: int) -> None:
        """Count a request; status 0 is a client that left before its answer began."""
        self._add(self._request(method, route, f"{status // 100}xx" if status else "left"))

    def refusal(self, code: str) -> None:
        if code not in self._codes:
            if not _CODE.fullmatch(code) or len(self._codes) >= MOST_CODES:
                code = OTHER
            self._codes.add(code)
        self._add(self._refusal(code))

    def turn_status(self, status: str) -> None:
        self._add(self._turn(status))

    def turn(
        self, status: str, seconds: float, first_token_ms: int | None, calls: Sequence[Call]
    ) -> None:
        """Count a turn that has ended, with the calls of its models."""
        self._add(self._turn(status))
        self._observe(self._turn_seconds, seconds)
        if first_token_ms is not None:
            self._observe(self._first_token_seconds, first_token_ms / 1000)
        for call in calls:
            provider = provider_of(call.provider)
            self._add(self._call(provider, call.error or OK))
            self._add(self._token("input", provider), call.input_tokens)
            self._add(self._token("output", provider), call.output_tokens)
            if call.cached_tokens:
                self._add(self._token("cached", provider), call.cached_tokens)

    def cost(self, provider: str, dollars: float) -> None:
        self._add(self._cost_of(provider_of(provider)), dollars)


def provider_of(name: str) -> str:
    """The provider as a label: the connections of accounts, which these name, are one."""
    return CONNECTION if name.startswith(f"{CONNECTION}/") else name


@cache
def shared() -> Recorder:
    """Return the one recorder of this process: a metric's name is taken once."""
    return Recorder()


def of_all_processes() -> CollectorRegistry:
    """Return what holds the numbers of all processes of this server."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


class _Stored(Collector):
    def __init__(self, figures: list[Figure] | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        up = 0 if self._figures is None else 1
        yield GaugeMetricFamily(
            "salient_database_up", "1 if the database returned its figures in time.", value=up
        )
        for figure in self._figures or ():
            family = GaugeMetricFamily(f"salient_{figure.name}", figure.help, labels=figure.labels)
            for labels, value in figure.values.items():
                family.add_metric(labels, value)
            yield family


def exposed(figures: list[Figure] | None) -> bytes:
    """Write all counts, and what the database says; it reads a few files, so a thread calls it."""
    stored = CollectorRegistry()
    stored.register(_Stored(figures))
    return generate_latest(of_all_processes()) + generate_latest(stored)
