"""Validates all configuration files of a directory, for people and for CI; needs no database."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from accounts.models.slugs import is_slug
from agents.config.effective import EffectiveConfig
from agents.config.errors import ConfigError, ConfigProblem, closest, legible
from agents.config.files import (
    ACCOUNT_FILE,
    CONFIG_FILE,
    DEFAULTS_FILE,
    PRICES_FILE,
    PROMPT_FILE,
    InstanceFiles,
    found_accounts,
    found_instances,
    read_layer,
)
from agents.config.layers import Layer
from agents.costs.own_prices import read_prices
from agents.runtime.providers import model_problem


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found for one subject: an instance, or a file that instances share."""

    subject: str
    effective: EffectiveConfig | None = None
    errors: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "error" if self.errors else "warning" if self.warnings else "ok"


class UnknownSubject(Exception):
    """No folder belongs to the wanted account or instance."""


def check(base: Path, subject: str = "") -> list[Finding]:
    """Validate everything below base, or only `account` or `account/instance`."""
    if not base.is_dir():
        problem = ConfigProblem(str(base), "there is no such directory (AGENT_CONFIG_DIR)")
        return [Finding(str(base), errors=[problem])]
    if subject:
        chosen = _chosen(base, subject)
        prices = [
            *_prices(base, PRICES_FILE),
            *_prices(base, f"{_account(chosen[0])}/{PRICES_FILE}"),
        ]
        return [*prices, *(_instance(base, *folder.split("/")) for folder in chosen)]
    return [*_shared(base), *(_instance(base, *folder.split("/")) for folder in _folders(base))]


def _folders(base: Path) -> list[str]:
    return [
        f"{account}/{instance}"
        for account in found_accounts(base)
        for instance in found_instances(base, account)
    ]


def _chosen(base: Path, subject: str) -> list[str]:
    folders = _folders(base)
    chosen = [folder for folder in folders if folder == subject or _account(folder) == subject]
    if not chosen:
        known = folders if "/" in subject else sorted({_account(folder) for folder in folders})
        guess = closest(subject, known)
        hint = f'; did you mean "{guess}"?' if guess else f" (there is: {', '.join(known) or '-'})"
        raise UnknownSubject(f'"{legible(subject)}" has no folder in {base}{hint}')
    return chosen


def _account(folder: str) -> str:
    return folder.partition("/")[0]


def _shared(base: Path) -> Iterator[Finding]:
    """Validate the files that several instances share, and report files that belong to none."""
    yield _file(base, DEFAULTS_FILE, _strays(base, "", {DEFAULTS_FILE, PRICES_FILE}))
    yield from _prices(base, PRICES_FILE)
    for account in found_accounts(base):
        yield from _prices(base, f"{account}/{PRICES_FILE}")
        strays = _strays(base, account, {ACCOUNT_FILE, PRICES_FILE})
        path = f"{account}/{ACCOUNT_FILE}"
        if strays or (base / path).exists() or not found_instances(base, account):
            yield _file(base, path, strays)


def _file(base: Path, path: str, warnings: list[ConfigProblem]) -> Finding:
    try:
        read_layer(base, path)
    except ConfigError as error:
        return Finding(path, errors=list(error.problems), warnings=warnings)
    return Finding(path, warnings=warnings)


def _prices(base: Path, path: str) -> Iterator[Finding]:
    try:
        if read_prices(base, path).prices:
            yield Finding(path)
    except ConfigError as error:
        yield Finding(path, errors=list(error.problems))


def _instance(base: Path, account: str, instance: str) -> Finding:
    files = InstanceFiles(base, account, instance)
    strays = _strays(base, files.folder, {CONFIG_FILE, PROMPT_FILE})
    try:
        layers = files.layers()
        effective = files.effective(layers)
    except ConfigError as error:
        return Finding(files.folder, errors=list(error.problems), warnings=strays)
    warnings = [*_model_warnings(effective, layers), *strays]
    return Finding(files.folder, effective, warnings=warnings)


def _model_warnings(effective: EffectiveConfig, layers: list[Layer]) -> Iterator[ConfigProblem]:
    """Tell which models cannot be called from this machine, in this environment."""
    config = effective.config
    places = [("model", config.model), *(("fallback_models", m) for m in config.fallback_models)]
    for key, model in places:
        if problem := model_problem(model):
            source = next(layer for layer in reversed(layers) if key in layer.content)
            yield source.problem(f'"{model}" cannot be called here: {problem}', (key,))


def _strays(base: Path, folder: str, expected: set[str]) -> list[ConfigProblem]:
    """Find names that will never be read, such as config.yml."""
    try:
        entries = sorted((base / folder).iterdir())
    except OSError:
        return []
    return [
        problem for entry in entries if (problem := _stray(entry, folder, expected)) is not None
    ]


def _stray(entry: Path, folder: str, expected: set[str]) -> ConfigProblem | None:
    place = legible(f"{folder}/{entry.name}".removeprefix("/"))
    if entry.is_dir():
        unread = "/" not in folder and not is_slug(entry.name) and not entry.name.startswith(".")
        return ConfigProblem(place, "is not read: no valid slug") if unread else None
    guess = closest(entry.name, expected)
    if entry.name in expected or guess is None:
        return None
    return ConfigProblem(place, "is not read", suggestion=guess)
