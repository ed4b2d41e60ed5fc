"""A load client on plain asyncio: kept connections, one call after the other; it counts errors.

`python -m benchmarks.load` reads a Plan as JSON from stdin and writes a Result as JSON to stdout.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any, cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
_SESSION = re.compile(rb'"session_id": ?"([0-9a-f-]{36})"')
CLOSES = b"\r\nconnection: close"
LAST_CHUNK = b"0\r\n\r\n"
MAX_CONNECTING = 256


@dataclass
class Plan:
    """What is requested, how often, and what a good answer contains."""

    port: int
    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    connections: int = 1
    # Ends after these seconds, or after this number of calls of each connection.
    seconds: float = 0.0
    calls: int = 0
    # Text → how often a complete answer contains it at least.
    expected: dict[str, int] = field(default_factory=dict)
    # A text in the first chunk of an answer; empty: the body's first byte counts.
    first: str = ""
    # Each connection continues the session of its first answer, or its share of `sessions`.
    continues: bool = False
    sessions: list[str] = field(default_factory=list)
    timeout: float = 120.0


@dataclass
class Result:
    """The answers; `errors` counts every call that was not answered as expected."""

    turns: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    reconnects: int = 0
    latency_ms: dict[str, float] = field(default_factory=dict)
    first_chunk_ms: dict[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0

    @property
    def rps(self) -> float:
        return self.turns / self.seconds if self.seconds else 0.0


class Answer:
    """The bytes of one answer as they arrive."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self.data = bytearray()
        self.started = time.perf_counter()
        self.first_at = 0.0
        self._body_at = self._whole_at = 0

    def feed(self, data: bytes) -> bool:
        """Add data; returns True once the answer is complete."""
        self.data += data
        if not self._body_at and not self._read_head():
            return False
        if not self.first_at and self.data.find(self._first, self._body_at) >= 0:
            self.first_at = time.perf_counter()
        if self._whole_at:
            return len(self.data) >= self._whole_at
        return self.data.endswith(LAST_CHUNK) and len(self.data) > self._body_at

    def _read_head(self) -> bool:
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._body_at = end + 4
        length = _LENGTH.search(self.data, 0, end)
        self._whole_at = self._body_at + int(length[1]) if length else 0
        return True

    @property
    def status(self) -> int:
        found = _STATUS.match(self.data)
        return int(found[1]) if found else 0

    @property
    def closes(self) -> bool:
        return CLOSES in bytes(self.data[: self._body_at]).lower()


class Meter:
    """Counts answers and errors of all connections."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.expected = [(text.encode(), count) for text, count in plan.expected.items()]
        self.errors: Counter[str] = Counter()
        # The kernel drops more connections than this, and retries them after up to a minute.
        self.connecting = asyncio.Semaphore(MAX_CONNECTING)
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.reconnects = 0

    def record(self, answer: Answer) -> None:
        if fault := self._fault(answer):
            self.errors[fault] += 1
            return
        self.latencies.append(time.perf_counter() - answer.started)
        self.firsts.append((answer.first_at or time.perf_counter()) - answer.started)

    def _fault(self, answer: Answer) -> str:
        if answer.status != 200:  # noqa: PLR2004 - OK
            return f"status {answer.status}"
        for text, count in self.expected:
            if answer.data.count(text) < count:
                return f"answer without {count} x {text.decode()}"
        return ""


class Connection(asyncio.Protocol):
    """One connection in a closed loop."""

    def __init__(self, meter: Meter, number: int) -> None:
        self._meter, self._plan = meter, meter.plan
        # The plan's sessions are divided among connections; each uses its own in turn.
        mine = self._plan.sessions[number :: self._plan.connections]
        self._sessions = cycle(mine) if mine else None
        self._session = ""
        self._first = self._plan.first.encode()
        self._answer: Answer | None = None
        self._done: asyncio.Future[Answer | None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by inheritance.
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self._finish(None)

    def data_received(self, data: bytes) -> None:
        if self._answer is not None and self._answer.feed(data):
            answer, self._answer = self._answer, None
            self._finish(answer)

    def _finish(self, answer: Answer | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(answer)

    async def run(self, until: float) -> None:
        """Call until the time is over or all calls are done."""
        made = 0
        while (made < self._plan.calls) if self._plan.calls else (time.perf_counter() < until):
            made += 1
            try:
                async with asyncio.timeout(self._plan.timeout):
                    await self._call()
            except TimeoutError:
                self._meter.errors["no answer in time"] += 1
                self._close()
            except OSError as error:
                self._meter.errors[type(error).__name__] += 1
                # A server that refuses would otherwise be called a million times.
                await asyncio.sleep(0.05)
        self._close()

    async def _call(self) -> None:
        if self.transport is None:
            await self._connect()
        loop = asyncio.get_running_loop()
        self._done, self._answer = loop.create_future(), Answer(self._first)
        assert self.transport is not None  # noqa: S101 - just connected
        self.transport.write(self._request())
        answer = await self._done
        if answer is None:
            self._meter.errors["connection lost"] += 1
            return
        self._meter.record(answer)
        self._learn(answer)
        if answer.closes:
            self._meter.reconnects += 1
            self._close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._meter.connecting:
            await loop.create_connection(lambda: self, "127.0.0.1", self._plan.port)

    def _learn(self, answer: Answer) -> None:
        if self._plan.continues and not self._session:
            found = _SESSION.search(answer.data)
            self._session = found[1].decode() if found else ""

    def _request(self) -> bytes:
        session = next(self._sessions) if self._sessions else self._session
        values = self._plan.body | ({"session_id": session} if session else {})
        body = json.dumps(values).encode()
        headers = {"Host": "127.0.0.1", "Content-Type": "application/json", **self._plan.headers}
        lines = [f"POST {self._plan.path} HTTP/1.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None


async def run(plan: Plan) -> Result:
    """Carry out the plan; turns that run when the time is over are finished and count."""
    meter = Meter(plan)
    connections = [Connection(meter, number) for number in range(plan.connections)]
    cpu, begin = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for connection in connections:
            tasks.create_task(connection.run(begin + plan.seconds))
    return Result(
        turns=len(meter.latencies),
        errors=dict(meter.errors),
        seconds=time.perf_counter() - begin,
        reconnects=meter.reconnects,
        latency_ms=percentiles(meter.latencies),
        first_chunk_ms=percentiles(meter.firsts),
        cpu_seconds=time.process_time() - cpu,
    )


def percentiles(seconds: list[float]) -> dict[str, float]:
    """The 50th, 95th and 99th percentile and the largest, in milliseconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    last = len(ordered) - 1
    found = {f"p{p}": ordered[min(last, len(ordered) * p // 100)] for p in (50, 95, 99)}
    return {name: round(value * 1000, 3) for name, value in (found | {"max": ordered[-1]}).items()}


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    json.dump(asdict(uvloop.run(run(plan))), sys.stdout)


if __name__ == "__main__":
    main()
