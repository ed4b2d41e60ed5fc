from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.test import TestCase, override_settings
from django.urls import reverse

from accounts.tenancy.context import tenant_context
from agents.config import read
from agents.config.versions.current import current_config
from agents.models import AgentInstance, ConfigPublication
from tests.support.database.stored import count_of, row_of
from tests.support.factories import make_account, make_instance, write_config
from tests.support.people import make_root


class InstancePagesTests(TestCase):
    def setUp(self) -> None:
        self.base = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(AGENT_CONFIG_DIR=self.base))
        (self.base / "defaults.yaml").write_text("model: scripted:echo\n")
        self.client.force_login(make_root(email="boss@example.com"))
        self.account = make_account("acme")

    def page(self, instance: AgentInstance) -> str:
        path = reverse("admin:agents_agentinstance_change", args=[instance.pk])
        content: str = self.client.get(path, secure=True).content.decode()
        return content

    def add(self, slug: str = "desk", **form: Any) -> Any:
        values = {
            "account": self.account.pk,
            "instance_slug": slug,
            "display_name": "Desk",
            "agent_type": "simple_chat",
            "status": "active",
        }
        return self.client.post(
            reverse("admin:agents_agentinstance_add"), values | form, secure=True
        )

    def test_an_agent_that_is_added_can_answer(self) -> None:
        self.assertEqual(self.add().status_code, 302)

        self.assertEqual(read("acme", "desk").config.display_name, "Desk")

    def test_an_agent_with_a_model_and_a_prompt_answers_without_any_file(self) -> None:
        answer = self.add(model="scripted:echo", system_prompt="Be kind.\r\nBe brief.")
        self.assertEqual(answer.status_code, 302)
        instance = row_of(AgentInstance, account=self.account)
        publication = row_of(ConfigPublication, agent_instance=instance)
        with tenant_context(self.account.pk):
            effective = current_config("acme", instance).effective

        self.assertEqual(effective.config.system_prompt, "Be kind.\nBe brief.")
        self.assertEqual(effective.origins["model"], "published here")
        self.assertEqual((publication.number, publication.author_name), (1, "boss@example.com"))
        self.assertFalse((self.base / "acme").exists())

    def test_what_could_not_answer_is_refused_at_its_field(self) -> None:
        for form, error in (
            ({"model": "opnai:x"}, "Did you mean openai?"),
            ({"model": "scripted:echo"}, "no other layer gives a system prompt"),
            ({"system_prompt": "x" * 70_000}, "must have at most 65536 characters"),
        ):
            with self.subTest(form=form):
                self.assertContains(self.add(**form), error)
        self.assertFalse(count_of(AgentInstance, account=self.account))

    def test_a_refused_form_leaves_no_files(self) -> None:
        for form in ({"slug": "../up"}, {"agent_type": "made_up"}):
            with self.subTest(form=form):
                self.assertEqual(self.add(**form).status_code, 200)
        self.assertFalse((self.base / "acme").exists())

    def test_where_files_can_not_be_written_the_row_is_made_and_staff_are_informed(self) -> None:
        (self.base / "acme").write_text("not a folder")
        answer = self.add()

        self.assertEqual(answer.status_code, 302)
        self.assertEqual(count_of(AgentInstance, account=self.account), 1)
        listed = self.client.get(answer["Location"], secure=True)
        self.assertContains(listed, "first files were not written")

    def test_its_page_names_what_is_wrong_in_the_files(self) -> None:
        write_config(self.base, "acme", "bot", "temprature: 0.5\n")
        page = self.page(make_instance(self.account, "bot"))

        self.assertIn("acme/bot/config.yaml:1: temprature: unknown key", page)

    def test_it_can_be_renamed_but_not_moved(self) -> None:
        instance = make_instance(self.account, "bot")
        path = reverse("admin:agents_agentinstance_change", args=[instance.pk])
        form = {"account": make_account().pk, "instance_slug": "other", "display_name": "Bot"}
        form |= {"agent_type": "simple_chat"}
        self.client.post(path, form, secure=True)

        stored = row_of(AgentInstance, pk=instance.pk)
        self.assertEqual(
            (stored.account_id, stored.instance_slug, stored.display_name),
            (self.account.pk, "bot", "Bot"),
        )
