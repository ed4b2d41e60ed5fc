"""The process that a local model runs in, and how its supervisor starts it.

The process serves OpenAI's chat API on a port of the loopback interface, with a key that only
its users know. It ends at SIGTERM and when its supervisor is gone.
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from agents.runtime.providers.local_models import LOCAL_MODELS, WeightsError
from salient.local.shared_process import ROOT, SharedProcessError

PARALLEL = 2
CONTEXT = 8192
# A tiny model does not always stop by itself.
MOST_TOKENS = 1024
PROMPT_CACHE_MIB = 256
KEY_VARIABLE = "SALIENT_LOCAL_KEY"


class LocalServer:
    """What the supervisor starts and stops; the directory is named after the model."""

    stop_signal = signal.SIGTERM

    def __init__(self, directory: Path) -> None:
        self.model = directory.name
        self.address_file = directory / "address"
        self.weights_directory = directory.parent / "models"
        self.key = ""

    def start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            weights = LOCAL_MODELS[self.model].prepare(self.weights_directory)
        except (WeightsError, OSError) as error:
            raise SharedProcessError(str(error)) from error
        self.address_file.unlink(missing_ok=True)
        self.key = secrets.token_urlsafe(32)
        # OpenMP's threads would otherwise spin while they wait, and slow the web server down.
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", KEY_VARIABLE: self.key}
        return subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
            [sys.executable, "-m", __name__, str(weights), str(self.address_file)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        try:
            return {"url": f"{self.address_file.read_text()}/v1", "key": self.key}
        except FileNotFoundError:
            return None

    def start_failure(self, log: str) -> str:
        last = next(
            (line for line in reversed(log.splitlines()) if line.strip()), "no reason given"
        )
        return f"The local model {self.model} does not start: {last.strip()}"


def serve(weights: str, address_file: Path) -> None:
    """Serve the model until SIGTERM comes or the supervisor is gone."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # Signals of the supervisor's terminal must not reach this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = os.getppid()
    server = _start(weights, os.environ.pop(KEY_VARIABLE))
    draft = address_file.with_suffix(".new")
    draft.write_text(server.listening_address)
    draft.replace(address_file)
    while not stop.wait(1) and os.getppid() == supervisor:
        pass
    del server


def _start(weights: str, key: str) -> Any:
    # Imported only here, because no other process needs its 100 MB.
    xllamacpp: Any = import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.n_parallel = PARALLEL
    params.n_ctx = PARALLEL * CONTEXT
    params.n_predict = MOST_TOKENS
    # The defaults that the makers of these small models advise; a request may set others.
    params.sampling.temp = 0.2
    params.sampling.top_p = 0.9
    params.sampling.penalty_repeat = 1.1
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.endpoint_slots = False
    params.ui = False
    return xllamacpp.Server(params)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
