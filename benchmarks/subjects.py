"""The servers that are measured, and the request of each for the same turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks import litellm_peer
from benchmarks.load import Plan
from benchmarks.servers import Server
from benchmarks.tenant import ACCOUNT, INSTANCE

CHUNK = '"content":"'
DONE = "[DONE]"
# Salient's endpoint for clients of OpenAI's API, as a subject beside its native routes.
COMPATIBLE = "salient v1"


@dataclass(frozen=True)
class Scenario:
    """One kind of load. `what` is the model server's behaviour: chunks-20, paced-20, wait-10."""

    name: str
    what: str
    connections: int
    stream: bool = False
    # Salient only: each connection continues one session instead of beginning one a turn.
    continues: bool = False
    without_model: bool = False

    @property
    def chunks(self) -> int:
        kind, _, number = self.what.partition("-")
        return 20 if kind == "wait" else int(number)


def json_at(connections: int, **more: bool) -> Scenario:
    return Scenario(_name("JSON", connections, more), "chunks-20", connections, **more)


def sse_at(connections: int, what: str = "chunks-20", **more: bool) -> Scenario:
    kind, _, chunks = what.partition("-")
    pace = ", one every 2 ms" if kind == "paced" else ""
    name = _name(f"SSE, {chunks} chunks{pace}", connections, more)
    return Scenario(name, what, connections, stream=True, **more)


def _name(kind: str, connections: int, more: dict[str, bool]) -> str:
    added = "".join(f", {word.replace('_', ' ')}" for word, holds in more.items() if holds)
    return f"{kind}{added}, {connections} at once"


@dataclass
class Subject:
    """A server and its requests."""

    name: str
    server: Server
    plan: Callable[[Scenario], Plan]
    takes: Callable[[Scenario], bool] = field(default=lambda _: True)


def ceiling(server: Server) -> Subject:
    def plan(scenario: Scenario) -> Plan:
        if scenario.without_model:
            return _openai(server, scenario, path="/without-model", expected={"{}": 1})
        return _openai(server, scenario)

    return Subject("ceiling", server, plan, lambda scenario: not scenario.continues)


def litellm(server: Server) -> Subject:
    headers = {"Authorization": f"Bearer {litellm_peer.MASTER_KEY}"}

    def plan(scenario: Scenario) -> Plan:
        return _openai(server, scenario, headers=headers)

    def takes(scenario: Scenario) -> bool:
        return not scenario.continues and not scenario.without_model

    return Subject("litellm", server, plan, takes)


def salient(server: Server, key: str, name: str = "salient") -> Subject:
    headers = {"Authorization": f"Bearer {key}", "X-Forwarded-Proto": "https"}
    base = f"/accounts/{ACCOUNT}/agents/{INSTANCE}"

    def plan(scenario: Scenario) -> Plan:
        # Words that arrive together are sent in one event, so the words are counted.
        events = {" word": scenario.chunks, "event: done\n": 1}
        return Plan(
            port=server.port,
            path=f"{base}/{'stream' if scenario.stream else 'chat'}",
            body={"message": _text(scenario)},
            headers=headers,
            connections=scenario.connections,
            expected={'"status":"complete"': 1} | (events if scenario.stream else {}),
            first="event: message" if scenario.stream else "",
            continues=scenario.continues,
        )

    return Subject(name, server, plan, lambda scenario: not scenario.without_model)


def compatible(server: Server, key: str, name: str = COMPATIBLE) -> Subject:
    """Salient's endpoint for clients of OpenAI's API: the same turns, and the same message."""
    headers = {"Authorization": f"Bearer {key}", "X-Forwarded-Proto": "https"}
    path = f"/accounts/{ACCOUNT}/agents/{INSTANCE}/v1/chat/completions"

    def plan(scenario: Scenario) -> Plan:
        events = {" word": scenario.chunks, DONE: 1}
        expected = {'"finish_reason":"stop"': 1} | (events if scenario.stream else {})
        messages = [{"role": "user", "content": _text(scenario)}]
        return Plan(
            port=server.port,
            path=path,
            body={"model": INSTANCE, "stream": scenario.stream, "messages": messages},
            headers=headers,
            connections=scenario.connections,
            expected=expected,
            first='"content":" word' if scenario.stream else "",
        )

    def takes(scenario: Scenario) -> bool:
        return not scenario.continues and not scenario.without_model

    return Subject(name, server, plan, takes)


def _text(scenario: Scenario) -> str:
    return f"Please say something, {scenario.what}."


def _openai(
    server: Server,
    scenario: Scenario,
    *,
    path: str = "/v1/chat/completions",
    headers: dict[str, str] | None = None,
    expected: dict[str, int] | None = None,
) -> Plan:
    system = "You are a friendly assistant. Answer briefly and plainly."
    messages = [{"role": "system", "content": system}, {"role": "user", "content": _text(scenario)}]
    whole = {CHUNK: scenario.chunks, DONE: 1} if scenario.stream else {CHUNK: 1}
    return Plan(
        port=server.port,
        path=path,
        body={"model": "gpt-4o-mini", "stream": scenario.stream, "messages": messages},
        headers=headers or {},
        connections=scenario.connections,
        expected=expected or whole,
        first=CHUNK if scenario.stream else "",
    )
