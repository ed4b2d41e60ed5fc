"""Finds the tools and providers that the modules of a package declare, without a list of them."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any


def declared(package: str, name: str) -> Iterator[Any]:
    """Import each module directly in `package`, in order, and yield its value called `name`.

    Modules without such a value are helpers. A module must not import an optional or slow package
    at its top: it is imported when the process starts.
    """
    for module in iter_modules(import_module(package).__path__, f"{package}."):
        if (value := getattr(import_module(module.name), name, None)) is not None:
            yield value


def by_name(found: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of unique names; raises ValueError when two values have the same one."""
    values: dict[str, Any] = {}
    for name, value in found:
        if name in values:
            raise ValueError(f'Two modules declare "{name}".')
        values[name] = value
    return values
