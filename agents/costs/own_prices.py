"""An installation's and an account's own prices of models: prices.yaml beside the configuration.

prices:
  - model: openrouter:deepseek/*    # or a whole name
    from: 2026-01-01
    input: 0.27                     # US dollars for a million tokens
    cached_input: 0.07
    output: 1.10
    request: 0.001                  # US dollars for each call
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

from django.conf import settings
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from accounts.models.slugs import is_slug
from agents.config.errors import ConfigError, legible
from agents.config.files import PRICES_FILE, read_source, signature
from agents.config.layers import Sections, parse_layer
from agents.config.loader import Watched
from agents.config.schema import COMPLETE, invisible

if TYPE_CHECKING:
    from agents.models import AgentInstance

logger = logging.getLogger("agents.config")

MOST_DOLLARS = 100_000
A_MILLION = 1_000_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _pattern(model: str) -> str:
    provider, colon, name = model.partition(":")
    if not (provider.strip() and colon and name.strip()) or "*" in model[:-1]:
        raise PydanticCustomError(
            COMPLETE,
            'must be written "provider:model"; a * at its end stands for any rest',
        )
    if (hidden := invisible(model)) is not None:
        # No model has such a name: the price would never apply.
        raise PydanticCustomError(COMPLETE, "{hidden}", {"hidden": hidden})
    return model


def _day(value: Any) -> date:
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError(COMPLETE, "must be a day, written 2026-01-31")


def _dollars(value: Any) -> Decimal:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN fails the comparison, too.
    if not is_number or not 0 <= value <= MOST_DOLLARS:
        raise PydanticCustomError(
            COMPLETE, f"must be a number of US dollars from 0 to {MOST_DOLLARS:,}"
        )
    # By str(), so that 0.1 is exactly a tenth.
    return Decimal(str(value))


type Model = Annotated[str, Field(max_length=400), AfterValidator(_pattern)]
type Day = Annotated[date, BeforeValidator(_day)]
type Dollars = Annotated[Decimal, BeforeValidator(_dollars)]


class ModelPrice(BaseModel):
    """A model's price from a day (UTC) on: dollars for a million tokens, and for each call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Model
    since: Day = Field(default=date.min, alias="from")
    input: Dollars
    cached_input: Dollars | None = None
    output: Dollars
    request: Dollars = Decimal(0)

    def matches(self, model: str) -> bool:
        if self.model.endswith("*"):
            return model.startswith(self.model[:-1])
        return model == self.model

    @property
    def rank(self) -> tuple[bool, int, date]:
        """A whole name ranks above patterns, a longer pattern above a shorter, then the newest."""
        return (not self.model.endswith("*"), len(self.model), self.since)

    def prompt_cost(self, tokens: int, cached: int) -> Decimal:
        """Return what a call costs without its output."""
        cached_price = self.input if self.cached_input is None else self.cached_input
        return ((tokens - cached) * self.input + cached * cached_price) / A_MILLION + self.request

    def completion_cost(self, tokens: int) -> Decimal:
        return tokens * self.output / A_MILLION


def _distinct(prices: list[ModelPrice]) -> list[ModelPrice]:
    seen: set[tuple[str, date]] = set()
    for price in prices:
        if (price.model, price.since) in seen:
            raise PydanticCustomError(
                COMPLETE, "prices {model} twice from the same day", {"model": legible(price.model)}
            )
        seen.add((price.model, price.since))
    return prices


class PriceFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prices: Annotated[list[ModelPrice], AfterValidator(_distinct)] = []


_SECTIONS: Sections = {(): PriceFile, ("prices",): ModelPrice}


@dataclass(frozen=True, eq=False)
class PriceTable:
    """The prices of one file; compared by identity, as each reading makes a new table."""

    prices: tuple[ModelPrice, ...] = ()

    def of(self, model: str, day: date) -> ModelPrice | None:
        """Return the price of `provider:model` on a day."""
        matching = (each for each in self.prices if each.since <= day and each.matches(model))
        return max(matching, key=lambda each: each.rank, default=None)


@dataclass(frozen=True, eq=False)
class OwnPrices:
    """An account's prices first, then the installation's."""

    tables: tuple[PriceTable, ...] = ()

    def of(self, model: str, day: date) -> ModelPrice | None:
        found = (table.of(model, day) for table in self.tables)
        return next((price for price in found if price is not None), None)


NO_PRICES, _EMPTY = OwnPrices(), PriceTable()


def own_prices(account: str) -> OwnPrices:
    """Return the account's and the installation's prices; cheap enough for every turn."""
    own, common = _files(str(settings.AGENT_CONFIG_DIR), account)
    now = time.monotonic()
    return _combined(_EMPTY if own is None else own.get(now), common.get(now))


def prices_for(instance: AgentInstance, account_slug: str) -> OwnPrices:
    """Return those of the agent's account, whose files may lie under a former slug."""
    return own_prices(instance.folder_in(account_slug)[0])


def read_prices(base: Path, path: str) -> PriceTable:
    """Read one file as it is now; an empty table when there is no such file. Raises ConfigError."""
    source = read_source(base, path)
    if source is None:
        return _EMPTY
    layer = parse_layer(source, PRICES_FILE, file=path, sections=_SECTIONS)
    return PriceTable(tuple(PriceFile.model_validate(layer.content).prices))


class _PriceFile:
    """The prices of one file; while it is broken, the last good ones."""

    def __init__(self, base: Path, path: str) -> None:
        self._path = path
        self._watched = Watched(partial(signature, base, path), partial(read_prices, base, path))
        self._lock = Lock()
        self._good: PriceTable | None = None

    def get(self, now: float) -> PriceTable:
        if now >= self._watched.look_at:
            with self._lock:
                self._look(now)
        return self._good or _EMPTY

    def _look(self, now: float) -> None:
        # Another thread may have read the file while this one waited for the lock.
        if now < self._watched.look_at or not self._watched.look(now, hurry=self._good is None):
            return
        found = self._watched.found
        if isinstance(found, ConfigError):
            logger.error("%s keeps its last good prices: %s", self._path, found)
        else:
            self._good = found


@lru_cache(maxsize=10_000)
def _files(base: str, account: str) -> tuple[_PriceFile | None, _PriceFile]:
    """Return the account's file, where it may have one, and the installation's."""
    own = _file(base, f"{account}/{PRICES_FILE}") if is_slug(account) else None
    return own, _file(base, PRICES_FILE)


@lru_cache(maxsize=10_000)
def _file(base: str, path: str) -> _PriceFile:
    return _PriceFile(Path(base), path)


@lru_cache(maxsize=10_000)
def _combined(*tables: PriceTable) -> OwnPrices:
    return OwnPrices(tuple(table for table in tables if table.prices))


def forget_prices() -> None:
    """Drop all cached files, the last good prices too."""
    _files.cache_clear()
    _file.cache_clear()
    _combined.cache_clear()
