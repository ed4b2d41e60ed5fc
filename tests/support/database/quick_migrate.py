"""`migrate` without what takes half of its time in Python and changes no statement.

Django renders a model, and all that refer to it, anew after each change of its indexes and
constraints. Only the statement that makes a table reads those of a rendered model, and that one is
rendered then. The garbage collector passes over thousands of classes that are in use.

The template (template_database.py) and every `migrate` in a process of its own do without this, and
the tests of migrations compare their schemas with the template's.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.db.migrations.state import ProjectState


@contextmanager
def quick_migrate() -> Iterator[None]:
    with (
        mock.patch.object(ProjectState, "_append_option", _append_option),
        mock.patch.object(ProjectState, "_remove_option", _remove_option),
        _uncollected(),
    ):
        yield


@contextmanager
def _uncollected() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _append_option(
    state: ProjectState, app_label: str, model_name: str, option: str, added: Any
) -> None:
    options = state.models[app_label, model_name].options
    options[option] = [*options[option], added]


def _remove_option(
    state: ProjectState, app_label: str, model_name: str, option: str, name: str
) -> None:
    options = state.models[app_label, model_name].options
    options[option] = [each for each in options[option] if each.name != name]
