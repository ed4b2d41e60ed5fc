"""The shapes of the API's bodies and queries."""

from __future__ import annotations

from typing import Any, TypeAliasType, get_args

from pydantic import BaseModel


def parts(annotation: Any) -> set[Any]:
    """Return a type and all its type arguments."""
    if isinstance(annotation, TypeAliasType):
        return parts(annotation.__value__)
    return {annotation}.union(*map(parts, get_args(annotation)))


def all_shapes(base: type[BaseModel]) -> list[type[BaseModel]]:
    return [base, *(s for each in base.__subclasses__() for s in all_shapes(each))]
