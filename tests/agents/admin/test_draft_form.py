"""The form beside the YAML: what is changed in it is written into the text, and nothing is lost."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from django.test import TestCase
from django.urls import reverse

from agents.config.versions import publishing
from tests.agents.publishing_fixtures import PublishingFixtures
from tests.support.database.stored import as_platform

TYPED = """\
# ours
retries: 4  # enough
tools: [current_time]
temperature: 0.3  # cool

# last
max_tokens: 500
"""


class DraftFormTests(PublishingFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client.force_login(self.ann)
        self.page = reverse("admin:instance-configuration", args=[self.instance.pk])

    def post(self, **form: Any) -> Any:
        return self.client.post(self.page, form, secure=True)

    def save(self, text: str) -> None:
        self.post(text=text, seen="", base=0)

    def form(self) -> dict[str, Any]:
        """Return what the page's form would send as it is shown."""
        page = self.client.get(self.page, secure=True).content.decode()
        sent: dict[str, Any] = {
            name: html.unescape(value)
            for name, value in re.findall(r'<input type="[^"]+" name="(\w+)" value="([^"]*)"', page)
            if name not in {"csrfmiddlewaretoken", "tools"}
        }
        for name, text in re.findall(
            r'<textarea name="(\w+)"[^>]*>\n(.*?)</textarea>', page, re.DOTALL
        ):
            sent[name] = html.unescape(text).replace("\n", "\r\n")
        sent["tools"] = re.findall(r'name="tools" value="([^"]+)"[^>]*checked', page)
        return sent

    def send(self, **changes: Any) -> Any:
        return self.post(**{**self.form(), **changes})

    def text(self) -> str:
        draft = as_platform(publishing.draft_of, self.instance)
        assert draft is not None
        return draft.text

    def test_it_shows_what_holds_and_unchanged_it_changes_nothing(self) -> None:
        self.save(TYPED)
        shown = self.form()
        self.assertEqual(
            {name: shown[name] for name in ("model", "temperature", "tools", "system_prompt")},
            {
                "model": "scripted:echo",
                "temperature": "0.3",
                "tools": ["current_time"],
                "system_prompt": "Be kind.\r\nBe brief.",
            },
        )
        self.send()
        self.assertEqual(self.text(), TYPED)

    def test_what_is_changed_is_written_and_comments_and_order_stay(self) -> None:
        self.save(TYPED)
        self.send(temperature="0.9", system_prompt="Be kind.\r\n\r\n# Tone\r\nWarm.")
        prompt = "system_prompt: |-\n  Be kind.\n\n  # Tone\n  Warm.\n"
        self.assertEqual(self.text(), TYPED.replace("0.3", "0.9") + prompt)
        # An empty field leaves it to the files; no box is no tool.
        self.send(temperature="", tools=[])
        left = TYPED.replace("temperature: 0.3  # cool\n", "")
        self.assertEqual(self.text(), left.replace("[current_time]", "[]") + prompt)

    def test_the_yaml_is_changed_beside_it(self) -> None:
        self.save(TYPED)
        self.send(text=TYPED.replace("500", "600"), temperature="0.9")
        self.assertEqual(self.text(), TYPED.replace("500", "600").replace("0.3", "0.9"))
        # The same value in both is no conflict, two values are: nothing is saved, both are shown.
        before = self.text()
        self.send(text=before.replace("0.9", "1.1"), temperature="1.1")
        self.assertIn("temperature: 1.1  # cool", self.text())
        page = self.send(text=before.replace("0.9", "1.5"), temperature="1.7", model="x:y")
        self.assertContains(page, "Not saved.")
        self.assertContains(page, "Changed here and in the YAML")
        for typed in ('value="1.7"', 'value="x:y"', "temperature: 1.5"):
            self.assertContains(page, typed)
        self.assertIn("temperature: 1.1  # cool", self.text())

    def test_an_error_stands_at_its_field_and_the_draft_is_kept(self) -> None:
        page = self.send(temperature="hot", model="scriptd:echo", review="1")
        self.assertIn("temperature: hot", self.text())
        for field in ("temperature", "model"):
            self.assertContains(page, f'id="id_{field}_error"')
        self.assertContains(page, 'value="hot"')

    def test_a_broken_yaml_loses_nothing_of_the_form(self) -> None:
        page = self.send(text="retries: [4\n", model="openai:gpt-5")
        self.assertEqual(self.text(), "retries: [4\n")
        self.assertContains(page, 'value="openai:gpt-5"')
        self.assertContains(self.client.get(self.page, secure=True), "The form is shown again")

    def test_what_the_form_can_not_show_is_left_to_the_yaml(self) -> None:
        text = "tools: {a: 1}\ntemperature: [1]\n"
        self.save(text)
        self.assertNotIn("temperature", self.form())
        self.send(model="openai:gpt-5")
        self.assertEqual(self.text(), text + "model: openai:gpt-5\n")

    def test_an_autosave_writes_both_and_answers_what_to_send_next(self) -> None:
        first = self.form()
        answer = self.post(**first | {"model": "a:b", "autosave": "1"})
        saved = answer.json()
        self.assertEqual((saved["text"], self.text()), ("model: a:b\n",) * 2)
        again = first | {
            "model": "a:c",
            "autosave": "1",
            "seen": saved["seen"],
            "text": saved["text"],
            "shown": json.dumps(saved["shown"]),
        }
        self.assertEqual(self.post(**again).json()["text"], "model: a:c\n")
        twice = again | {"text": "model: a:d\n", "model": "a:e"}
        self.assertEqual(self.post(**twice).status_code, 400)
        # A page that does not send it, or sends something else, changes no value.
        for shown in ("", "[1]", '{"model": 1}', "{", "[" * 100_000):
            self.post(**again | {"shown": shown, "seen": ""})
