"""Answers 308 at the old address of what was renamed, to those who may see it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self
from uuid import UUID

from django.db import IntegrityError
from django.http import HttpRequest
from django.urls import reverse

from accounts.tenancy import renames
from salient.api.problems import NotFound, Problem
from salient.database import in_database
from salient.database.constraints import broken_constraint


class Moved(Problem):
    """The account or agent was renamed: send the same call, with method and body, to `Location`.

    Only who could call the new address is told; to everybody else the old one is unknown.
    """

    status = HTTPStatus.PERMANENT_REDIRECT
    code = "moved"
    extensions = {"location": str}

    def __init__(self, **names: str) -> None:
        super().__init__("This was renamed: send the call to its new address.")
        # The parts of the path that are others now: "account", "instance".
        self.names = names

    def at(self, request: HttpRequest) -> Self:
        """Say where, which is known only where the request is."""
        location = new_address(request, self.names)
        self.headers["Location"] = self.members["location"] = location
        return self


def new_address(request: HttpRequest, names: Mapping[str, str]) -> str:
    """Return the request's address with these names in its path, and its query."""
    match: Any = request.resolver_match
    path = reverse(match.view_name, kwargs={**match.kwargs, **names})
    query = request.META.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path


async def require_name(account_id: UUID, slug: str) -> None:
    """Raise Moved where the account had this slug until lately, and NotFound where it never had.

    It returns where the account has the slug: whoever asks knows an older one, from a cache.
    """
    now = await in_database(renames.name_now, account_id, slug)
    if now is None:
        raise NotFound
    if now != slug:
        raise Moved(account=now)


async def require_account(slug: str) -> None:
    """Raise Moved where any account had this slug until lately, else NotFound.

    For a visitor whose cookie proves that they were at that address.
    """
    now = await in_database(renames.led_to, slug)
    if now is None or now == slug:
        raise NotFound
    raise Moved(account=now)


def was_renamed(error: IntegrityError) -> bool:
    """Whether a row was refused because this process knows an older slug than the database."""
    name = broken_constraint(error)
    return name.startswith("fk_") and name.endswith(("_account_id", "_agent_instance_id"))
