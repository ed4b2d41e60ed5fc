"""`migrate` without what takes most of its time in Python and changes no statement.

Django renders a model, and all that refer to it, anew after each change of the project's state.
Here a state renders a model when an operation asks for it, with the models that it refers to, and
all of them for code that may go from a model to those that refer to it. The garbage collector
passes over thousands of classes that are in use.

The template (template_database.py) and every `migrate` in a process of its own do without this, and
the tests of migrations compare their schemas with the template's.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any, override
from unittest import mock

from django.apps.registry import Apps
from django.db.migrations.state import ModelState, ProjectState, StateApps
from django.db.migrations.utils import resolve_relation
from django.db.models import Model

type Key = tuple[str, str]
# Without its cache, which `clear_cache` of a subclass would not reach.
_get_models: Callable[..., list[type[Model]]] = inspect.unwrap(Apps.get_models)


@contextmanager
def quick_migrate() -> Iterator[None]:
    with mock.patch.multiple(ProjectState, **_patches()), _uncollected():
        yield


@contextmanager
def _uncollected() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class AppsOnDemand(StateApps):
    """The models of a state as it is now, rendered when they are asked for."""

    def __init__(self, state: ProjectState) -> None:
        super().__init__(list(state.real_apps), {})
        self.states = {key: each.clone() for key, each in state.models.items()}

    @override
    def get_model(
        self, app_label: str, model_name: str | None = None, require_ready: bool = True
    ) -> type[Model]:
        if model_name is None:
            app_label, model_name = app_label.split(".")
        key = app_label, model_name.lower()
        self._render(self._with_references(key))
        return self.get_registered_model(*key)

    # Whoever asks for all models, as for those that refer to a model, gets them all.
    @override
    @cache  # noqa: B019 - as in Django, whose `clear_cache` expects it
    def get_models(
        self, include_auto_created: bool = False, include_swapped: bool = False
    ) -> list[type[Model]]:
        self.render_all()
        return _get_models(self, include_auto_created, include_swapped)

    def render_all(self) -> None:
        self._render(self.states)

    def clone(self) -> AppsOnDemand:
        """Nothing changes it: a state that changes makes a new one."""
        return self

    def _with_references(self, key: Key) -> list[Key]:
        found, left = [], [key]
        while left:
            key = left.pop()
            if key not in found and key in self.states and not self._is_rendered(key):
                found.append(key)
                left += _references(self.states[key])
        return found

    def _render(self, keys: Iterable[Key]) -> None:
        missing = [key for key in keys if not self._is_rendered(key)]
        self.render_multiple([self.states[key] for key in missing])

    def _is_rendered(self, key: Key) -> bool:
        return key[1] in self.all_models[key[0]]


def _references(state: ModelState) -> Iterator[Key]:
    here = state.app_label, state.name_lower
    for field in state.fields.values():
        if field.remote_field:
            yield resolve_relation(field.remote_field.model, *here)
            if through := getattr(field.remote_field, "through", None):
                yield resolve_relation(through, *here)


def _patches() -> dict[str, Any]:
    apps: cached_property[StateApps] = cached_property(AppsOnDemand)
    apps.__set_name__(ProjectState, "apps")
    remove_model = ProjectState.remove_model

    def forget_and_remove_model(state: ProjectState, app_label: str, model_name: str) -> None:
        _forget_apps(state)
        remove_model(state, app_label, model_name)

    return {
        "apps": apps,
        "reload_model": _forget_apps,
        "reload_models": _forget_apps,
        "remove_model": forget_and_remove_model,
        "clear_delayed_apps_cache": lambda state: state.apps.render_all(),
        # Only the statement that makes a table reads a model's indexes and constraints, and that
        # model was not rendered before.
        "_append_option": _append_option,
        "_remove_option": _remove_option,
    }


def _forget_apps(state: ProjectState, *_changed: Any, **_options: Any) -> None:
    state.__dict__.pop("apps", None)


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
