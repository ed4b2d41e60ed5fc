"""Starts the measured servers, each with its own environment, and ends all of them."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks import ceiling, cluster, litellm_peer
from benchmarks.cluster import BENCH, ROOT

POOL_SIZE = 8
START_SECONDS = 120
STOP_SECONDS = 30
GUNICORN = [sys.executable, "-m", "gunicorn", "--log-level", "warning"]


class NotStarted(Exception):
    """A server did not come up; the message names its log."""


@dataclass
class Server:
    """A running server: where it listens, its process and the database that it uses."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    database: str = ""

    def connections(self) -> int:
        """How many it has open to its database."""
        return len(cluster.backends(self.name)) if self.database else 0

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Servers:
    """All servers of one benchmark; closing it ends them, the last one first."""

    stack: ExitStack = field(default_factory=ExitStack)
    secrets: dict[str, str] = field(
        default_factory=lambda: {
            name: secrets.token_urlsafe(48)
            for name in ("SECRET_KEY", "API_KEY_PEPPER", "SECRET_ENCRYPTION_KEYS")
        }
    )
    model_port: int = 0

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], port: int
    ) -> Server:
        """Start a server and wait until it answers; raises NotStarted."""
        log = BENCH / f"{name}.log"
        # Only what a server needs: no keys and settings of this shell.
        values = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        values |= {"HOME": str(BENCH), "PORT": str(port), "HOST": "127.0.0.1", **environment}
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                command, cwd=ROOT, env=values, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        server = Server(name, port, process, environment.get("BENCH_DATABASE", ""))
        self.stack.callback(server.stop)
        wait_for(server, log)
        return server

    def stop(self) -> None:
        self.stack.close()

    def model(self) -> Server:
        self.model_port = free_port()
        command = [sys.executable, "-m", "benchmarks.mock_model", "--port", str(self.model_port)]
        return self.start("model", command, {}, self.model_port)

    def ceiling(self, database: str, name: str = "ceiling") -> Server:
        values = {
            "DATABASE_URL": cluster.url(database, name),
            "BENCH_DATABASE": database,
            "MODEL_URL": f"http://127.0.0.1:{self.model_port}",
        }
        port = free_port()
        # The package stands in for gunicorn.conf.py, whose hooks would check Salient's settings.
        options = f"""--config python:benchmarks --bind 127.0.0.1:{port} --worker-class asgi
            --worker-connections 4000 --backlog 4096 --keep-alive 15 --no-control-socket"""
        command = [*GUNICORN, *options.split(), "benchmarks.ceiling:application"]
        return self.start(name, command, values, port)

    def salient(self, database: str, name: str = "salient", lag_file: Path | None = None) -> Server:
        module = "benchmarks.lag" if lag_file else "salient.asgi"
        values = self.salient_environment(database, name)
        if lag_file:
            values["LAG_FILE"] = str(lag_file)
        return self.start(name, [*GUNICORN, f"{module}:application"], values, free_port())

    def litellm(self, name: str = "litellm") -> Server:
        port = free_port()
        command, values = litellm_peer.command(port, self.model_port)
        return self.start(name, command, values, port)

    def salient_environment(self, database: str, client: str) -> dict[str, str]:
        """Production's settings, behind a proxy that says it received the call over HTTPS."""
        return {
            **self.secrets,
            "DATABASE_URL": cluster.url(database, client),
            "BENCH_DATABASE": database,
            "DATABASE_POOL_SIZE": str(POOL_SIZE),
            "DEBUG": "false",
            "DEMO": "false",
            "HTTPS": "true",
            "TRUST_PROXY_HEADERS": "true",
            "ALLOWED_HOSTS": "127.0.0.1",
            "EMAIL_URL": "dummymail://",
            "AGENT_CONFIG_DIR": str(BENCH / "agents"),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.model_port}/v1",
            "OPENAI_API_KEY": "sk-mock",
            "LOG_LEVEL": "warning",
            "START_WORKER": "false",
            "WEB_CONCURRENCY": "1",
            # A waiting turn must not reach its time limit in a benchmark.
            "STREAM_MAX_SECONDS": "600",
        }

    def run(self, database: str, *arguments: str) -> str:
        """Run one of our modules or manage.py against a database; returns its output."""
        values = self.salient_environment(database, "benchmark")
        values |= {"PATH": os.environ.get("PATH", os.defpath)}
        done = subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, *arguments],
            cwd=ROOT,
            env=values,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        return done.stdout

    def new_salient_database(self, name: str) -> dict[str, Any]:
        """Create a migrated database with a tenant; returns the key and the long conversations."""
        cluster.make_database(name)
        (BENCH / "agents").mkdir(parents=True, exist_ok=True)
        self.run(name, "manage.py", "migrate", "--verbosity", "0")
        # A production server does not start without them.
        self.run(name, "manage.py", "collectstatic", "--noinput", "--verbosity", "0")
        made = self.run(name, "-m", "benchmarks.tenant", str(BENCH / "agent.yaml"))
        return dict(json.loads(made))

    def new_ceiling_database(self, name: str) -> None:
        cluster.make_database(name)
        with cluster.administrator(name) as connection:
            connection.execute(ceiling.TABLE)

    def most_waiting(self) -> int:
        """How many calls waited at the model at once since the last call of this."""
        with urlopen(f"http://127.0.0.1:{self.model_port}/waiting", timeout=10) as answer:
            return int(json.load(answer)["most"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(server: Server, log: Path) -> None:
    """Return when the port answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise NotStarted(f"{server.name} did not start: see {log}")
