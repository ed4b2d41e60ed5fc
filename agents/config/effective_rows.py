"""The values that are in force, as a page shows them: with origin, folded where they are long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agents.config import ConfigError, ConfigProblem, EffectiveConfig, read, read_if_valid
from agents.config.layers import PUBLISHED, leaves
from agents.config.versions.diff import shown
from agents.models import AgentInstance, ConfigVersion
from agents.runtime.providers import describe_model, model_problem

LONG = 160
# What people call an origin, and the class of its badge.
PLACES = {
    "default": ("default", ""),
    "defaults.yaml": ("everybody's file", "info"),
    "account.yaml": ("account file", "info"),
    "config.yaml": ("agent file", "ok"),
    "system_prompt.md": ("agent file", "ok"),
    PUBLISHED: (PUBLISHED, "warn"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One value with where it comes from, and what holds without what is published."""

    key: str
    value: str
    origin: str
    without: str | None = None
    without_origin: str = ""
    # The same as JSON has them.
    data: Any = None
    without_data: Any = None

    @property
    def place(self) -> str:
        return PLACES.get(self.origin, (self.origin, ""))[0]

    @property
    def state(self) -> str:
        return PLACES.get(self.origin, ("", ""))[1]

    @property
    def file(self) -> str:
        return self.origin if "." in self.origin else ""

    @property
    def published(self) -> bool:
        return self.origin == PUBLISHED

    @property
    def is_long(self) -> bool:
        return len(self.value) > LONG or "\n" in self.value

    @property
    def start(self) -> str:
        first = self.value.strip().partition("\n")[0]
        return first if len(first) <= LONG else f"{first[: LONG - 1]}…"


@dataclass(slots=True)
class InForce:
    """An instance's configuration as a page shows it; problems say why there are no rows."""

    folder: str
    rows: list[Row] = field(default_factory=list)
    problems: list[ConfigProblem] = field(default_factory=list)
    good_for: str = ""
    warning: str = ""
    digest: str = ""
    serving: ConfigVersion | None = None

    @property
    def waits(self) -> bool:
        """Whether no turn has used it yet: the next one will."""
        return self.serving is None or (bool(self.digest) and self.serving.digest != self.digest)


def in_force(instance: AgentInstance) -> InForce:
    """Read the files as they are now with what is published over them, past every cache."""
    account, slug = instance.folder
    found = InForce(f"{account}/{slug}", serving=ConfigVersion.objects.last_served(instance))
    try:
        effective = read(account, slug, override=instance.override)
    except ConfigError as error:
        found.problems = list(error.problems)
        return found
    model = effective.config.model
    found.good_for, found.warning = describe_model(model), model_problem(model) or ""
    found.digest = effective.digest
    found.rows = list(_rows(effective, read_if_valid(account, slug)))
    return found


def _rows(effective: EffectiveConfig, files: EffectiveConfig | None) -> Iterator[Row]:
    below = dict(leaves(files.content)) if files else {}
    for key, value in leaves(effective.content):
        origin = effective.origins[key]
        if files is not None and origin == PUBLISHED:
            without = shown(below[key]) if key in below else None
            without_origin = files.origins.get(key, "")
            yield Row(key, shown(value), origin, without, without_origin, value, below.get(key))
        else:
            yield Row(key, shown(value), origin, data=value)
