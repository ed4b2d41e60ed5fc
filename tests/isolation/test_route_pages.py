"""Every page, every method, every browser: what each sees, and that forms need their token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import cycle, islice

from django.test import SimpleTestCase

from accounts.models import User
from tests.support.isolation.accounts import CANARY, SECRET, ids_of, rolled_back, rows_of
from tests.support.isolation.cases import PagesTestCase, pages
from tests.support.isolation.route_table import BROWSERS, METHODS, PAGES, rows
from tests.support.isolation.routes import Route

TABLE = rows(PAGES, BROWSERS)
OFTEN = ("GET", "POST")
SAFE = {"GET", "HEAD", "OPTIONS"}
STRANGERS, MEMBERS, STAFF = BROWSERS[:3], BROWSERS[3:5], BROWSERS[5:]
# In the admin these see the rows of all accounts.
SEE_EVERYTHING = {"root", "auditor"}


def cells() -> Iterator[tuple[Route, str, str, int]]:
    """Yield the pages that are opened and the forms that are sent, by every browser.

    The admin asks whether a browser's session is of the staff, and reads no key, no visitor's
    cookie and no role: of those without a session one tries each of its pages, of the members one,
    others at the next page. The other methods are tried by three browsers, likewise.
    """
    known: set[str] = set()
    turn, strangers, members = cycle(BROWSERS), cycle(STRANGERS), cycle(MEMBERS)
    for route in pages():
        # For the models of one kind, the rarer methods are tried on one model.
        methods = OFTEN if route.name in known else METHODS
        known.add(route.name)
        for method in methods:
            # HEAD is answered as GET, unless the table has a row for it.
            wanted = [method, "GET", "*"] if method == "HEAD" else [method, "*"]
            row = next(TABLE[route.name, each] for each in wanted if (route.name, each) in TABLE)
            everybody: Iterable[str] = BROWSERS
            if route.pattern.startswith("admin/"):
                everybody = (next(strangers), next(members), *STAFF)
            for who in everybody if method in OFTEN else islice(turn, 3):
                yield route, method, who, row[who]


class PageMatrixTests(PagesTestCase):
    def test_everybody_sees_what_the_table_says(self) -> None:
        hidden = {CANARY, SECRET} | ids_of(self.beta.account)
        before = self.rows()
        wrong = []
        for route, method, who, status in cells():
            # The admin leads them to its login, and changes nothing.
            is_refused = route.pattern.startswith("admin/") and who in (*STRANGERS, *MEMBERS)
            with rolled_back(expected=HTTPStatus.UNAUTHORIZED if is_refused else status):
                answer = self.call(route, method, who)
                case = f"{method} {route.name} {who}"
                if answer.status_code != status:
                    wrong.append(f"{case}: {answer.status_code}, not {status}")
                if who in SEE_EVERYTHING:
                    continue
                known = {*self.one_of.values()} & {*route.path(self.values(route)).split("/")}
                answered = f"{answer.headers} {answer.cookies} {getattr(answer, 'content', b'')!r}"
                wrong += [f"{case} shows {each}" for each in hidden - known if each in answered]
        self.assertEqual(wrong, [])
        self.assertEqual(self.rows(), before)

    def rows(self) -> tuple[object, ...]:
        """Return what calls that are refused leave as it is: they are not rolled back."""
        accounts = (self.acme, self.beta)
        return *(rows_of(each.account) for each in accounts), User.objects.count()

    def test_no_form_is_taken_without_the_proof_that_it_is_ours(self) -> None:
        turn = cycle(BROWSERS)
        # It is asked for before anybody looks who sends the form.
        for route, method in {(route, method): None for route, method, *_ in cells()}:
            if method not in SAFE:
                who = next(turn)
                answer = self.call(route, method, who, token=None)
                self.assertEqual(answer.status_code, 403, f"{method} {route.name} {who}")


class PageTableTests(SimpleTestCase):
    def test_every_page_has_rows_and_every_row_a_page(self) -> None:
        there = {page.name for page in pages()}
        self.assertEqual({name for name, _ in TABLE} ^ there, set(), "correct ADMIN_KINDS or PAGES")

    def test_an_auditor_posts_to_no_page_but_about_themselves(self) -> None:
        about_themselves = {
            *("admin/login/", "admin/logout/", "admin/password_change/", "admin/[record]/open/"),
            # Searches change nothing.
            "admin/list-search/",
            "admin/find/",
        }
        for page in pages():
            if page.pattern.startswith("admin/") and page.name not in about_themselves:
                row = TABLE.get((page.name, "POST")) or TABLE[page.name, "*"]
                self.assertEqual(row["auditor"], 403, page.name)
