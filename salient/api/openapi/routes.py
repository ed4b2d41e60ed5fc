"""The routes of the API, from the URL resolver, with what each of their methods takes and gives."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import get_resolver

from salient.api.operations import WITH_BODY, Operation
from salient.api.routing import all_routes, is_api, with_braces

# What the modules of views are about, where their name alone would not say it well.
TAGS = {
    "member": "members",
    "connection": "connections",
    "eval": "test chats",
}


@dataclass(frozen=True)
class ApiOperation:
    """One method of one address: `GET /accounts/{account}/agents`."""

    method: str
    path: str
    view: Callable[..., Any]
    operation: Operation
    # The name of the view in camel case: generated clients name their functions by it.
    id: str

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def reads_body(self) -> bool:
        return self.method in WITH_BODY

    @property
    def summary(self) -> str:
        """The first sentence of the view's docstring."""
        return self._paragraphs()[0].removesuffix(".")

    @property
    def description(self) -> str:
        """What follows the first paragraph of the docstring."""
        return "\n\n".join(self._paragraphs()[1:])

    def _paragraphs(self) -> list[str]:
        text: str = self.view.__doc__ or self.id
        return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]

    @property
    def tag(self) -> str:
        """What the route is about, from its module: `member_views` are about members."""
        app, *_, module = str(self.view.__module__).split(".")
        about = module.removesuffix("views").removesuffix("_") or app.removesuffix("_app")
        return TAGS.get(about, about)

    @property
    def tag_description(self) -> str:
        return str(sys.modules[self.view.__module__].__doc__ or "").strip()


def api_operations() -> Iterator[ApiOperation]:
    """Yield each method of each route of the API, in the order of the resolver."""
    taken: set[str] = set()
    for pattern, view in all_routes(get_resolver(), "/"):
        if not is_api(pattern):
            continue
        path = with_braces(pattern)
        for method, operation in getattr(view, "operations", {}).items():
            one: Callable[..., Any] = getattr(view, "routes", {}).get(method, view)
            found = _camel_case(one.__name__)
            if found in taken:
                # The same view at another address.
                found = _camel_case(f"{one.__name__}_{path.rpartition('/')[2]}")
            taken.add(found)
            yield ApiOperation(method, path, one, operation, found)


def _camel_case(name: str) -> str:
    first, *others = filter(None, name.split("_"))
    return first + "".join(map(str.capitalize, others))
