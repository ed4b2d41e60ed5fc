"""Every page writes dates, amounts and things in one way; each error code is explained."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase, TestCase, override_settings
from django.urls import reverse
from django.utils.html import strip_tags

from accounts.models import User
from agents.runtime.errors import RUN_ERRORS
from salient.formatting import duration, exact_moment, moment, short_days
from sessions_app.usage import rollup
from sessions_app.usage.error_help import all_help, help_with
from tests.e2e.fixtures import EMAIL, addresses, furnish
from tests.support.factories import make_account, make_message, make_session
from tests.support.people import make_root
from tests.support.usage import busy_account, settled

TEMPLATES = Path(settings.BASE_DIR) / "templates"
# What is typed, or is data: inputs, code, configurations, and the tags themselves.
DATA = re.compile(r"<(pre|code|textarea|script|style|option|svg|del|ins)\b.*?</\1>", re.DOTALL)
# Conversations name hours, too: ours follow a date, or these words.
WITHOUT_ZONE = re.compile(r"(?:\d{4},? |shown to you until )\d\d:\d\d(?::\d\d)?\b(?!:| UTC)")
OTHER_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b|\bNov\. \d|\bago\b")

# An agent instance is an agent to whoever reads about it.
OTHER_NAME = re.compile(r"\binstances?\b", re.IGNORECASE)


def words_of(html: str) -> str:
    return " ".join(strip_tags(DATA.sub(" ", html).replace("<", " <")).split())


class FormatTests(SimpleTestCase):
    def test_templates_write_dates_and_numbers_by_our_filters_alone(self) -> None:
        other = re.compile(r"\|(?:date|time|timesince|naturaltime|floatformat)\b[^|} ]*")
        found = {
            (path.name, used)
            for path in TEMPLATES.rglob("*.html")
            for used in other.findall(path.read_text(encoding="utf-8"))
        }

        # For machines.
        self.assertEqual({used for _, used in found}, {"|date:'c'"})

    def test_no_template_puts_a_unit_beside_a_bare_number(self) -> None:
        found = [
            path.name
            for path in TEMPLATES.rglob("*.html")
            if re.search(r"\$\{\{|\}\} ?m?s\b", path.read_text(encoding="utf-8"))
        ]

        self.assertEqual(found, [])

    def test_a_moment_names_its_zone(self) -> None:
        time = datetime(2026, 9, 1, 14, 5, 9, tzinfo=UTC)

        self.assertEqual(moment(time), "1 Sep 2026, 14:05 UTC")
        self.assertEqual(exact_moment(time), "1 Sep 2026, 14:05:09 UTC")

    def test_a_duration_has_two_units_at_most(self) -> None:
        found = [duration(ms) for ms in (None, 0, 320, 9_940, 59_949, 59_950, 125_400)]

        self.assertEqual(
            found, ["\N{EN DASH}", "0 ms", "320 ms", "9.9 s", "59.9 s", "1 min 0 s", "2 min 5 s"]
        )

    def test_days_of_one_month_name_it_once(self) -> None:
        september, october = date(2026, 9, 1), date(2026, 10, 5)

        self.assertEqual(short_days(september, date(2026, 9, 7)), "1\N{EN DASH}7 Sep")
        self.assertEqual(short_days(september, october), "1 Sep \N{EN DASH} 5 Oct")


class ErrorHelpTests(SimpleTestCase):
    def test_every_code_of_a_turn_says_what_it_means_and_what_to_do(self) -> None:
        others = {
            "abandoned", "access_ended", "agent_deactivated", "answer_not_stored", "client_left",
            "connection_changed", "internal_error", "server_stopping", "time_limit",
            "turn_cancelled",
        }  # fmt: skip

        found = all_help()

        self.assertEqual(found.keys(), RUN_ERRORS.keys() | others)
        self.assertEqual([code for code, each in found.items() if not each.meaning], [])
        self.assertEqual([code for code, each in found.items() if not each.remedy], [])

    def test_the_docstring_is_the_help(self) -> None:
        found = help_with("provider_timeout")

        assert found is not None
        self.assertEqual(found.meaning, "The model took longer than “timeouts” allows.")
        self.assertEqual(
            found.remedy,
            "Choose a faster model or a shorter prompt, or raise “timeouts” in the agent's "
            "configuration.",
        )
        self.assertIsNone(help_with(""))


@override_settings(SECURE_SSL_REDIRECT=False)
class PageWordTests(TestCase):
    def setUp(self) -> None:
        self.client.force_login(make_root(email="root@example.com"))

    def words(self, address: str) -> str:
        return words_of(self.client.get(address).content.decode())

    def test_a_failed_turn_says_what_its_error_means(self) -> None:
        failed = settled(
            busy_account("acme", turns=0), completion_status="error", error_code="provider_auth"
        )
        rollup.rebuild(failed.account_id)
        meaning = "The provider refuses this server&#x27;s key."

        request = self.words(reverse("admin:sessions_app_llmrequest_change", args=[failed.pk]))

        self.assertIn(f"{meaning} What to do: Replace the provider&#x27;s key:", request)
        self.assertIn(meaning, self.words(reverse("admin:index")))

    def test_a_state_has_one_name(self) -> None:
        make_account("gone", status="deleted")

        listed = self.client.get(reverse("admin:accounts_account_changelist"))

        self.assertContains(listed, '<span class="badge bad">archived</span>')
        self.assertContains(listed, '<a href="?status__exact=deleted">archived</a>')
        self.assertNotIn("eleted", words_of(listed.content.decode()))

    def test_who_writes_to_an_agent_is_the_user(self) -> None:
        session = make_session()
        make_message(session, role="human")
        make_message(session, role="assistant")
        account = f"?account__id__exact={session.account_id}"

        listed = self.words(reverse("admin:sessions_app_message_changelist") + account)
        read = self.words(reverse("admin:sessions_app_session_change", args=[session.pk]))

        for words in (listed, read):
            self.assertRegex(words, r"\bUser\b.*\bAssistant\b|\bAssistant\b.*\bUser\b")
            self.assertNotRegex(words, r"\b[Hh]uman\b")

    def test_amounts_of_a_list_stand_to_the_right_and_cells_name_their_column(self) -> None:
        agent = busy_account("acme", turns=0)
        settled(agent, prompt_tokens=12_345, completion_tokens=6, total_tokens=12_351)

        page = self.client.get(reverse("admin:sessions_app_llmrequest_changelist"))

        self.assertContains(page, '<th scope="col" class="num column-latency">')
        for cell in (
            '<td data-label="Tokens" class="num field-tokens">12,345 in, 6 out</td>',
            '<td data-label="Cost" class="num field-list_cost">$0.25</td>',
            '<td data-label="Latency" class="num field-latency">800 ms</td>',
            '<td data-label="Model" class="field-model_name">openai:gpt-5</td>',
        ):
            self.assertContains(page, cell)


@override_settings(SECURE_SSL_REDIRECT=False)
class EveryPageTests(TestCase):
    maxDiff = None

    def test_every_page_names_zones_and_agents_and_writes_dates_in_one_way(self) -> None:
        furnish(turns=60, accounts=1)
        self.client.force_login(User.objects.get(email=EMAIL))
        wrong = []
        for address in addresses():
            page = self.client.get(address)
            if page.status_code == 200 and page.get("Content-Type", "").startswith("text/html"):
                words = words_of(page.content.decode())
                for kind in (WITHOUT_ZONE, OTHER_DATE, OTHER_NAME):
                    wrong += [
                        f"{address}: …{words[max(0, hit.start() - 30) : hit.end() + 20]}…"
                        for hit in kind.finditer(words)
                    ][:2]

        self.assertEqual(wrong, [])
