"""Configurations beside the database: what files would change, and trees of published texts.

A tree has the published text of each agent at {account}/{instance}/published.yaml, or what is in
force as the files config.yaml and system_prompt.md, to be kept in the configuration directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.config import ConfigError, config_dir, read
from agents.config.effective import EffectiveConfig
from agents.config.files import CONFIG_FILE, PROMPT_FILE, found_accounts, found_instances
from agents.config.layers import leaves
from agents.config.schema import code_defaults
from agents.config.versions import publishing
from agents.config.versions.diff import Change, content_changes
from agents.config.yaml.source import MAX_BYTES, decode
from agents.config.yaml.text import dump
from agents.instances.services import instances_with_accounts
from agents.models import AgentInstance, ConfigVersion

PUBLISHED_FILE = "published.yaml"


@dataclass(slots=True)
class Planned:
    """What differs for one instance: in its files since it last served, and in a tree."""

    name: str
    # Where its files lie.
    folder: str
    served: str = ""
    now: str = ""
    files: list[Change] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    text: str | None = None
    published: publishing.Difference | None = None

    @property
    def differs(self) -> bool:
        return bool(self.files or (self.published and self.published.text))

    @property
    def faults(self) -> list[str]:
        """What is wrong: in the files as they are, and in the tree's text."""
        return [*self.problems, *map(str, self.published.problems if self.published else [])]

    def as_dict(self) -> dict[str, Any]:
        found = self.published
        return {
            "instance": self.name,
            "served_version": self.served or None,
            "version_now": self.now or None,
            "files": [_as_dict(change) for change in self.files],
            "published": [_as_dict(change) for change in found.values] if found else [],
            "diff": found.text if found else "",
            "problems": self.faults,
        }


def _as_dict(change: Change) -> dict[str, str]:
    return {"key": change.key, "old": change.old, "new": change.new, "origin": change.new_origin}


def instances(subject: str = "") -> list[AgentInstance]:
    """List all instances, or those of `account` or `account/instance`, in the current context."""
    rows = instances_with_accounts()
    account, _, slug = subject.partition("/")
    if account:
        rows = rows.filter(account__slug=account)
    if slug:
        rows = rows.filter(instance_slug=slug)
    return list(rows)


def planned(instance: AgentInstance, texts: Mapping[str, str]) -> Planned:
    """Compare what the files say now with what served last, and a tree's text with the database."""
    plan = Planned(instance.full_slug, "/".join(instance.folder))
    served = ConfigVersion.objects.last_served(instance)
    plan.served = served.digest if served else ""
    try:
        effective = read(*instance.folder, override=instance.override)
    except ConfigError as error:
        plan.problems += [str(problem) for problem in error.problems]
    else:
        plan.now = effective.digest
        plan.files = _since(served, effective)
    plan.text = texts.get(plan.name)
    if plan.text is not None:
        plan.published = publishing.difference(instance, plan.text)
    return plan


def _since(served: ConfigVersion | None, effective: EffectiveConfig) -> list[Change]:
    if served is None or served.digest == effective.digest:
        return []
    return [
        Change(change.key, change.old, change.new, "", effective.origins.get(change.key, ""))
        for change in content_changes(served.content, effective.content)
    ]


def without_instance(known: set[str], subject: str = "") -> list[str]:
    """List the folders of files that no instance in the database belongs to."""
    base = config_dir()
    folders = (
        f"{account}/{slug}"
        for account in found_accounts(base)
        for slug in found_instances(base, account)
    )
    return [
        folder
        for folder in folders
        if folder not in known and f"{folder}/".startswith(f"{subject}/" if subject else "")
    ]


def read_tree(source: Path) -> dict[str, str]:
    """Read every published text below a folder, by `account/instance`; raises OSError."""
    found = sorted(source.glob(f"*/*/{PUBLISHED_FILE}"))
    return {"/".join(path.parts[-3:-1]): read_text(path) for path in found}


def read_text(path: Path) -> str:
    """Read a small text file; raises OSError, Unreadable."""
    with path.open("rb") as file:
        return decode(file.read(MAX_BYTES + 1)).replace("\r\n", "\n")


def exported(instance: AgentInstance, *, effective: bool) -> dict[str, str]:
    """Return the files of an instance by their name; raises ConfigError when they are broken."""
    if not effective:
        text = publishing.published_text(instance)
        return {PUBLISHED_FILE: text} if text else {}
    config = read(*instance.folder, override=instance.override)
    content = {key: value for key, value in _without_defaults(config) if key != "system_prompt"}
    prompt = config.content["system_prompt"].rstrip("\n")
    return {CONFIG_FILE: dump(content) or "{}\n", PROMPT_FILE: f"{prompt}\n"}


def _without_defaults(config: EffectiveConfig) -> Iterator[tuple[str, Any]]:
    """Leave out values that equal the code's defaults."""
    defaults = dict(leaves(code_defaults()))
    for key, value in config.content.items():
        if isinstance(value, Mapping):
            other = {
                part: each for part, each in value.items() if each != defaults[f"{key}.{part}"]
            }
            if other:
                yield key, other
        elif key not in defaults or value != defaults[key]:
            yield key, value
