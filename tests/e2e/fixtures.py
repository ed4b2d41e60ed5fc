"""The started server and browser, some of the full demo's accounts, and every page's address."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, Model
from django.http import HttpRequest
from django.test import RequestFactory, TransactionTestCase, override_settings
from playwright.sync_api import Browser

from accounts.members.support_access import open_access
from accounts.models import Account, ApiKey, User
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance, ConfigDraft, ConfigVersion
from sessions_app import demo
from sessions_app.models import Message, Role, Session
from tests.e2e.browser import BrowserThread
from tests.support.isolation.routes import Route, routes
from tests.support.servers.served import Served

EMAIL, PASSWORD = "ann@example.com", "long enough for a look"
UNBROKEN = "Donaudampfschifffahrtsgesellschaft" * 5
# Nearly 64 KB, in few lines: axe looks at each.
LONGEST_PROMPT = "\n".join(["  " + "Answer in one sentence. " * 13] * 190)
# Files, answers to scripts, redirects, and addresses that only forms use.
NO_PAGES = re.compile(
    r"/(export|usage|token|autocomplete|jsi18n|logout|login|done|reset|withdraw|open|end|test|status|resume|list-search)/$"
    r"|/(password|password-link)/$"
    r"|/sections/|/r/|\(\?P<url>|/<path:object_id>/$"
)
APPS = ("accounts", "agents", "auth", "sessions_app", "django_tasks_database")
_MODEL = re.compile(r"^admin/(\w+)/(\w+)/")


@dataclass(frozen=True)
class Started:
    """What all tests in a browser share; the server calls OpenAI at `openai_port`."""

    server: Served
    browser: BrowserThread
    agent_configs: Path
    openai_port: int


class BrowserTests(TransactionTestCase):
    """Tests with the shared server and browser, of which neither remembers the test before."""

    started: Started

    @pytest.fixture(autouse=True)
    def share(self, started: Started) -> Iterator[None]:
        self.started = started
        started.server.forget()
        with override_settings(AGENT_CONFIG_DIR=started.agent_configs):
            yield
        for each in started.agent_configs.iterdir():
            shutil.rmtree(each)

    async def look[**P, T](
        self, work: Callable[Concatenate[Browser, str, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `work` with the browser and the server's address."""
        return await self.started.browser.do(work, self.started.server.url, *args, **kwargs)


def furnish(*, turns: int, accounts: int | None = None) -> None:
    """Fill the database, and give Ann a support access to one account."""
    demo.fill(turns=turns, accounts=accounts)
    # Pages of groups are for those besides the ready-made roles.
    Group.objects.create(name="Trainees")
    ann = User.objects.create_superuser(EMAIL, PASSWORD)
    with platform_context():
        account = instance_with_most().account
        open_access(ann, account, reason="Ticket 4711: an answer named a wrong date")


def instance_with_most() -> AgentInstance:
    """Choose the agent that has a draft, the most test chats and publications."""
    drafts = AgentInstance.objects.filter(config_drafts__isnull=False)
    tried = Count("saved_chats", distinct=True)
    found = drafts.annotate(tried=tried, said=Count("config_publications", distinct=True))
    return found.order_by("-tried", "-said", "pk")[0]


def lengthen() -> None:
    """Give the shown agent and its account names without spaces, and its draft the longest prompt.

    Nothing of it may push a button from a page.
    """
    with platform_context():
        instance = instance_with_most()
        instance.display_name = UNBROKEN
        instance.save(update_fields=["display_name"])
        Account.objects.filter(pk=instance.account_id).update(name=UNBROKEN)
        text = f"model: scripted:echo\nsystem_prompt: |\n{LONGEST_PROMPT}\n"
        ConfigDraft.objects.filter(agent_instance=instance).update(text=text)
        ApiKey.objects.filter(account_id=instance.account_id).update(name=UNBROKEN[:100])


def addresses() -> list[str]:
    """Return the admin's pages that Ann may open, each for one row."""
    pages = [route for route in routes() if route.pattern.startswith("admin/")]
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(email=EMAIL)
    with platform_context():
        open_ = [page for page in pages if not NO_PAGES.search(page.pattern)]
        return sorted({each for page in open_ if _is_offered(page, request) for each in _of(page)})


def _is_offered(route: Route, request: HttpRequest) -> bool:
    """Return whether there is such a page: not every model is added or deleted by hand."""
    model = _model(route.pattern)
    if model is None or not route.pattern.endswith(("/add/", "/delete/")):
        return True
    of_model = admin.site.get_model_admin(model)
    if route.pattern.endswith("/add/"):
        return of_model.has_add_permission(request)
    return of_model.has_delete_permission(request, None)


def _of(route: Route) -> Iterator[str]:
    if "app_label" in route.pattern:
        yield from (f"/admin/{app}/" for app in APPS)
        return
    instance = instance_with_most()
    versions = ConfigVersion.objects.filter(agent_instance=instance).order_by("created_at")
    values = {
        "number": "1",
        "old": str(versions[0].pk),
        "new": str(versions[versions.count() - 1].pk),
        "status": "inactive",
        "change": "suspend",
        "account_id": str(instance.account_id),
    }
    if {"object_id", "id"} & {*route.parameters}:
        pk = _row(route.pattern, instance)
        if pk is None:
            return
        values |= {"object_id": pk, "id": pk}
    yield route.path(values) + (f"?id={instance.account_id}" if "change>" in route.pattern else "")


def _row(pattern: str, instance: AgentInstance) -> str | None:
    if "from-session" in pattern:
        return str(Session.objects.filter(turn_count__gt=1)[0].pk)
    if "better-answer" in pattern:
        answers = Message.objects.filter(agent_instance=instance, role=Role.ASSISTANT)
        return str(answers[0].pk)
    if "/of/" in pattern or "/playground/" in pattern or "/agentinstance/" in pattern:
        return str(instance.pk)
    model = _model(pattern)
    assert model is not None, pattern
    row = model._default_manager.order_by("pk").last()
    return None if row is None else str(row.pk)


def _model(pattern: str) -> type[Model] | None:
    found = _MODEL.match(pattern)
    return apps.get_model(found[1], found[2]) if found and found[1] in APPS else None
