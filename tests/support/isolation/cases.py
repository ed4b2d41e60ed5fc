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

from asgiref.sync import AsyncSingleThreadContext
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
    Membership,
    Scope,
    User,
)
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.roles import has_account
from agents.config.versions.publishing import etag_of
from agents.models import AgentInstance, ConfigDraft, ConfigVersion
from salient.ids import uuid7
from sessions_app.models import (
    AccountErasure,
    LLMRequest,
    Message,
    Profile,
    Role,
    SavedChat,
    Session,
)
from tests.accounts.member_fixtures import browser_of
from tests.support.api_client import Answer, ApiClient, RunCall, in_this_thread
from tests.support.factories import (
    make_account,
    make_connection,
    make_instance,
    make_key,
    make_llm_request,
    make_message,
    make_session,
    make_user,
    write_config,
)
from tests.support.isolation.accounts import (
    CANARY,
    SECRET,
    Owned,
    high_rates,
    ids_of,
    make_member,
    make_owned,
    rows_of,
)
from tests.support.isolation.route_table import BODIES, HEADERS, QUERIES
from tests.support.isolation.routes import Route, routes

CANARY_OF_ACME = "canary-of-acme"
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
    second: AgentInstance
    theirs: AgentInstance
    target: Membership
    principals: dict[str, Principal]

    @classmethod
    def setUpClass(cls) -> None:
        folder = cls.enterClassContext(TemporaryDirectory())
        cls.enterClassContext(override_settings(AGENT_CONFIG_DIR=Path(folder), DEMO=True))
        cls.enterClassContext(high_rates())
        # Thousands of calls are made; a thread for the event loop of each would take as long as
        # many an answer.
        cls.enterClassContext(AsyncSingleThreadContext())  # type: ignore[no-untyped-call]
        super().setUpClass()

    @classmethod
    def setUpTestData(cls) -> None:
        cls.acme, cls.beta = make_owned("acme", CANARY_OF_ACME), make_owned("beta", CANARY)
        cls.second = make_instance(cls.acme.account, "second")
        cls.theirs = make_instance(cls.beta.account, "theirs")
        cls.target = make_member(cls.acme.account, MemberRole.VIEWER, "target@example.com")
        cls.principals = {each.name: each for each in cls._everyone()}

    def setUp(self) -> None:
        for account in ("acme", "beta", "shut"):
            write_config(settings.AGENT_CONFIG_DIR, account, "bot", "model: scripted:echo\n")
        write_config(settings.AGENT_CONFIG_DIR, "acme", "second", "model: scripted:echo\n")

    @classmethod
    def _everyone(cls) -> Iterable[Principal]:
        yield cls._with("nobody")
        yield cls._with("key", cls.acme.key)
        yield cls._with("foreign", cls.beta.key)
        yield cls._key("elsewhere", instance_ids=[cls.second.pk])
        yield cls._publishable()
        yield cls._key("test", mode=KeyMode.TEST)
        yield cls._cookie_visitor()
        yield from cls._token_visitors()
        for role in MemberRole:
            member = make_member(cls.acme.account, role, f"{role}@example.com")
            yield cls._person(role.value, member.user)
        yield cls._person("staff", make_user("staff@example.com", is_staff=True))
        yield cls._person("root", make_user("root@example.com", is_staff=True, is_superuser=True))
        auditor = make_user("auditor@example.com", is_staff=True, is_auditor=True)
        yield cls._person("auditor", auditor)
        yield cls._key("revoked", revoked_at=timezone.now() - timedelta(seconds=1))
        yield cls._key("expired", expires_at=timezone.now() - timedelta(seconds=1))
        yield cls._of_suspended()

    @classmethod
    def _with(cls, name: str, key: str | None = None, **headers: str) -> Principal:
        return Principal(name, ApiClient(key, headers=headers), cls.acme.session)

    @classmethod
    def _key(cls, name: str, **fields: Any) -> Principal:
        """Make a key of acme; moments in the past are written into its row."""
        later = {n: fields.pop(n) for n in ("revoked_at", "expires_at") if n in fields}
        key, text = make_key(cls.acme.account, name=name, **fields)
        if later:
            with platform_context():
                type(key).objects.filter(pk=key.pk).update(**later)
        return cls._with(name, text)

    def lacking(self, scope: str) -> Principal:
        """Make a key with every scope but this one; with one scope if the route needs none."""
        scopes = [each for each in Scope.values if each != scope]
        return self._key("lacking", scopes=scopes if scope in Scope.values else [Scope.CHAT])

    @classmethod
    def _publishable(cls) -> Principal:
        _, text = make_key(
            cls.acme.account,
            name="publishable",
            kind=KeyKind.PUBLISHABLE,
            origins=[SITE],
            instance_ids=[cls.acme.bot.pk],
        )
        return cls._with("publishable", text, origin=SITE)

    @classmethod
    def _cookie_visitor(cls) -> Principal:
        response, request = HttpResponse(), HttpRequest()
        visitor_tokens.set_cookie(response, "acme", "bot")
        [cookie] = response.cookies.values()
        request.COOKIES[cookie.key] = cookie.value
        visitor = visitor_tokens.cookie_visitor(request, "acme", "bot")
        assert visitor is not None
        stored = visitor.session_key
        client = ApiClient(headers={"cookie": f"{cookie.key}={cookie.value}", **SAME_ORIGIN})
        return Principal("cookie", client, cls._session(session_key=stored))

    @classmethod
    def _token_visitors(cls) -> Iterable[Principal]:
        key, _ = make_key(cls.acme.account, name="visitors")
        # As long as the tests of a class may take.
        seconds = 3600
        token = visitor_tokens.new_token(key.key_id, cls.acme.bot.pk, seconds=seconds)
        mine = cls._session(session_key=token.session_key)
        yield Principal("token", ApiClient(visitor_tokens.write_token(token)), mine)
        named = visitor_tokens.new_token(
            key.key_id, cls.acme.bot.pk, seconds=seconds, end_user=END_USER
        )
        theirs = cls._session(end_user=END_USER)
        yield Principal("end_user", ApiClient(visitor_tokens.write_token(named)), theirs)

    @classmethod
    def _session(cls, **fields: Any) -> Session:
        session = make_session(cls.acme.bot, **fields)
        body = {"response": {"object": "response"}}
        request = make_llm_request(session, request_body=body)
        make_message(session, role=Role.ASSISTANT, content="mine", llm_request=request)
        return session

    @classmethod
    def _person(cls, name: str, user: User) -> Principal:
        return Principal(name, browser_of(user), cls.acme.session)

    @classmethod
    def _of_suspended(cls) -> Principal:
        account = make_account("shut")
        make_instance(account, "bot")
        _, text = make_key(account)
        Account.objects.filter(pk=account.pk).update(status=AccountStatus.SUSPENDED)
        return Principal("suspended", ApiClient(text), cls.acme.session, "shut")


class MatrixTestCase(IsolationTestCase):
    """Calls routes as a principal, with valid input except for what a test changes."""

    run_call: RunCall

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.run_call = staticmethod(cls.enterClassContext(in_this_thread()))

    def setUp(self) -> None:
        super().setUp()
        with platform_context():
            self.saved_chat = SavedChat.objects.get(agent_instance=self.acme.bot)
            account = self.acme.account
            self.acme_key = account.api_keys.get(name=f"{CANARY_OF_ACME} key").pk
            self.acme_budget = account.budgets.get().pk
            self.acme_draft = etag_of(ConfigDraft.objects.get(agent_instance=self.acme.bot))
        self.beta_before = rows_of(self.beta.account)
        self.hidden = {CANARY, SECRET} | ids_of(self.beta.account)
        self._ids: dict[Session, tuple[str, str]] = {}

    def call(self, who: Principal, route: Route, method: str, **more: Any) -> Answer:
        """Call the route; `values`, `query`, `body` and `headers` change the valid call."""
        values = self.values(who) | more.get("values", {})
        place = (route.short, "GET" if method == "HEAD" else method)
        query = {k: v.format(**values) for k, v in QUERIES.get(place, {}).items()}
        body = BODIES.get(place, {}) | more.get("body", {})
        headers = {k: v.format(**values) for k, v in HEADERS.get(place, {}).items()}
        answer: Answer = self.run_call(
            who.client.call(
                method,
                route.path(values),
                query=query | more.get("query", {}),
                raw=b"" if method in {"GET", "HEAD"} else json.dumps(body).encode(),
                headers=headers | more.get("headers", {}),
            )
        )
        return answer

    def ids_within(self, session: Session) -> tuple[str, str]:
        """Return the ids of the newest message and of the first turn before any call."""
        if session not in self._ids:
            with platform_context():
                message = Message.objects.filter(session_id=session.pk).latest("created_at", "id")
                turns = LLMRequest.objects.filter(session_id=session.pk)
                self._ids[session] = str(message.pk), turns.earliest("created_at", "id").pk.hex
        return self._ids[session]

    def values(self, who: Principal) -> dict[str, str]:
        message, turn = self.ids_within(who.session)
        return {
            "account": who.account,
            "instance": "bot",
            "model": "bot",
            "session_id": str(who.session.pk),
            # The id of a session is a thread too.
            "thread_id": str(who.session.pk),
            "message_id": message,
            "response_id": f"resp_{turn}",
            "turn_id": turn,
            "member_id": str(self.target.pk),
            "invitation_id": str(self.acme.invitation.pk),
            "chat_id": str(self.saved_chat.pk),
            "name": self.acme.connection,
            "key_id": str(self.acme_key),
            "budget_id": str(self.acme_budget),
            "number": "1",
            "draft_etag": self.acme_draft,
            "webhook_id": str(self.acme.webhook.pk),
            "delivery_id": str(self.acme.delivery.pk),
        }


TOKEN = "t" * 32


def pages() -> list[Route]:
    return [route for route in routes() if not route.is_api()]


class PagesTestCase(IsolationTestCase):
    """A row of every model that pages show, and a browser of every kind of caller."""

    one_of: dict[type[Model], str]

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        with tenant_context(cls.acme.account.pk):
            mine = Invitation.objects.filter(pk=cls.acme.invitation.pk)
            mine.update(token_hash=token_hash("opened"))
        beta, request = cls.beta, cls.beta.message.llm_request
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
            AccountErasure.objects.create(erased_id=uuid7(), finished_at=timezone.now()),
        ]
        cls.one_of = {type(each): str(each.pk) for each in everything}

    def setUp(self) -> None:
        super().setUp()
        # As in production, the chat pages are for the staff.
        self.enterContext(override_settings(DEMO=False))
        # One for all callers, as each Client builds the chain of middleware again.
        self.any_browser = Client(enforce_csrf_checks=True)
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
        self.any_browser.cookies.clear()
        path = route.path(self.values(route))
        return self.any_browser.generic(method, path, secure=True, headers=headers)

    def values(self, route: Route) -> dict[str, str]:
        # A row of beta if there is one, because staff see every account.
        pk = self.one_of[route.model] if route.model else "0"
        return {
            "account": "acme",
            "instance": "bot",
            "token": "opened",
            "uidb64": "MA",
            "object_id": pk,
            "account_id": str(self.beta.account.pk),
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
