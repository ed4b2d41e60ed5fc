"""The product's routes, from the URL resolver, and the address of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model
from django.urls import get_resolver

from salient.api.operations import Operation
from salient.api.problems.openai import is_openai
from salient.api.routing import all_routes, is_api
from salient.cursor import Cursor
from sessions_app.protocols.openai.schemas import Known
from tests.support.isolation.api_shapes import parts
from tests.support.isolation.route_table import (
    ADMIN_KINDS,
    API,
    CALLERS,
    THEIR_OWN,
    WHOLE_ACCOUNT,
    WHOSE,
    id_exceptions,
    rows,
)

ACCOUNT = "accounts/<str:account>/"
# With the address of the account itself.
ACCOUNTS_OWN = ACCOUNT.removesuffix("/")
_MODEL_PAGE = re.compile(r"admin/(\w+/\w+)/")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One address pattern with the view behind it."""

    pattern: str
    view: Callable[..., Any]

    @property
    def name(self) -> str:
        """What the table calls it: the pages of models in the admin by their kind."""
        if self.model is None:
            return self.pattern or "<home>"
        _, app, model, rest = self.pattern.split("/", 3)
        return f"admin/[{ADMIN_KINDS[f'{app}/{model}']}]/{rest}"

    @property
    def model(self) -> type[Model] | None:
        """The model whose page in the admin it is."""
        found = _MODEL_PAGE.match(self.pattern)
        if found is None or not ADMIN_KINDS.get(found[1]):
            return None
        return apps.get_model(found[1].replace("/", "."))

    @property
    def short(self) -> str:
        """The pattern without the account's part."""
        return self.pattern.removeprefix(ACCOUNT)

    @property
    def parameters(self) -> list[str]:
        return _PARAMETER.findall(self.pattern)

    @property
    def methods(self) -> tuple[str, ...]:
        return getattr(self.view, "methods", ())

    def is_openai(self) -> bool:
        """Whether clients of OpenAI call it: its bodies and errors are as OpenAI writes them."""
        return is_openai("/" + self.pattern)

    def takes_unknown_fields(self) -> bool:
        """Whether clients that are not ours send its body, which may have more than we know."""
        bodies = [operation.body for operation in self.operations.values()]
        return any(body is not None and issubclass(body, Known) for body in bodies)

    def is_api(self) -> bool:
        return is_api("/" + self.pattern)

    def path(self, values: Mapping[str, str]) -> str:
        """Write an address; a parameter without a value is a KeyError."""
        plain = re.sub(r"\(\?P(<\w+>).*?\)(?=[/$])", r"\1", self.pattern)
        plain = plain.replace("^", "").replace("$", "").replace("\\", "")
        return "/" + _PARAMETER.sub(lambda match: values[match[1]], plain)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What each method of an API route takes and gives."""
        return getattr(self.view, "operations", {})

    def scope(self, method: str) -> str:
        method = "GET" if method == "HEAD" else method
        return self.operations[method].scope if method in self.operations else ""


def routes() -> list[Route]:
    return [Route(*found) for found in all_routes(get_resolver())]


type Place = tuple[str, str, str]


def id_rows() -> dict[Place, dict[tuple[str, str], int]]:
    """Return what each id is answered: (route, method, place) to (caller, whose) to the status."""
    table = rows(API, CALLERS)
    found = {
        place: _by_rule(table[route.name, place[1]], is_cursor=is_cursor)
        for route in routes()
        if route.is_api()
        for place, is_cursor in id_places(route)
        # A route without rows is named by a test of its own.
        if (route.name, place[1]) in table and (is_cursor or place[2] in route.parameters)
    }
    columns = [
        (who, whose) for whole in (WHOLE_ACCOUNT, THEIR_OWN) for who in whole for whose in WHOSE
    ]
    for place, statuses in id_exceptions().items():
        halves = [*statuses[:5] * len(WHOLE_ACCOUNT), *statuses[5:] * len(THEIR_OWN)]
        found[place] = dict(zip(columns, halves, strict=True))
    return found


def id_places(route: Route) -> Iterator[tuple[Place, bool]]:
    """Yield the places of ids in the path, query and body of a route, and which are cursors."""
    for method, operation in route.operations.items():
        for name in route.parameters:
            if name not in {"account", "instance"}:
                yield (route.short, method, name), False
        for shape in filter(None, (operation.query, operation.body)):
            for name, field in shape.model_fields.items():
                if found := {UUID, Cursor} & parts(field.annotation):
                    yield (route.short, method, name), Cursor in found


def _by_rule(row: Mapping[str, int], *, is_cursor: bool) -> dict[tuple[str, str], int]:
    """Return the rule's statuses: a row is there for those who may see it, and 404 for others.

    A cursor names a place in the caller's own list, whatever its id.
    """
    found = {}
    for who in (*WHOLE_ACCOUNT, *THEIR_OWN):
        seen = {"own"} if who in THEIR_OWN else {"own", "others"}
        for whose in WHOSE:
            good = whose != "malformed" if is_cursor else whose in seen
            hidden = HTTPStatus.BAD_REQUEST if is_cursor else HTTPStatus.NOT_FOUND
            is_let_in = row[who] < HTTPStatus.BAD_REQUEST
            found[who, whose] = row[who] if good or not is_let_in else int(hidden)
    return found
