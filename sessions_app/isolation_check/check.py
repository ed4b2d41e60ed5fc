"""Tries by every route, page and command to reach the rows of another account."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import product
from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib import admin
from django.urls import get_resolver, reverse

from accounts.models import Account, User
from accounts.tenancy.context import platform_context
from accounts.tenancy.roles import has_account
from agents.management.look_up import find_instance
from salient.api.routing import all_routes
from salient.api.test_client import Answer, call
from salient.management.base import Refused
from salient.ttl import clear_caches
from sessions_app.isolation_check.accounts import FixtureAccount, freeze_last_used, two_accounts
from sessions_app.isolation_check.sql_probes import fingerprints, rows_to_forge, sql_leaks

SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass
class Report:
    """The number of probes by kind, the leaks, and the faults that hid a probe's result."""

    probes: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "ok": not self.leaks and not self.faults,
            "probes": dict(sorted(self.probes.items())),
            "leaks": self.leaks,
            "faults": self.faults,
        }


def check() -> dict[str, Any]:
    """Make two accounts, try every probe, remove them; writes to no other account."""
    report = Report()
    with quiet(), two_accounts() as (ours, theirs):
        IsolationCheck(ours, theirs, report).run()
    clear_caches()
    return report.as_dict()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the expected refusals, and that the agents have no files, out of the log."""
    names = ("django.request", "django.security.csrf", "agents.config.versions.current")
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@dataclass(frozen=True, slots=True)
class Route:
    """A route below /accounts/{account}/, with the methods of its view."""

    pattern: str
    methods: tuple[str, ...]
    is_api: bool

    @property
    def parameters(self) -> list[str]:
        return _PARAMETER.findall(self.pattern)

    def path(self, values: Mapping[str, str]) -> str:
        return "/" + _PARAMETER.sub(lambda match: values[match[1]], self.pattern)


def account_routes() -> Iterator[Route]:
    """Find every route below /accounts/{account}/ in the product's URL patterns."""
    for pattern, view in all_routes(get_resolver()):
        if pattern.startswith("accounts/<"):
            methods = getattr(view, "methods", None)
            yield Route(pattern, tuple(methods or ("GET", "POST")), methods is not None)


class IsolationCheck:
    """Tries what the callers of one account can try to reach the other's rows."""

    def __init__(self, ours: FixtureAccount, theirs: FixtureAccount, report: Report) -> None:
        self.ours, self.theirs, self.report = ours, theirs, report
        self.principals: dict[str, dict[str, str]] = {
            "key": {"authorization": f"Bearer {ours.key}"},
            "member": {"cookie": ours.cookies["member"], **SAME_ORIGIN},
            "visitor": {"cookie": ours.cookies["visitor"], **SAME_ORIGIN},
            "nobody": {},
        }

    def run(self) -> None:
        forged = rows_to_forge(self.theirs)
        self.expect_own_history()
        freeze_last_used()
        before = fingerprints(self.theirs)
        # One event loop for thousands of calls: to make one takes longer than most answers.
        async_to_sync(self.try_routes)()
        async_to_sync(self.try_admin)([*admin_pages(self.theirs)])
        self.try_commands()
        self.report.leaks += sql_leaks(self.ours, self.theirs, forged, self.report.probes)
        for table, digest in fingerprints(self.theirs).items():
            if digest != before[table]:
                self.report.leaks.append(f"rows of the other account in {table} have changed")
        self.expect_own_history()

    def expect_own_history(self) -> None:
        """Check that the canary can be found at all, or no probe would find it."""
        for each in (self.ours, self.theirs):
            path = f"/accounts/{each.account.slug}/agents/{each.instance.instance_slug}/history"
            answer = async_to_sync(self.send)(
                "GET",
                path,
                {"authorization": f"Bearer {each.key}"},
                query={"session_id": str(each.session.pk)},
            )
            if not answer.holds(each.canary):
                self.report.faults.append(f"an account does not see its own rows: {answer.status}")

    async def send(self, method: str, path: str, headers: Mapping[str, str], **more: Any) -> Answer:
        # A task of its own: what a call sets in its context is not there for the next one.
        return await asyncio.create_task(call(method, path, headers=headers, **more))

    async def try_routes(self) -> None:
        for route in account_routes():
            for values in self.addresses(route):
                for method, (name, headers) in product(route.methods, self.principals.items()):
                    await self.try_route(route, values, method, name, headers)

    def addresses(self, route: Route) -> Iterator[dict[str, str]]:
        """Yield the route's parameters: both accounts' names in every mixture, the other's ids."""
        both = (self.ours, self.theirs)
        choices = {
            "account": [each.account.slug for each in both],
            "instance": [each.instance.instance_slug for each in both],
        }
        everything = sorted({each for ids in self.theirs.ids.values() for each in ids})
        names = route.parameters
        for values in product(
            *(choices.get(name) or self.theirs.ids.get(name, everything) for name in names)
        ):
            yield dict(zip(names, values, strict=True))

    async def try_route(
        self,
        route: Route,
        values: Mapping[str, str],
        method: str,
        name: str,
        headers: Mapping[str, str],
    ) -> None:
        """Call the route with each input."""
        foreign = values["account"] == self.theirs.account.slug
        for more in self.inputs(route, method, foreign=foreign):
            answer = await self.send(method, route.path(values), headers, **more)
            what = f"{name}: {method} {route.path(values)}"
            self.examine("routes", what, answer)
            if foreign and route.is_api and answer.status < HTTPStatus.BAD_REQUEST:
                self.report.leaks.append(f"{what} was answered with {answer.status}")

    def inputs(self, route: Route, method: str, *, foreign: bool) -> list[dict[str, Any]]:
        """Return the inputs to send; one that the method does not read is refused at once."""
        session = {"session_id": str(self.theirs.session.pk)}
        if method in {"GET", "HEAD"}:
            return [{"query": session}, {}]
        # A write without a foreign id is allowed, so it is not sent.
        names_foreign_id = set(route.parameters) > {"account", "instance"} & set(route.parameters)
        if method == "DELETE":
            return [{"query": session}, *([{}] if foreign or names_foreign_id else [])]
        body = json.dumps({"message": "isolation check", **session}).encode()
        return [{"body": body}, *([{"body": b"{}"}] if foreign else [])]

    def examine(self, kind: str, what: str, answer: Answer) -> None:
        self.report.probes[kind] += 1
        if answer.holds(self.theirs.canary):
            self.report.leaks.append(f"{what} showed a text of the other account")
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status in _BROKEN:
            self.report.faults.append(f"{what} was answered with {answer.status}")

    async def try_admin(self, paths: Iterable[str]) -> None:
        """Call the admin as a member, who is not staff in any role, and without a login."""
        for path in paths:
            for name in ("member", "nobody"):
                for method in ("GET", "POST"):
                    answer = await self.send(method, path, self.principals[name])
                    what = f"{name}: {method} {path}"
                    self.examine("admin pages", what, answer)
                    if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                        self.report.leaks.append(f"{what} was answered with {answer.status}")

    def try_commands(self) -> None:
        """Check that commands look names up in the named account only."""
        self.report.probes["commands"] += 1
        slug = self.theirs.instance.instance_slug
        try:
            find_instance(self.ours.account, slug)
        except Refused as refusal:
            if "Did you mean" in str(refusal) and f"“{slug}”?" in str(refusal):
                self.report.leaks.append("a command's hint names the other account's instance")
        else:
            self.report.leaks.append("a command found the other account's instance")


_BROKEN = frozenset({HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE})


def admin_pages(theirs: FixtureAccount) -> Iterable[str]:
    """Yield the list, forms and history of every model, with the other account's ids."""
    yield reverse("admin:index")
    for model in apps.get_models():
        if not admin.site.is_registered(model):
            continue
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{base}_changelist")
        yield reverse(f"{base}_add")
        for key in row_keys(model, theirs):
            for page in ("change", "delete", "history"):
                yield reverse(f"{base}_{page}", args=[key])


def row_keys(model: Any, theirs: FixtureAccount) -> list[str]:
    if model is Account:
        return [str(theirs.account.pk)]
    if model is User:
        return [str(theirs.user.pk)]
    if not has_account(model) or model._meta.pk.name == "pk":
        return []
    with platform_context():
        rows = model.objects.filter(account_id=theirs.account.pk)
        return [str(key) for key in rows.values_list("pk", flat=True)]
