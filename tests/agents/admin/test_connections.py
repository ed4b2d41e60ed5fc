"""The admin's page for connections: keys go in, none comes out."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.test import TestCase, override_settings
from django.urls import reverse

from accounts.tenancy.context import tenant_context
from agents.connections import connections
from agents.models import AgentInstance, ProviderConnection
from salient.ttl import clear_caches
from tests.support.database.stored import as_platform, change_row, rows_of
from tests.support.factories import make_account, make_instance
from tests.support.people import make_root

KEY = "sk-canary-0123456789abcdef"
URL = "https://models.example.com/v1"


@override_settings(SECURE_SSL_REDIRECT=False)
class ConnectionAdminTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.client.force_login(make_root())

    def add(self, **fields: Any) -> Any:
        data = {"account": self.account.pk, "name": "own", "base_url": URL, "key": KEY} | fields
        return self.client.post(reverse("admin:agents_providerconnection_add"), data)

    def change(self, **fields: Any) -> Any:
        [row] = self.rows()
        address = reverse("admin:agents_providerconnection_change", args=[row.pk])
        return self.client.post(address, {"base_url": URL, "key": ""} | fields)

    def agent(self, slug: str, override: dict[str, Any]) -> AgentInstance:
        agent = make_instance(self.account, slug)
        change_row(agent, override=override)
        return agent

    def rows(self) -> list[ProviderConnection]:
        return rows_of(ProviderConnection)

    def key(self) -> str:
        clear_caches()
        with tenant_context(self.account.pk):
            return connections.connections_for(self.account.pk, ["connection/own:m"])["own"].key

    def test_a_key_that_is_typed_in_works_and_is_shown_on_no_page(self) -> None:
        self.assertEqual(self.add().status_code, 302)
        self.assertEqual(self.key(), KEY)

        [row] = self.rows()
        pages = [
            reverse("admin:agents_providerconnection_changelist"),
            reverse("admin:agents_providerconnection_change", args=[row.pk]),
            reverse("admin:agents_providerconnection_history", args=[row.pk]),
        ]
        for page in pages:
            text = self.client.get(page).content.decode()
            self.assertNotIn("canary", text)
            self.assertNotIn(row.secret, text)
        self.assertNotIn("canary", str(list(LogEntry.objects.values())))

    def test_a_change_without_a_key_keeps_it_on_the_same_host_only(self) -> None:
        self.add()
        self.change(base_url="https://models.example.com/v2")
        self.assertEqual(self.key(), KEY)
        self.change(base_url="https://evil.example.com/v2")
        self.assertEqual(self.key(), "")

    def test_an_agent_whose_models_have_no_key_says_that_it_cannot_answer(self) -> None:
        here, keyless = "scripted:echo", "openai:gpt-4o-mini"
        models = {"one": [keyless], "two": [keyless, here], "three": [here, keyless]}
        agents = {}
        for slug, [model, *fallbacks] in models.items():
            text = {"model": model, "fallback_models": fallbacks, "system_prompt": "x"}
            agents[slug] = self.agent(slug, text)

        listed = self.client.get(reverse("admin:agents_agentinstance_changelist"))
        self.assertContains(listed, ">cannot answer<", count=1)
        for slug, count in (("one", 1), ("two", 0), ("three", 0)):
            page = reverse("admin:agents_agentinstance_change", args=[agents[slug].pk])
            said = "Its model cannot be called: "
            self.assertContains(self.client.get(page), said, count=count)
        self.assertContains(listed, "OPENAI_API_KEY")
        answer = "502 unknown_model, but for those with a test key."
        self.assertContains(listed, f"Every call of it gets {answer}")

    def test_a_fallback_on_a_connection_that_is_missing_answers_nobody(self) -> None:
        models = {"model": "openai:gpt-4o-mini", "fallback_models": ["connection/own:m"]}
        self.agent("bot", {**models, "system_prompt": "x"})
        agents = reverse("admin:agents_agentinstance_changelist")

        self.assertContains(self.client.get(agents), "Its model cannot be called: ")
        self.add()
        self.assertNotContains(self.client.get(agents), "cannot answer")

    def test_a_deletion_names_the_agents_and_they_say_that_they_cannot_answer(self) -> None:
        override = {"model": "connection/own:m", "system_prompt": "x"}
        agent = self.agent("bot", override)
        self.agent("other", override | {"model": "scripted:echo"})
        self.add()
        [row] = self.rows()
        one = reverse("admin:agents_providerconnection_delete", args=[row.pk])
        agents = reverse("admin:agents_agentinstance_changelist")
        every = reverse("admin:agents_providerconnection_changelist")
        connection = reverse("admin:agents_providerconnection_change", args=[row.pk])
        page = reverse("admin:agents_agentinstance_change", args=[agent.pk])
        action = {"action": "delete_selected", "_selected_action": [row.pk]}

        link = f'<a href="{page}">acme/bot</a>'
        warned = f"use “own” and will not answer without it: {link}."
        self.assertContains(self.client.get(one), warned)
        self.assertContains(self.client.post(every, action), warned)
        self.assertContains(self.client.get(connection), f"Used by {link}.")
        account = reverse("admin:accounts_account_change", args=[self.account.pk])
        history = reverse("admin:instance-history", args=[agent.pk])
        pages = (agents, page, account, history)
        for each in pages:
            self.assertNotContains(self.client.get(each), "cannot answer")

        self.client.post(one, {"post": "yes"})

        fault = "Its model connection “own” is missing or cannot be read."
        for each in pages:
            with self.subTest(each):
                self.assertContains(self.client.get(each), "cannot answer")
                self.assertContains(self.client.get(each), fault)

    def test_staff_do_not_lend_an_account_the_connection_of_another(self) -> None:
        beta = make_account("beta")
        self.add(account=beta.pk)
        found = as_platform(connections.connections_for, self.account.pk, ["connection/own:m"])
        self.assertEqual(found, {})

    def test_what_the_api_refuses_is_refused_here_and_not_echoed(self) -> None:
        for fields in (
            {"base_url": "http://models.example.com"},
            {"base_url": "https://127.0.0.1/"},
            {"key": "sk-canary with spaces"},
            {"name": "Not A Slug"},
        ):
            with self.subTest(fields):
                answer = self.add(**fields)
                self.assertEqual(answer.status_code, 200)
                self.assertNotIn("canary", answer.content.decode())
        self.assertEqual(self.rows(), [])
