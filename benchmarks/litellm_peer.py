"""Installs and starts LiteLLM's proxy, from its own lock, without a database, with a key."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

from benchmarks.cluster import BENCH, ROOT

ENVIRONMENT = BENCH / "litellm"
LOCK = Path(__file__).with_name("litellm.txt")
MASTER_KEY = "sk-benchmark"
CONFIG = """\
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://127.0.0.1:{model_port}/v1
      api_key: sk-mock
litellm_settings:
  telemetry: false
  num_retries: 2
  request_timeout: 600
general_settings:
  master_key: {key}
"""
# As its documentation recommends for production; nothing is fetched at run time.
SETTINGS = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    # No limit of parallel calls; its default is 500, and 0 would mean 100.
    "AIOHTTP_CONNECTOR_LIMIT": "100000",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "100000",
}


class NotInstalled(Exception):
    """LiteLLM cannot be installed here; the message says why."""


def install() -> str:
    """Install the lock unless that was done; returns the version. Raises NotInstalled."""
    stamp = ENVIRONMENT / ".lock"
    try:
        if not stamp.exists() or stamp.read_text() != LOCK.read_text():
            _install()
            stamp.write_text(LOCK.read_text())
    except Exception as error:
        raise NotInstalled(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
    return version()


def version() -> str:
    pinned = [line for line in LOCK.read_text().splitlines() if line.startswith("litellm==")]
    return pinned[0].partition("==")[2].split()[0]


def _install() -> None:
    bootstrap = _bootstrap()
    python = ENVIRONMENT / "bin" / "python"
    wanted = bootstrap.python_version()
    bootstrap.call_uv("venv", "--clear", "--python", wanted, str(ENVIRONMENT))
    options = ["--require-hashes", "--only-binary", ":all:"]
    bootstrap.call_uv("pip", "install", "--python", str(python), *options, "-r", str(LOCK))


def _bootstrap() -> ModuleType:
    """Import bin/bootstrap.py, which is a script and not a package, for its uv."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bin" / "bootstrap.py")
    assert spec is not None  # noqa: S101 - the file is there
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(port: int, model_port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts the proxy with one worker, and its environment."""
    config = BENCH / "litellm.yaml"
    config.write_text(CONFIG.format(model_port=model_port, key=MASTER_KEY))
    program = [str(ENVIRONMENT / "bin" / "litellm"), "--config", str(config)]
    address = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    path = f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return [*program, *address], {**SETTINGS, "PATH": path}
