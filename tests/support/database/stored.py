"""Rows as the platform reads and changes them, whichever account they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model

from accounts.tenancy.context import platform_context


def row_of[M: Model](model: type[M], /, **where: Any) -> M:
    """Return the only row that there is of these."""
    with platform_context():
        return model._default_manager.get(**where)


def rows_of[M: Model](model: type[M], /, *order: str, **where: Any) -> list[M]:
    with platform_context():
        found = model._default_manager.filter(**where)
        return list(found.order_by(*order) if order else found)


def count_of(model: type[Model], /, **where: Any) -> int:
    with platform_context():
        return model._default_manager.filter(**where).count()


def change_row(row: Model, /, **fields: Any) -> None:
    """Change the stored row, and not the object."""
    with platform_context():
        type(row)._default_manager.filter(pk=row.pk).update(**fields)


def change_all(model: type[Model], /, **fields: Any) -> None:
    """Change every row that there is of these."""
    with platform_context():
        model._default_manager.update(**fields)


def refresh(row: Model) -> None:
    with platform_context():
        row.refresh_from_db()


def as_platform[**P, R](call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call what reads or writes rows of accounts as the platform does."""
    with platform_context():
        return call(*args, **kwargs)
