"""Whatever a page of the admin offers leads somewhere, for each of the ready-made roles."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from django.test import TestCase, override_settings
from django.test.client import RedirectCycleError
from django.urls import Resolver404, resolve

from accounts.members.staff_roles import StaffRole, set_flags, set_groups
from accounts.models import User
from accounts.tenancy.context import platform_context
from tests.e2e.fixtures import furnish
from tests.support.factories import make_user

ADMIN = "/admin/"
# They end the session, or answer scripts.
NOT_FOLLOWED = {"logout", "jsi18n"}
# What a link may be told apart by besides its page: what it narrows a list to.
KINDS = ("completion_status__exact", "model")
ROLES = (StaffRole.OWNER, StaffRole.OPERATOR, StaffRole.SUPPORT, StaffRole.AUDITOR)


class Links(HTMLParser):
    """The addresses that a page links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.found.append(href)


class LinkTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        with override_settings(AGENT_CONFIG_DIR=Path(folder)):
            furnish(turns=60, accounts=2)

    def test_no_link_is_refused_or_leads_nowhere(self) -> None:
        for role in ROLES:
            with self.subTest(role=role.value):
                self.client.force_login(self.person(role))
                wrong = list(self.wrong_links())
                self.assertEqual(wrong, [], "\n".join(wrong))

    def person(self, role: StaffRole) -> User:
        person = make_user(f"{role.value}@staff.example")
        set_flags(person, role)
        with platform_context():
            person.save()
            set_groups(person, role)
        return person

    def wrong_links(self) -> Iterator[str]:
        """Open one page of each kind, beginning with the first page, by links alone."""
        seen = {self.kind_of(ADMIN), "not followed"}
        left = [(ADMIN, "log-in")]
        opened = 0
        while left:
            address, origin = left.pop(0)
            opened += 1
            try:
                response = self.client.get(address, secure=True, follow=True)
            except RedirectCycleError:
                yield f"{address} on {origin} leads in a circle"
                continue
            is_elsewhere = bool(response.redirect_chain) and response.request["PATH_INFO"] == ADMIN
            if response.status_code >= 400 or is_elsewhere:
                yield f"{address} on {origin}: {response.status_code}"
                continue
            if response.streaming or "html" not in response.headers.get("Content-Type", ""):
                continue
            here = response.request["PATH_INFO"]
            for href in Links(response.text).found:
                target = urljoin(here, href)
                if target.startswith("/") and (kind := self.kind_of(target)) not in seen:
                    seen.add(kind)
                    left.append((target, here))
        self.assertGreater(opened, 60)

    def kind_of(self, address: str) -> str:
        parts = urlsplit(address)
        try:
            name = resolve(parts.path).url_name or parts.path
        except Resolver404:
            name = parts.path
        if name in NOT_FOLLOWED:
            return "not followed"
        return " ".join([name, *(kind for kind in KINDS if f"{kind}=" in parts.query)])
