"""Converts the configuration files of the system before, which had a section for each setting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agents.config.errors import ConfigError, KeyPath, dotted
from agents.config.files import CONFIG_FILE, PROMPT_FILE
from agents.config.layers import mapping_layer
from agents.config.schema import AGENT_TYPES
from agents.config.yaml.source import Unreadable, decode, parse
from agents.config.yaml.text import dump
from agents.runtime.tools import tool_names

# Models were named as OpenRouter names them, without the provider.
FORMER_PROVIDER: Final = "openrouter"
LONGEST_HISTORY: Final = 200
MODEL_SECTIONS: Final = ("model_settings", "llm")
HISTORY_SECTIONS: Final = ("context_management", "chat")
PROMPT_KEYS: Final = ("system_prompt", "system", "prompt")
OPENING_KEYS: Final = ("opening_message", "welcome_message", "greeting", "welcome")
# What the folders' names say.
ELSEWHERE: Final = ("account", "account_slug", "instance_name", "instance_slug")


@dataclass(slots=True)
class Converted:
    """Today's files of one agent, and a line for each key that did not become part of them."""

    name: str
    content: dict[str, Any] = field(default_factory=dict)
    prompt: str = ""
    lost: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, str]:
        files = {CONFIG_FILE: dump(self.content)} if self.content else {}
        return files | ({PROMPT_FILE: self.prompt.strip() + "\n"} if self.prompt.strip() else {})


def convert(path: Path) -> Converted:
    """Read one old file, with the prompt that it names; raises Unreadable."""
    document = parse(path.read_bytes())
    if document.faults:
        raise Unreadable(document.faults[0].message, document.faults[0].line)
    reading = _Reading(path, document.content, document.lines)
    reading.convert()
    return reading.made


@dataclass(slots=True)
class _Reading:
    path: Path
    old: Mapping[str, Any]
    lines: Mapping[KeyPath, int]
    made: Converted = field(init=False)

    def __post_init__(self) -> None:
        # One file with the name of a type is of no agent.
        folders = self.path.parts[-3:-1] if self.path.name == CONFIG_FILE else ()
        self.made = Converted("/".join(folders))

    def convert(self) -> None:
        for key, value in self.old.items():
            self._section(key)((key,), value)
        if not self.made.prompt:
            beside = self.path.with_name(PROMPT_FILE)
            if beside.is_file():
                self.made.prompt = decode(beside.read_bytes())
        self._drop_wrong()

    def _section(self, key: str) -> Callable[[KeyPath, Any], None]:
        if key in MODEL_SECTIONS:
            return self._model
        if key in HISTORY_SECTIONS:
            return self._history
        known = {"prompts": self._prompts, "tools": self._tools, "model": self._model_name}
        return known.get(key, self._plain)

    def _lose(self, path: KeyPath, why: str) -> None:
        line = self.lines.get(path) or next(
            (self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), 1
        )
        self.made.lost.append(f"{self.path.name}:{line}: {dotted(path)}: {why}")

    def _each(self, path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
        if isinstance(value, Mapping):
            yield from (((*path, key), inner) for key, inner in value.items())
        elif value is not None:
            self._lose(path, "is not a mapping")

    def _plain(self, path: KeyPath, value: Any) -> None:
        key = str(path[-1])
        if key == "agent_type":
            if value in AGENT_TYPES:
                self.made.content["agent_type"] = value
            else:
                self._lose(path, f"there is no type {value}; the agent becomes {AGENT_TYPES[0]}")
        elif key in {"name", "display_name"}:
            self.made.content["display_name"] = value
        elif key in {"temperature", "max_tokens", "history_limit"}:
            self._number(key, path, value)
        elif key in PROMPT_KEYS:
            self._prompt(path, value)
        elif key in OPENING_KEYS:
            self.made.content["opening_message"] = value
        elif key not in ELSEWHERE:
            self._unknown(path, value)

    def _unknown(self, path: KeyPath, value: Any) -> None:
        """Name each key below that says something; what was switched off is no loss."""
        if isinstance(value, Mapping):
            if value.get("enabled") is not False:
                for inner, part in value.items():
                    self._unknown((*path, inner), part)
            return
        self._lose(path, "Salient has no such setting")

    def _number(self, key: str, path: KeyPath, value: Any) -> None:
        if key == "history_limit" and isinstance(value, int) and value > LONGEST_HISTORY:
            self._lose(path, f"{value} messages are more than {LONGEST_HISTORY}, which it becomes")
            value = LONGEST_HISTORY
        self.made.content[key] = value

    def _model(self, path: KeyPath, value: Any) -> None:
        provider = value.get("provider") if isinstance(value, Mapping) else None
        for inner, setting in self._each(path, value):
            key = inner[-1]
            if key in {"model", "model_name"}:
                self._model_name(inner, setting, str(provider or ""))
            elif key in {"temperature", "max_tokens"}:
                self._number(str(key), inner, setting)
            elif key != "provider":
                self._unknown(inner, setting)

    def _model_name(self, path: KeyPath, value: Any, provider: str = "") -> None:
        if not isinstance(value, str):
            self._lose(path, "is not text")
        elif ":" in value.partition("/")[0]:
            self.made.content["model"] = value
        elif provider or "/" in value:
            self.made.content["model"] = f"{provider or FORMER_PROVIDER}:{value}"
        else:
            self._lose(path, f"{value} names no provider: write provider:{value}")

    def _history(self, path: KeyPath, value: Any) -> None:
        for inner, setting in self._each(path, value):
            if inner[-1] in {"history_limit", "max_history_messages"}:
                self._number("history_limit", inner, setting)
            else:
                self._unknown(inner, setting)

    def _prompts(self, path: KeyPath, value: Any) -> None:
        for inner, setting in self._each(path, value):
            if inner[-1] == "system_prompt_file":
                self._prompt_file(inner, setting)
            elif inner[-1] in PROMPT_KEYS:
                self._prompt(inner, setting)
            elif inner[-1] in OPENING_KEYS:
                self.made.content["opening_message"] = setting
            else:
                self._unknown(inner, setting)

    def _prompt(self, path: KeyPath, value: Any) -> None:
        if isinstance(value, str):
            self.made.prompt = value
        else:
            self._lose(path, "is not text")

    def _prompt_file(self, path: KeyPath, value: Any) -> None:
        file = self.path.parent / str(value)
        inside = file.resolve().is_relative_to(self.path.parent.resolve())
        if not inside or not file.is_file():
            self._lose(path, f"there is no file {value} in the folder")
            return
        self.made.prompt = decode(file.read_bytes())

    def _tools(self, path: KeyPath, value: Any) -> None:
        listed = dict.fromkeys(value, True) if isinstance(value, list) else value
        for inner, setting in self._each(path, listed):
            options = dict(setting) if isinstance(setting, Mapping) else {"enabled": setting}
            if options.pop("enabled", True) is False:
                continue
            if inner[-1] not in tool_names():
                self._lose(inner, "there is no such tool")
                continue
            self.made.content.setdefault("tools", []).append(inner[-1])
            for option in options:
                self._lose((*inner, option), "this tool has no options")

    def _drop_wrong(self) -> None:
        """Take out what today's schema refuses, and say why."""
        while True:
            try:
                mapping_layer(self.made.content)
            except ConfigError as error:
                for problem in error.problems:
                    key = problem.key.partition(".")[0].partition("[")[0]
                    if self.made.content.pop(key, None) is None:
                        return
                    self.made.lost.append(f"{self.path.name}: {problem.key}: {problem.message}")
            else:
                return
