"""This checkout as it is shipped, whatever its owner has changed in it since."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from agents.runtime.providers.native import KNOWN

CONFIGS = "config/agent_configs"


def copy_agent_configs(folder: Path) -> None:
    """Write the agents' files of the last commit; without git, those that are there."""
    listed = _git("ls-tree", "-r", "--name-only", "-z", "HEAD", CONFIGS)
    names = [name for name in listed.decode().split("\0") if name]
    for name in names or _files():
        text = _git("show", f"HEAD:{name}") if names else (settings.BASE_DIR / name).read_bytes()
        path = folder / Path(name).relative_to(CONFIGS)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=settings.BASE_DIR, capture_output=True, check=False
        )
    except FileNotFoundError:
        return b""
    return done.stdout


def _files() -> list[str]:
    base = Path(settings.BASE_DIR)
    return [str(p.relative_to(base)) for p in (base / CONFIGS).rglob("*") if p.is_file()]


def provider_variables(environment: Iterable[str]) -> list[str]:
    """The names by which a shell or a .env chooses providers, their keys and local models."""
    native = {key for provider in KNOWN.values() for key in provider.keys}
    ours = {"LOCAL_MODEL", "LOCAL_MODEL_PATH", *native}
    return [
        name for name in environment if name in ours or name.endswith(("_API_KEY", "_BASE_URL"))
    ]
