"""Onboarding a customer: one page makes all parts, in any order, and loses nothing."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import TestCase, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts.auth.key_text import new_key
from accounts.models import Account, ApiKey, AuditEntry, Budget, Invitation
from accounts.tenancy.context import platform_context
from agents.admin.onboarding_kept import KEPT, KEPT_FOR, LONGEST_KEPT, MOST_KEPT
from agents.instances.templates import TEMPLATES
from agents.models import AgentInstance
from salient.security.encryption import reveal
from tests.support.database.stored import rows_of
from tests.support.factories import make_account, make_user
from tests.support.people import make_root

NEW = reverse("admin:onboard")
AGENT = {"agent-name": "Help desk", "agent-template": "service", "agent-model": "scripted:echo"}
ALL = {
    "account-name": "Walkers & Sons",
    **AGENT,
    "owner-email": "owner@walkers.example",
    "key-label": "web shop",
    "budget-limit": "50",
    "budget-period": "month",
}


class OnboardingTests(TestCase):
    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(override_settings(AGENT_CONFIG_DIR=Path(folder)))
        self.client.force_login(make_root(email="root@example.com"))

    def send(self, values: dict[str, Any], account: Account | None = None) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(place(account), values, secure=True, follow=True)

    def get(self, account: Account | None = None) -> Any:
        return self.client.get(place(account), secure=True)

    def test_one_submission_makes_all_parts_and_hands_the_key_over(self) -> None:
        page = self.send(ALL)

        account = Account.objects.get(name__startswith="Walkers")
        self.assertEqual(page.redirect_chain[0], (place(account), 302))
        self.assertContains(page, "Done: account, agent, owner, API key, budget.")
        self.assertContains(page, '<span class="badge ok">done</span>', count=5)
        self.assertNotContains(page, "Set up")
        self.assertEqual((account.name, account.slug), ("Walkers & Sons", "walkers-sons"))
        with platform_context():
            agent = AgentInstance.objects.get(account=account)
            key = ApiKey.objects.get(account=account)
            budget, invited = Budget.objects.get(), Invitation.objects.get()
            log = AuditEntry.objects.filter(account=account)
            actors = set(log.values_list("actor", flat=True))
        self.assertEqual(agent.instance_slug, "help-desk")
        prompt = TEMPLATES["service"].prompt
        self.assertEqual(agent.override, {"model": "scripted:echo", "system_prompt": prompt})
        self.assertTrue(key.is_waiting)
        self.assertEqual((key.taker, key.name), ("owner@walkers.example", "web shop"))
        self.assertEqual(key.scopes, ["chat", "history:read", "agents:read"])
        self.assertEqual((budget.limit, budget.granted), (Decimal(50), Decimal(50)))
        self.assertEqual((invited.role, invited.invited_by), ("owner", "root@example.com"))
        self.assertEqual([each.to for each in mail.outbox], [["owner@walkers.example"]] * 2)
        self.assertEqual(actors, {"root@example.com"})

    def test_parts_are_made_in_any_order_and_what_waits_is_kept(self) -> None:
        page = self.send({"budget-limit": "20", "agent-system_prompt": "Be a pirate."})
        self.assertContains(page, "Nothing was filled in that could be set up.")
        self.assertContains(self.get(), 'value="20"')
        self.assertContains(self.get(), "Be a pirate.")

        page = self.send({"account-name": "Walkers", "key-label": "shop", "budget-limit": "-1"})
        account = Account.objects.get(name__startswith="Walkers")
        self.assertContains(page, "Nobody of this account can take it yet")
        self.assertContains(page, "greater than or equal to 0")
        self.assertContains(self.get(account), 'value="shop"')
        self.assertNotContains(self.get(), 'value="20"')

        shown = {"shown": ["agent", "key", "budget"]}
        page = self.send({"owner-email": "o@walkers.example", "key-label": "shop"} | shown, account)
        self.assertContains(page, "Done: owner, API key.")
        self.assertContains(page, '<span class="badge">to do</span>', count=2)
        self.assertContains(page, "to be taken by o@walkers.example")

    def test_what_is_sent_once_more_makes_nothing_twice_and_changes_nothing(self) -> None:
        self.send(ALL)
        account = Account.objects.get(name__startswith="Walkers")
        stale = ALL | {"budget-limit": "999", "owner-email": "other@walkers.example"}
        page = self.send(stale, account)
        self.assertContains(
            page, "Already there, and left unchanged: account, agent, owner, API key, budget."
        )
        self.assertNotContains(page, "Done:")
        with platform_context():
            for rows in (AgentInstance, ApiKey, Budget, Invitation):
                self.assertEqual(rows.objects.filter(account=account).count(), 1, rows)
            self.assertEqual(Budget.objects.get().limit, Decimal(50))
        self.assertEqual(len(mail.outbox), 2)

    def test_two_tabs_begin_two_customers_and_lose_neither(self) -> None:
        first, second = ({"begun": self.begun(), "agent-name": name} for name in ("One", "Two"))
        for each in (first, second):
            page = self.send(each)
            self.assertContains(page, f'value="{each["agent-name"]}"')
            self.assertContains(page, "Begin another customer")
        self.assertContains(page, "Also started: <a ")
        page = self.client.get(NEW, {"begun": first["begun"]}, secure=True)
        self.assertContains(page, 'value="One"')
        self.assertNotContains(page, 'value="Two"')
        self.assertNotContains(self.client.get(NEW, {"begun": ""}, secure=True), 'value="Two"')

        self.send(AGENT | first | {"account-name": "First"})
        self.assertContains(self.get(), 'value="Two"')
        self.assertEqual([agent.display_name for agent in self.agents()], ["One"])

    def begun(self) -> str:
        return str(self.client.get(NEW, {"begun": ""}, secure=True).context["place"])

    def agents(self) -> list[AgentInstance]:
        return rows_of(AgentInstance, account__slug="first")

    def test_a_second_tab_of_an_account_takes_nothing_from_the_first(self) -> None:
        account = make_account("acme")
        self.send({"agent-name": "Bot", "agent-model": "nobody:knows"}, account)
        self.send({"agent-template": "service", "budget-limit": "-1"}, account)
        page = self.get(account)
        self.assertContains(page, 'value="Bot"')
        self.assertContains(page, 'value="-1"')
        # What the page showed is taken out by leaving it empty.
        self.send({"agent-name": "", "shown": "agent", "budget-limit": "-1"}, account)
        page = self.get(account)
        self.assertNotContains(page, 'value="Bot"')
        self.assertContains(page, 'value="-1"')

    def kept(self) -> dict[str, Any]:
        sealed = self.client.session[KEPT]
        return dict(json.loads(reveal(sealed))) if sealed else {}

    def test_what_is_kept_cannot_be_read_in_the_session_and_ends_after_a_week(self) -> None:
        typed = {"owner-email": "ann@walkers.example", "agent-system_prompt": "Our secret sauce"}
        self.send(typed)
        stored = Session.objects.get(pk=self.client.session.session_key).get_decoded()
        for text in typed.values():
            self.assertContains(self.get(), text)
            self.assertNotIn(text, str(stored))
        late = timezone.now() + KEPT_FOR
        with patch("agents.admin.onboarding_kept.timezone.now", return_value=late):
            page = self.get()
        for text in typed.values():
            self.assertNotContains(page, text)

    def test_what_is_kept_is_bounded_and_holds_no_secret(self) -> None:
        secret = new_key().text
        for number in range(MOST_KEPT + 5):
            self.send({"begun": f"{number:012x}", "agent-name": f"{number} {secret}"})
        kept = self.kept()
        self.assertEqual(len(kept), MOST_KEPT)
        self.assertNotIn(secret[-38:], json.dumps(kept))
        self.assertIn("24 sal_sk_", json.dumps(kept))
        long = "x" * (LONGEST_KEPT // 3)
        for number in range(4):
            self.send({"begun": f"{number:012x}", "agent-system_prompt": long})
        others = [f"{n:012x}" for n in (2, 3)]
        self.assertEqual(list(self.kept()), others)
        page = self.send({"begun": "0" * 12, "agent-system_prompt": 3 * long})
        self.assertContains(page, "too long to be kept")
        self.assertEqual(list(self.kept()), others)

    def test_a_customer_is_begun_no_more_when_all_is_taken_out(self) -> None:
        begun = {"begun": self.begun(), "agent-template": "service", "shown": "agent"}
        self.send(begun | {"agent-name": "Bot"})
        self.assertEqual(list(self.kept()), [begun["begun"]])
        self.send(begun | {"agent-name": ""})
        self.assertEqual(self.kept(), {})

    def test_of_two_at_once_the_second_keeps_its_words(self) -> None:
        with patch.object(Account, "full_clean"):
            make_account("walkers")
            page = self.send(ALL | {"account-slug": "walkers"})
        self.assertContains(page, "Somebody has just made one of that name.")
        self.assertContains(page, "owner@walkers.example")

    def test_a_part_that_is_refused_keeps_its_words_and_leaves_nothing_behind(self) -> None:
        account = make_account("acme")
        faults = (
            (AGENT | {"agent-model": "nobody:knows"}, "nobody"),
            (AGENT | {"agent-slug": "New"}, "Use 1 to 63 lower-case letters"),
            ({"key-label": "mine", "owner-email": "root@example.com"}, "to yourself"),
        )
        for values, words in faults:
            with self.subTest(values):
                page = self.send(values, account)
                self.assertContains(page, words)
                self.assertContains(page, '<span class="badge bad">not done</span>')
                again = self.get(account)
                self.assertContains(again, words)
                for name, value in values.items():
                    if name in {"agent-name", "key-label"}:
                        self.assertContains(again, f'value="{value}"')
        self.assert_empty(account)
        self.assertContains(self.send({"account-name": "Acme"}), "already exists")

    def test_each_part_needs_its_right(self) -> None:
        self.client.force_login(staff := make_user(is_staff=True))
        self.assertEqual(self.get().status_code, 403)
        rights = Permission.objects.filter(codename__in=["view_account", "add_account"])
        staff.user_permissions.set(rights)
        page = self.send(ALL)
        self.assertContains(page, "Done: account.")
        self.assertContains(page, "It needs a right that you do not have.", count=4)
        self.assert_empty(Account.objects.get(name__startswith="Walkers"))
        self.assertEqual(mail.outbox, [])

    def assert_empty(self, account: Account) -> None:
        with platform_context():
            for rows in (AgentInstance, ApiKey):
                self.assertFalse(rows.objects.filter(account=account).exists())


def place(account: Account | None) -> str:
    return reverse("admin:onboard-account", args=[account.pk]) if account else NEW
