"""Where configuration files lie: safe paths from slugs, what is read, what has changed."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accounts.models.slugs import is_slug
from agents.config.effective import EffectiveConfig
from agents.config.errors import ConfigError, ConfigProblem, legible
from agents.config.layers import Layer, mapping_layer, parse_layer, prompt_layer
from agents.config.yaml.source import MAX_BYTES

DEFAULTS_FILE = "defaults.yaml"
ACCOUNT_FILE = "account.yaml"
CONFIG_FILE = "config.yaml"
PROMPT_FILE = "system_prompt.md"
PRICES_FILE = "prices.yaml"

# Of each file inode, size and time of writing (ns), or the error number of one that is not there.
type Signature = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class InstanceFiles:
    """The files that say how one instance behaves; any of them may be missing."""

    base: Path
    account: str
    instance: str

    def __post_init__(self) -> None:
        for kind, slug in (("account", self.account), ("instance", self.instance)):
            if not is_slug(slug):
                message = f'"{legible(slug)}" is no valid {kind} name'
                raise ConfigError([ConfigProblem(legible(self.folder), message)])

    @property
    def folder(self) -> str:
        return f"{self.account}/{self.instance}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file, lowest layer first, relative to the base."""
        return (
            DEFAULTS_FILE,
            f"{self.account}/{ACCOUNT_FILE}",
            f"{self.folder}/{CONFIG_FILE}",
            f"{self.folder}/{PROMPT_FILE}",
        )

    def signature(self) -> Signature:
        """Return what differs when a file does: one stat for each, no reading."""
        return signature(self.base, *self.paths)

    def layers(self) -> list[Layer]:
        """Read and validate every file; raise ConfigError with all that is wrong."""
        layers: list[Layer] = []
        problems: list[ConfigProblem] = []
        for path in self.paths:
            try:
                layers += read_layer(self.base, path)
            except ConfigError as error:
                problems += error.problems
        problems += _two_prompts(layers)
        if problems:
            raise ConfigError(problems)
        return layers

    def effective(
        self, layers: list[Layer], override: Mapping[str, Any] | None = None
    ) -> EffectiveConfig:
        """Merge these layers and the published override."""
        published = [mapping_layer(override)] if override is not None else []
        return EffectiveConfig.from_layers([*layers, *published], folder=self.folder)


def signature(base: Path, *paths: str) -> Signature:
    """Return what differs when one of these files below base does."""
    return (_stamp(base)[:1], *(_stamp(base / path) for path in paths))


def read_layer(base: Path, path: str) -> list[Layer]:
    """Read one file below base: no layer when there is no such file."""
    source = read_source(base, path)
    if source is None:
        return []
    origin = path.rpartition("/")[2]
    if origin == PROMPT_FILE:
        return [prompt_layer(source, origin, file=path)]
    return [parse_layer(source, origin, file=path)]


def read_source(base: Path, path: str) -> bytes | None:
    """Read what one file below base says; None when there is no such file. Raises ConfigError."""
    try:
        source = _read(base, path)
    except _Unusable as error:
        raise ConfigError([ConfigProblem(path, str(error))]) from None
    # A file of no bytes is one that is just being written.
    if source is not None and not source.strip() and not path.endswith(PROMPT_FILE):
        raise ConfigError([ConfigProblem(path, "is empty: write {} or remove it")])
    return source


def found_accounts(base: Path) -> list[str]:
    """List the folders that belong to accounts."""
    return sorted(folder.name for folder in _folders(base) if is_slug(folder.name))


def found_instances(base: Path, account: str) -> list[str]:
    """List the folders that belong to an account's instances."""
    return sorted(folder.name for folder in _folders(base / account) if is_slug(folder.name))


class _Unusable(Exception):
    """There is something at the path, but nothing that may be read."""


def _read(base: Path, path: str) -> bytes | None:
    root = _root(base)
    try:
        real = (root / path).resolve()
        if not real.is_relative_to(root):
            raise _Unusable("points outside the configuration directory")
        if not stat.S_ISREG(real.stat().st_mode):
            raise _Unusable("is not a regular file")
        with real.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if (root / path).is_symlink():
            raise _Unusable("points to a file that does not exist") from None
        return None
    except OSError as error:
        raise _Unusable(f"cannot be read: {error.strerror}") from None


def _root(base: Path) -> Path:
    # Without this, a directory that is not mounted would look like one without any files.
    if not base.is_dir():
        raise _Unusable(f"cannot be read: there is no directory {base} (AGENT_CONFIG_DIR)")
    return base.resolve()


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116 - on the hot path: a Path costs more than the call
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _two_prompts(layers: list[Layer]) -> Iterator[ConfigProblem]:
    prompts = [
        layer
        for layer in layers
        if layer.origin in {CONFIG_FILE, PROMPT_FILE} and "system_prompt" in layer.content
    ]
    if len(prompts) > 1:
        message = f"is set here and in {PROMPT_FILE} beside it: keep one of them"
        yield prompts[0].problem(message, ("system_prompt",))


def _folders(parent: Path) -> Iterator[Path]:
    try:
        yield from (entry for entry in parent.iterdir() if entry.is_dir())
    except OSError:
        return
