"""Gives every turn its configuration: cached in the process, read again when files change.

A change counts once the files have been at rest for a moment, so that a file which is being written
or replaced is left alone. Files that break leave the last good version in force.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from django.conf import settings

from agents.config.effective import EffectiveConfig
from agents.config.errors import ConfigError
from agents.config.files import InstanceFiles, Signature
from agents.config.layers import Layer

RECHECK_SECONDS = 1.0
SETTLE_SECONDS = 0.25
# One instance has one published override; the others are drafts and may be forgotten.
MAX_OVERRIDES = 8

logger = logging.getLogger("agents.config")

type Override = Mapping[str, Any] | None


def load(
    account: str, instance: str, *, base: Path | None = None, override: Override = None
) -> EffectiveConfig:
    """Return what is in force for an instance; cheap enough to be called for every turn.

    When files have broken since they were last good, that version is returned and its `error` says
    why. Raises ConfigError when nothing was good yet, or when the override itself is wrong. An
    override is never changed in place: make another mapping.
    """
    return _loader.load(_files(str(base or settings.AGENT_CONFIG_DIR), account, instance), override)


@lru_cache(maxsize=10_000)
def _files(base: str, account: str, instance: str) -> InstanceFiles:
    return InstanceFiles(Path(base), account, instance)


def read(
    account: str, instance: str, *, base: Path | None = None, override: Override = None
) -> EffectiveConfig:
    """Read the files as they are now, past every cache; raise ConfigError for any fault."""
    files = InstanceFiles(base or config_dir(), account, instance)
    return files.effective(files.layers(), override)


def read_if_valid(
    account: str, instance: str, *, override: Override = None
) -> EffectiveConfig | None:
    """Read the files as `read` does; None where anything is wrong with them."""
    try:
        return read(account, instance, override=override)
    except ConfigError:
        return None


def forget() -> None:
    """Clear the cache, the last good versions too."""
    _loader.forget()


def config_dir() -> Path:
    """Return the directory that all configuration files lie below."""
    return Path(settings.AGENT_CONFIG_DIR)


class Loader:
    """The last good configuration of each instance that was read."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._wall_clock = clock, wall_clock
        self._instances: dict[InstanceFiles, _CachedInstance] = {}

    def load(self, files: InstanceFiles, override: Override = None) -> EffectiveConfig:
        instance = self._instances.get(files)
        if instance is None:
            instance = self._instances.setdefault(files, _CachedInstance(files, self._wall_clock))
        return instance.get(override, self._clock())

    def forget(self) -> None:
        self._instances.clear()


class Watched[T]:
    """Files' contents, read again when the files have changed and nothing writes them any more."""

    def __init__(
        self,
        signature: Callable[[], Signature],
        read: Callable[[], T],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._signature, self._read, self._wall_clock = signature, read, wall_clock
        self.look_at = float("-inf")
        self._seen: Signature | None = None
        self._used: Signature | None = None
        # What was read last, or the error that made it unusable; None before the first reading.
        self.found: T | ConfigError | None = None

    def look(self, now: float, *, hurry: bool) -> bool:
        """Read them if they have changed, with `hurry` even while they are being written.

        Returns whether they were read.
        """
        signature = self._signature()
        settled = signature == self._seen or hurry or self._at_rest(signature)
        self.look_at = now + (RECHECK_SECONDS if settled else SETTLE_SECONDS)
        self._seen = signature
        if not settled or signature == self._used:
            return False
        self._used = signature
        try:
            self.found = self._read()
        except ConfigError as error:
            self.found = error
        return True

    def _at_rest(self, signature: Signature) -> bool:
        """Whether nothing was written just now; a file that is gone may be on its way back."""
        before = written_at(self._used or ())
        now = written_at(signature)
        if len(now) < len(before):
            return False
        return max(now, default=0) <= self._wall_clock() - SETTLE_SECONDS


class _CachedInstance:
    """One instance's layers, and the configurations that were built from them."""

    def __init__(self, files: InstanceFiles, wall_clock: Callable[[], float]) -> None:
        self.files = files
        self.watched = Watched(files.signature, files.layers, wall_clock)
        self.lock = Lock()
        self.good: list[Layer] | None = None
        self.made: dict[str, EffectiveConfig] = {}
        self.named: dict[int, tuple[Override, str]] = {}
        self.logged: str | None = None

    def get(self, override: Override, now: float) -> EffectiveConfig:
        name = self._name(override)
        if now < self.watched.look_at and (made := self.made.get(name)):
            return made
        with self.lock:
            if now >= self.watched.look_at and self.watched.look(now, hurry=self.good is None):
                self.made.clear()
            if name not in self.made:
                made = self._make(override)
                if len(self.made) >= MAX_OVERRIDES:
                    self.made.clear()
                self.made[name] = made
            return self.made[name]

    def _name(self, override: Override) -> str:
        """Name an override by its content; one object is looked through only once.

        It is kept beside its name, so that no other object can get its identity.
        """
        if override is None:
            return ""
        known = self.named.get(id(override))
        if known is None or known[0] is not override:
            if len(self.named) >= MAX_OVERRIDES:
                self.named.clear()
            known = self.named[id(override)] = (override, repr(override))
        return known[1]

    def _make(self, override: Override) -> EffectiveConfig:
        try:
            made = self._from_files(override)
        except ConfigError as error:
            if self.good is None:
                raise
            made = replace(self.files.effective(self.good, override), error=str(error))
        self._log(made.error)
        return made

    def _from_files(self, override: Override) -> EffectiveConfig:
        found = self.watched.found or []
        if isinstance(found, ConfigError):
            # A new one each time: an exception that is raised again grows by its traceback.
            raise ConfigError(found.problems)
        made = self.files.effective(found, override)
        self.good = found
        return made

    def _log(self, error: str | None) -> None:
        if error != self.logged:
            self.logged = error
            if error:
                logger.error("%s keeps its last good configuration: %s", self.files.folder, error)
            else:
                logger.info("The configuration of %s is good again.", self.files.folder)


def written_at(signature: Signature) -> list[float]:
    """Return when each file that is there was written last, in seconds since 1970."""
    return [stamp[2] / 1e9 for stamp in signature if len(stamp) == 3]  # noqa: PLR2004


_loader = Loader()
