"""Writes the first files of an instance: all of them or none, and never over an edit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agents.config import ConfigError, ConfigProblem, EffectiveConfig, Layer, parse_layer
from agents.config.files import CONFIG_FILE, PROMPT_FILE, InstanceFiles, read_layer
from agents.config.layers import prompt_layer

STARTER_PROMPT = """\
You are a friendly assistant. Answer briefly and plainly.
If you do not know something, say that you do not know.
"""

type Planned = Mapping[str, bytes]


class WouldOverwrite(Exception):
    """There is another configuration at the place already."""


def starter_files(
    files: InstanceFiles, *, display_name: str = "", agent_type: str = "simple_chat"
) -> Planned:
    """Plan the files with which a new agent can answer; none when it has a configuration."""
    if (files.base / files.folder / CONFIG_FILE).exists():
        return {}
    config = (
        "# How this agent behaves; docs/configuration.md explains every key.\n"
        "# Save a change: answers use it within about a second, nothing is restarted.\n"
        f"agent_type: {agent_type}\n"
        + (
            f"display_name: {json.dumps(display_name, ensure_ascii=False)}\n"
            if display_name
            else ""
        )
        + "# model: openai:gpt-5-mini   (without this line: the model of defaults.yaml)\n"
    )
    return {CONFIG_FILE: config.encode(), **_starter_prompt(files)}


def given_files(files: InstanceFiles, config: bytes, layer: Layer, *, force: bool) -> Planned:
    """Plan to copy a configuration that was given, and a prompt where it has none.

    Raises WouldOverwrite when another one is there, unless force is set.
    """
    target = files.base / files.folder / CONFIG_FILE
    if target.exists() and target.read_bytes() != config and not force:
        raise WouldOverwrite(f"There is another configuration at {target}.")
    return {CONFIG_FILE: config, **({} if _has_prompt(layer) else _starter_prompt(files))}


def _starter_prompt(files: InstanceFiles) -> Planned:
    """Plan a prompt unless there is one, in a file of its own or in the account's."""
    if (files.base / files.folder / PROMPT_FILE).exists():
        return {}
    below = [layer for path in files.paths[:2] for layer in read_layer(files.base, path)]
    return {} if any(map(_has_prompt, below)) else {PROMPT_FILE: STARTER_PROMPT.encode()}


def _has_prompt(layer: Layer) -> bool:
    return "system_prompt" in layer.content


def effective_with(files: InstanceFiles, planned: Planned, *, without: str = "") -> EffectiveConfig:
    """Say what would be in force with the planned files; raise ConfigError when nothing would."""
    layers: list[Layer] = []
    for path in files.paths:
        folder, _, name = path.rpartition("/")
        if path == without:
            continue
        if folder != files.folder or name not in planned:
            layers += read_layer(files.base, path)
        elif name == PROMPT_FILE:
            layers.append(prompt_layer(planned[name], name, file=path))
        else:
            layers.append(parse_layer(planned[name], name, file=path))
    return files.effective(layers)


@contextmanager
def written(files: InstanceFiles, planned: Planned) -> Iterator[None]:
    """Put the planned files in place; take them back when the block fails."""
    folder = files.base / files.folder
    if not folder.resolve().is_relative_to(files.base.resolve()):
        message = "points outside the configuration directory"
        raise ConfigError([ConfigProblem(files.folder, message)])
    with ExitStack() as undo:
        _make_folder(folder, undo)
        for name, text in planned.items():
            _put(folder / name, text, undo)
        yield
        undo.pop_all()


def _make_folder(folder: Path, undo: ExitStack) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent, undo)
        folder.mkdir()
        undo.callback(folder.rmdir)


def _put(path: Path, text: bytes, undo: ExitStack) -> None:
    before = path.read_bytes() if path.exists() else None
    replace_file(path, text)
    if before is None:
        undo.callback(path.unlink)
    else:
        undo.callback(replace_file, path, before)


def replace_file(path: Path, text: bytes) -> None:
    """Write the file whole or not at all: a server may be reading it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(text)
    draft.replace(path)
