"""Every page, every method, everybody: what is shown to whom, and that no form works from afar."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.contrib.auth.models import Group
from django.http.response import HttpResponseBase
from django.test import Client, SimpleTestCase, override_settings

from accounts.limits.budgets import set_budget
from accounts.limits.quotas import set_limits
from accounts.members.invitations import token_hash
from accounts.members.support_access import open_access
from accounts.models import AuditEntry, Invitation, User
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import ConfigVersion
from sessions_app.models import MessageFeedback, Profile, SavedChat
from tests.support.border import CANARY, SECRET, BorderTestCase, ids_of, rows_of, taken_back
from tests.support.factories import make_connection
from tests.support.route_table import BROWSERS, METHODS, PAGES, rows
from tests.support.routes import Route, routes

TABLE = rows(PAGES, BROWSERS)
SAFE = {"GET", "HEAD", "OPTIONS"}
TOKEN = "t" * 32
# On the admin's pages, which show the rows of all accounts.
SEE_EVERYTHING = {"root", "auditor"}


def pages() -> list[Route]:
    return [route for route in routes() if not route.is_api()]


def cells() -> Iterator[tuple[Route, str, str, int]]:
    known: set[str] = set()
    for route in pages():
        # Of the models of one kind, one shows how their pages take the rarer methods.
        methods = ("GET", "POST") if route.name in known else METHODS
        known.add(route.name)
        for method in methods:
            # A page is read as it is looked at, unless the table knows better.
            wanted = [method, "GET", "*"] if method == "HEAD" else [method, "*"]
            row = next(TABLE[route.name, each] for each in wanted if (route.name, each) in TABLE)
            for who, status in row.items():
                yield route, method, who, status


class PagesTestCase(BorderTestCase):
    """A row of everything that pages show, and everybody's browser."""

    def setUp(self) -> None:
        super().setUp()
        # As production is: the chat pages are for the staff.
        self.enterContext(override_settings(DEMO=False))
        with tenant_context(self.acme.account.pk):
            mine = Invitation.objects.filter(pk=self.acme.invitation.pk)
            mine.update(token_hash=token_hash("opened"))
        beta, request = self.beta, self.beta.message.llm_request
        assert request is not None
        assert request.config_version is not None
        with platform_context():
            own = [Profile.objects.get(session=beta.session), beta.account.api_keys.get()]
            own.append(open_access(beta.member.user, beta.account, reason="a ticket"))
            own.append(AuditEntry.objects.filter(account=beta.account)[0])
            own.append(SavedChat.objects.get(account=beta.account))
            own.append(MessageFeedback.objects.get(account=beta.account))
        everything = [Group.objects.create(name="support"), beta.account, beta.bot, beta.session]
        everything += [
            beta.member,
            beta.invitation,
            beta.message,
            request,
            request.config_version,
            beta.member.user,
            *own,
            set_limits(beta.account, concurrent_turns=50),
            set_budget(beta.account, period="month", limit=Decimal(50)),
            # Trying it out calls nobody: the address is refused.
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
        # A row of beta's, where there is one: the staff of the platform see every account.
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


class PageMatrixTests(PagesTestCase):
    def test_everybody_sees_what_the_table_says(self) -> None:
        hidden = {CANARY, SECRET} | ids_of(self.beta.account)
        wrong = []
        for route, method, who, status in cells():
            with taken_back():
                answer = self.call(route, method, who)
                case = f"{method} {route.name} {who}"
                if answer.status_code != status:
                    wrong.append(f"{case}: {answer.status_code}, not {status}")
                if who in SEE_EVERYTHING:
                    continue
                known = {*self.one_of.values()} & {*route.path(self.values(route)).split("/")}
                told = f"{answer.headers} {answer.cookies} {getattr(answer, 'content', b'')!r}"
                wrong += [f"{case} shows {each}" for each in hidden - known if each in told]
        self.assertEqual(wrong, [])
        self.assertEqual(rows_of(self.beta.account), self.beta_before)

    def test_an_auditor_posts_to_no_page_but_about_themselves(self) -> None:
        about_themselves = {
            *("admin/login/", "admin/logout/", "admin/password_change/", "admin/[record]/open/")
        }
        before = [rows_of(each.account) for each in (self.acme, self.beta)], User.objects.count()
        for route in pages():
            if route.pattern.startswith("admin/") and route.name not in about_themselves:
                answer = self.call(route, "POST", "auditor")
                self.assertEqual(answer.status_code, 403, route.name)
        after = [rows_of(each.account) for each in (self.acme, self.beta)], User.objects.count()
        self.assertEqual(after, before)

    def test_no_form_is_taken_without_the_proof_that_it_is_ours(self) -> None:
        for route, method, who, _ in cells():
            if method not in SAFE:
                answer = self.call(route, method, who, token=None)
                self.assertEqual(answer.status_code, 403, f"{method} {route.name} {who}")


class PageTableTests(SimpleTestCase):
    def test_every_page_has_rows_and_every_row_a_page(self) -> None:
        self.assertEqual({name for name, _ in TABLE}, {page.name for page in pages()})
