"""Test cases that call routes and pages as every kind of caller."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import Client, TestCase, override_settings
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from accounts.auth import visitor_tokens
from accounts.limits.budgets import set_budget
from accounts.limits.quotas import set_limits
from accounts.management.jobs import tidy_webhook_log
from accounts.members.one_time_links import token_hash
from accounts.members.support_access import open_access
from accounts.models import (
    Account,
    AccountStatus,
    Invitation,
    KeyKind,
    KeyMode,
    MemberRole,
    Scope,
    User,
)
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.roles import has_account
from agents.models import ConfigVersion
from sessions_app.models import Message, Profile, Role, SavedChat, Session
from tests.accounts.member_worlds import browser_of
from tests.support.api_client import Answer, ApiClient
from tests.support.factories import (
    make_account,
    make_connection,
    make_instance,
    make_key,
    make_message,
    make_session,
    make_user,
    write_config,
)
from tests.support.isolation.accounts import (
    CANARY,
    SECRET,
    Owned,
    ids_of,
    make_member,
    make_owned,
    rows_of,
)
from tests.support.isolation.route_table import BODIES, QUERIES
from tests.support.isolation.routes import Route, routes

SITE = "https://shop.example"


SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


END_USER = "ada@acme"


@dataclass(frozen=True)
class Principal:
    """A caller with a client: at which account, and which conversation is theirs."""

    name: str
    client: ApiClient
    session: Session
    account: str = "acme"


class IsolationTestCase(TestCase):
    """`acme` and `beta`, which must be isolated; `shut`, which is suspended."""

    acme: Owned
    beta: Owned
    principals: dict[str, Principal]

    def setUp(self) -> None:
        folder = self.enterContext(TemporaryDirectory())
        self.enterContext(override_settings(AGENT_CONFIG_DIR=Path(folder), DEMO=True))
        self.acme, self.beta = make_owned("acme", "canary-of-acme"), make_owned("beta", CANARY)
        self.second = make_instance(self.acme.account, "second")
        self.theirs = make_instance(self.beta.account, "theirs")
        for account in ("acme", "beta", "shut"):
            write_config(settings.AGENT_CONFIG_DIR, account, "bot", "model: scripted:echo\n")
        write_config(settings.AGENT_CONFIG_DIR, "acme", "second", "model: scripted:echo\n")
        self.target = make_member(self.acme.account, MemberRole.VIEWER, "target@example.com")
        self.principals = {each.name: each for each in self._everyone()}

    def _everyone(self) -> Iterable[Principal]:
        yield self._with("nobody")
        yield self._with("key", self.acme.key)
        yield self._with("foreign", self.beta.key)
        yield self._key("elsewhere", instance_ids=[self.second.pk])
        yield self._publishable()
        yield self._key("test", mode=KeyMode.TEST)
        yield self._cookie_visitor()
        yield from self._token_visitors()
        for role in MemberRole:
            member = make_member(self.acme.account, role, f"{role}@example.com")
            yield self._person(role.value, member.user)
        yield self._person("staff", make_user("staff@example.com", is_staff=True))
        yield self._person("root", make_user("root@example.com", is_staff=True, is_superuser=True))
        auditor = make_user("auditor@example.com", is_staff=True, is_auditor=True)
        yield self._person("auditor", auditor)
        yield self._key("revoked", revoked_at=timezone.now() - timedelta(seconds=1))
        yield self._key("expired", expires_at=timezone.now() - timedelta(seconds=1))
        yield self._of_suspended()

    def _with(self, name: str, key: str | None = None, **headers: str) -> Principal:
        return Principal(name, ApiClient(key, headers=headers), self.acme.session)

    def _key(self, name: str, **fields: Any) -> Principal:
        """Make a key of acme; moments in the past are written into its row."""
        later = {n: fields.pop(n) for n in ("revoked_at", "expires_at") if n in fields}
        key, text = make_key(self.acme.account, name=name, **fields)
        if later:
            with platform_context():
                type(key).objects.filter(pk=key.pk).update(**later)
        return self._with(name, text)

    def lacking(self, scope: str) -> Principal:
        """Make a key with every scope but this one; with one scope if the route needs none."""
        scopes = [each for each in Scope.values if each != scope]
        return self._key("lacking", scopes=scopes if scope in Scope.values else [Scope.CHAT])

    def _publishable(self) -> Principal:
        _, text = make_key(
            self.acme.account,
            name="publishable",
            kind=KeyKind.PUBLISHABLE,
            origins=[SITE],
            instance_ids=[self.acme.bot.pk],
        )
        return self._with("publishable", text, origin=SITE)

    def _cookie_visitor(self) -> Principal:
        response, request = HttpResponse(), HttpRequest()
        visitor_tokens.set_cookie(response, "acme", "bot")
        [cookie] = response.cookies.values()
        request.COOKIES[cookie.key] = cookie.value
        visitor = visitor_tokens.cookie_visitor(request, "acme", "bot")
        assert visitor is not None
        stored = visitor.session_key
        client = ApiClient(headers={"cookie": f"{cookie.key}={cookie.value}", **SAME_ORIGIN})
        return Principal("cookie", client, self._session(session_key=stored))

    def _token_visitors(self) -> Iterable[Principal]:
        key, _ = make_key(self.acme.account, name="visitors")
        token = visitor_tokens.new_token(key.key_id, self.acme.bot.pk, seconds=600)
        mine = self._session(session_key=token.session_key)
        yield Principal("token", ApiClient(visitor_tokens.write_token(token)), mine)
        named = visitor_tokens.new_token(
            key.key_id, self.acme.bot.pk, seconds=600, end_user=END_USER
        )
        theirs = self._session(end_user=END_USER)
        yield Principal("end_user", ApiClient(visitor_tokens.write_token(named)), theirs)

    def _session(self, **fields: Any) -> Session:
        session = make_session(self.acme.bot, **fields)
        make_message(session, role=Role.ASSISTANT, content="mine")
        return session

    def _person(self, name: str, user: User) -> Principal:
        return Principal(name, browser_of(user), self.acme.session)

    def _of_suspended(self) -> Principal:
        account = make_account("shut")
        make_instance(account, "bot")
        _, text = make_key(account)
        Account.objects.filter(pk=account.pk).update(status=AccountStatus.SUSPENDED)
        return Principal("suspended", ApiClient(text), self.acme.session, "shut")


class MatrixTestCase(IsolationTestCase):
    """Calls routes as a principal, with valid input except for what a test changes."""

    def setUp(self) -> None:
        super().setUp()
        with platform_context():
            self.saved_chat = SavedChat.objects.get(agent_instance=self.acme.bot)
        self.beta_before = rows_of(self.beta.account)
        self.hidden = {CANARY, SECRET} | ids_of(self.beta.account)

    def call(self, who: Principal, route: Route, method: str, **more: Any) -> Answer:
        """Call the route; `values`, `query`, `body` and `headers` change the valid call."""
        values = self.values(who) | more.get("values", {})
        place = (route.short, "GET" if method == "HEAD" else method)
        query = {k: v.format(**values) for k, v in QUERIES.get(place, {}).items()}
        body = BODIES.get(place, {}) | more.get("body", {})
        return async_to_sync(who.client.call)(
            method,
            route.path(values),
            query=query | more.get("query", {}),
            raw=b"" if method in {"GET", "HEAD"} else json.dumps(body).encode(),
            headers=more.get("headers"),
        )

    def message_of(self, session: Session) -> str:
        """Return the id of the session's newest message, which is an answer."""
        with platform_context():
            return str(Message.objects.filter(session_id=session.pk).latest("created_at", "id").pk)

    def values(self, who: Principal) -> dict[str, str]:
        return {
            "account": who.account,
            "instance": "bot",
            "session_id": str(who.session.pk),
            "message_id": self.message_of(who.session),
            "member_id": str(self.target.pk),
            "invitation_id": str(self.acme.invitation.pk),
            "chat_id": str(self.saved_chat.pk),
            "name": self.acme.connection,
            "webhook_id": str(self.acme.webhook.pk),
            "delivery_id": str(self.acme.delivery.pk),
        }


TOKEN = "t" * 32


def pages() -> list[Route]:
    return [route for route in routes() if not route.is_api()]


class PagesTestCase(IsolationTestCase):
    """A row of every model that pages show, and a browser of every kind of caller."""

    def setUp(self) -> None:
        super().setUp()
        # As in production, the chat pages are for the staff. Static files are no pages, and their
        # middleware, which is async, would start an event loop for each of thousands of requests.
        pages_only = [each for each in settings.MIDDLEWARE if not each.startswith("servestatic.")]
        self.enterContext(override_settings(DEMO=False, MIDDLEWARE=pages_only))
        with tenant_context(self.acme.account.pk):
            mine = Invitation.objects.filter(pk=self.acme.invitation.pk)
            mine.update(token_hash=token_hash("opened"))
        beta, request = self.beta, self.beta.message.llm_request
        assert request is not None
        assert request.config_version is not None
        with platform_context():
            # Any row of a model does, but some pages need the rows that are added below.
            own: list[Model] = [
                row
                for model in admin.site._registry
                if has_account(model)
                and (row := model._base_manager.filter(account=beta.account).first())
            ]
            own += [Profile.objects.get(session=beta.session), beta.account.api_keys.get()]
            own.append(open_access(beta.member.user, beta.account, reason="a ticket"))
        everything = [
            *own,
            Group.objects.create(name="support"),
            beta.account,
            beta.bot,
            beta.session,
            beta.member,
            beta.invitation,
            beta.message,
            request,
            request.config_version,
            beta.member.user,
            set_limits(beta.account, concurrent_turns=50),
            # It belongs to no account.
            DBTaskResult.objects.get(pk=tidy_webhook_log.enqueue().id),
            set_budget(beta.account, period="month", limit=Decimal(50)),
            # A probe calls no server, as this address is refused.
            make_connection(beta.account, base_url="https://127.0.0.1/v1"),
        ]
        self.one_of = {type(each): str(each.pk) for each in everything}
        self.beta_before = rows_of(self.beta.account)

    def call(
        self, route: Route, method: str, who: str, *, token: str | None = TOKEN
    ) -> HttpResponseBase:
        client = self.principals[who].client
        headers = dict(client.headers) | {"origin": "https://testserver"}
        if client.key is not None:
            headers["authorization"] = f"Bearer {client.key}"
        if token is not None:
            headers["x-csrftoken"] = token
            headers["cookie"] = f"csrftoken={token}; {headers.get('cookie', '')}"
        browser = Client(enforce_csrf_checks=True, headers=headers)
        return browser.generic(method, route.path(self.values(route)), secure=True)

    def values(self, route: Route) -> dict[str, str]:
        # A row of beta if there is one, because staff see every account.
        pk = self.one_of[route.model] if route.model else "0"
        return {
            "account": "acme",
            "instance": "bot",
            "token": "opened",
            "uidb64": "MA",
            "object_id": pk,
            "id": pk,
            "content_type_id": "0",
            "app_label": "auth",
            "url": "nothing/",
            "number": "1",
            "old": self.one_of[ConfigVersion],
            "new": self.one_of[ConfigVersion],
            "status": "inactive",
            "change": "suspend",
        }
