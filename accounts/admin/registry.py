"""The registry by which an app adds to the admin pages of an app below it.

`accounts` may import neither `agents` nor `sessions_app`. So its pages show what those register
here: figures, panels and links on a page, figures in the rows of a list, and pages of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import URLPattern

from accounts.models import Account, ApiKey

type Context = Mapping[str, Any]
type Link = tuple[str, str]


class PageRegistry[**Args]:
    """What other apps add to one page; their functions get `Args`: the request, the page's row."""

    def __init__(self) -> None:
        self._parts: list[tuple[Callable[Args, Context], dict[str, str]]] = []
        self._links: list[Callable[Args, Iterable[Link]]] = []

    def add(self, read: Callable[Args, Context], *, figures: str = "", panel: str = "") -> None:
        """Show templates with what `read` returns: figures above the page's panels, one among them.

        Where `read` returns nothing, its templates are left out.
        """
        self._parts.append((read, {"figures": figures, "panels": panel}))

    def add_links(self, read: Callable[Args, Iterable[Link]]) -> None:
        """Show the links that `read` returns: (text, address)."""
        self._links.append(read)

    def context(self, *args: Args.args, **kwargs: Args.kwargs) -> dict[str, Any]:
        """Return what the page's template shows: `links`, templates, and their context."""
        context: dict[str, Any] = {"figures": [], "panels": []}
        for read, templates in self._parts:
            if found := read(*args, **kwargs):
                context |= found
                for area, template in templates.items():
                    context[area] += [template] if template else []
        links = [link for read in self._links for link in read(*args, **kwargs)]
        return {**context, "links": links}


class RowRegistry[**Args]:
    """Figures that other apps add to the rows of a list, each by the row's id."""

    def __init__(self) -> None:
        self._readers: list[Callable[Args, Mapping[UUID, Context]]] = []

    def add(self, read: Callable[Args, Mapping[UUID, Context]]) -> None:
        self._readers.append(read)

    def figures(self, *args: Args.args, **kwargs: Args.kwargs) -> dict[UUID, dict[str, Any]]:
        found: dict[UUID, dict[str, Any]] = {}
        for read in self._readers:
            for key, figures in read(*args, **kwargs).items():
                found.setdefault(key, {}).update(figures)
        return found


# What stands in the header of every page; links beside the list of accounts.
frame = PageRegistry[[HttpRequest]]()
accounts_list = PageRegistry[[HttpRequest]]()
overview = PageRegistry[[HttpRequest]]()
account_page = PageRegistry[[HttpRequest, Account]]()
account_rows = RowRegistry[[Collection[UUID]]]()
key_page = PageRegistry[[HttpRequest, ApiKey]]()
# Pages that belong to no model.
own_pages: list[URLPattern] = []
