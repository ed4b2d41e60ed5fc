"""Requests the staff's lists as a browser does, and adds up the time of their statements."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.db import connection
from django.test import Client

from accounts.admin.lists.private import without_texts
from accounts.audit.csv_export import Export, Right, csv_pages
from accounts.members.support_access import open_access
from accounts.models import Account, User
from accounts.tenancy.context import platform_context
from benchmarks.big_data.fill import say
from salient.cursor import Cursor
from sessions_app.admin.overview.page import RANGES
from sessions_app.conversations import csv_columns
from sessions_app.models import LLMRequest, Session

GOAL_MS = 150
ROUNDS = 7
# A page after this share of all rows.
DEEP = 0.8
# After this number of rows an export's memory no longer grows.
EARLY = 100_000


@dataclass
class Page:
    """One page: its number of statements, and their milliseconds in each round."""

    name: str
    what: str
    statements: int = 0
    rounds: list[float] = field(default_factory=list)

    def line(self) -> str:
        middle, worst = statistics.median(self.rounds), max(self.rounds)
        met = "met" if middle < GOAL_MS else "**not met**"
        numbers = f"{self.statements} | {middle:.1f} | {worst:.1f}"
        return f"| {self.name} | {self.what} | {numbers} | {met} |"


@contextmanager
def timed(page: Page) -> Iterator[None]:
    """Add up the time from sending each statement to its last row."""
    spent, count = 0.0, 0

    def watch(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal spent, count
        began = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            spent += time.perf_counter() - began
            count += 1

    with connection.execute_wrapper(watch):
        yield
    page.rounds.append(spent * 1000)
    page.statements = count


def all_pages() -> list[Page]:
    user, browser = superuser(), Client()
    browser.force_login(user)
    return [*overviews(browser), *pages_of(browser), *searches(user, browser)]


def overviews(browser: Any) -> Iterator[Page]:
    """Measure the overview for each range of days."""
    for days in RANGES:
        yield measured(browser, "overview", f"{days} days", "", {"days": str(days)})


def pages_of(browser: Any) -> Iterator[Page]:
    """Measure each list: its first page, a deep page, inside one account, with filters."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id::text FROM llm_requests GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
        )
        [largest] = cursor.fetchone()
    with platform_context():
        in_one = {"account__id__exact": str(Account.objects.get(pk=largest).pk)}
    failed = {"completion_status__exact": "error"}
    bad = {"feedback__exact": "-1"}
    lists: list[tuple[str, str, list[tuple[str, dict[str, str]]]]] = [
        ("sessions", "sessions_app/session", [("", {}), ("one account", in_one), ("bad", bad)]),
        (
            "requests",
            "sessions_app/llmrequest",
            [("", {}), ("one account", in_one), ("errors", failed)],
        ),
        ("messages", "sessions_app/message", [("one account", in_one)]),
        ("feedback", "sessions_app/messagefeedback", [("", {})]),
        ("audit log", "accounts/auditentry", [("", {}), ("one account", in_one)]),
    ]
    registry = {
        f"{m._meta.app_label}/{m._meta.model_name}": a for m, a in admin.site._registry.items()
    }
    for name, path, filters in lists:
        model_admin = registry[path]
        moment = getattr(model_admin, "moment", None)
        for what, query in filters:
            yield measured(browser, f"{name}, {what}" if what else name, "first", path, query)
            if moment is None:
                continue
            deep = deep_mark(model_admin.model, moment, query.get("account__id__exact"))
            if deep is not None:
                place = query | {"before": str(Cursor(*deep))}
                yield measured(browser, f"{name}, {what}" if what else name, "deep", path, place)


def deep_mark(model: Any, moment: str, account: str | None) -> Any:
    with platform_context(statement_seconds=120):
        rows = model.objects.filter(account_id=account) if account else model.objects.all()
        place = int(rows.count() * DEEP)
        return (
            rows.order_by(f"-{moment}", "-pk").values_list(moment, "pk")[place : place + 1].first()
        )


def measured(browser: Any, name: str, what: str, path: str, query: dict[str, str]) -> Page:
    page = Page(name, what)
    for _ in range(ROUNDS):
        with timed(page):
            answer = browser.get(f"/admin/{path}/".replace("//", "/"), query, secure=True)
        assert answer.status_code == HTTPStatus.OK, (path, answer)  # noqa: S101
        assert b"was stopped" not in answer.content, path  # noqa: S101
    say(page.line())
    return page


def searches(account_user: Any, browser: Any) -> Iterator[Page]:
    """Measure the full-text search inside the account with most messages."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT account_id FROM messages GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
        [largest] = cursor.fetchone()
        cursor.execute(
            "SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', content) FROM (SELECT content"
            " FROM messages LIMIT 20000) m') ORDER BY nentry DESC"
        )
        words = [word for (word,) in cursor.fetchall()]
    with platform_context():
        account = Account.objects.get(pk=largest)
        open_access(account_user, account, reason="benchmark")
    for what, word in (("common word", words[0]), ("rare word", words[-1])):
        query = without_texts({"account__id__exact": str(account.pk), "text": word}, {"text"})
        yield measured(browser, f"sessions, search: {what}", "first", "sessions_app/session", query)


async def export() -> list[str]:
    """Export all requests and sessions; the memory is the peak of this process."""
    lines = []
    user = await sync_to_async(superuser)()
    for name, model, columns, moment in (
        ("sessions", Session, csv_columns.SESSION_COLUMNS, "last_activity_at"),
        ("requests", LLMRequest, csv_columns.REQUEST_COLUMNS, "created_at"),
    ):
        right = Right(user.pk, f"sessions_app.view_{model._meta.model_name}")
        began, size, count = time.monotonic(), 0, 0
        early = 0
        async for page in csv_pages(Export(name, columns, moment), model.objects.all, right):
            size += len(page)
            count += page.count(b"\r\n")
            if count > EARLY and not early:
                early = peak_mb()
        seconds = time.monotonic() - began
        lines.append(
            f"| {name} | {count - 1:,} | {size / 1e6:,.0f} MB | {seconds:.0f} s | "
            f"{early or peak_mb()} MB | {peak_mb()} MB |"
        )
        say(lines[-1])
    return lines


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def superuser() -> Any:
    found = User.objects.filter(email="superuser@example.com").first()
    return found or User.objects.create_superuser("superuser@example.com", password=None)


def counted() -> dict[str, int]:
    tables = {"accounts": "accounts", "sessions": "sessions", "llm_requests": "requests"}
    tables |= {"messages": "messages", "audit_log": "audit entries", "usage_days": "usage rows"}
    with connection.cursor() as cursor:
        counts = {}
        for table, name in tables.items():
            cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
            counts[name] = cursor.fetchone()[0]
    return counts
