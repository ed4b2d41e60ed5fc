from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.test import TestCase, override_settings

from accounts.models import Account, ApiKey, User
from accounts.tenancy.context import platform_context
from accounts.tenancy.renames import release_slug, rename_account
from agents.config import read
from agents.demo import SCRIPTED
from agents.instances.renames import release_slug as release_agent_slug
from agents.instances.renames import rename_agent
from agents.models import AgentInstance
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import count_of, row_of

LOCAL = "local:smollm2-135m"
QWEN = "local:qwen2.5-1.5b"


def only(*usable: str) -> Callable[[str], str | None]:
    """A machine on which just these models can answer."""
    return lambda model: None if model in usable else f"{model} is not installed."


class DemoTests(TestCase):
    def setUp(self) -> None:
        root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.base, self.choice_file = root / "agents", root / "var/demo.json"
        self.folder = self.base / "default/simple-chat"
        self.folder.mkdir(parents=True)
        (self.base / "defaults.yaml").write_text(f"model: {LOCAL}\n")
        (self.folder / "config.yaml").write_text("temperature: 0.2\n")
        (self.folder / "system_prompt.md").write_text("Be brief.\n")
        self.enterContext(override_settings(DEMO=True, BASE_DIR=root, AGENT_CONFIG_DIR=self.base))

    def demo(self, *arguments: str, usable: tuple[str, ...] = (LOCAL,), **environ: str) -> Any:
        clean = {"LOCAL_MODEL": "", "LOCAL_MODEL_PATH": ""} | environ
        with (
            mock.patch.dict(os.environ, clean),
            mock.patch("agents.demo.model_problem", only(*usable)),
        ):
            return run_json("demo", *arguments)

    def model(self) -> str:
        return read("default", "simple-chat").config.model

    @override_settings(BIND="[::1]:8007")
    def test_names_the_address_that_the_server_has(self) -> None:
        root = "http://[::1]:8007"

        self.assertEqual(self.demo()["admin_url"], f"{root}/admin/")

    def test_says_that_it_cannot_know_where_the_server_listens_unless_it_is_told(self) -> None:
        self.assertEqual(self.demo()["assumed_server"], "http://127.0.0.1:8000")
        self.assertIn("http://127.0.0.1:8000, if it runs there; else say --port", run("demo"))
        self.assertIsNone(self.demo("--port", "8001")["assumed_server"])
        self.assertNotIn("if it runs there", run("demo", "--port", "8001"))

    def test_tells_everything_that_a_newcomer_needs(self) -> None:
        report = self.demo("--host", "::", "--port", "8001")

        root = "http://[::1]:8001"
        self.assertEqual(report["chat_url"], f"{root}/accounts/default/agents/simple-chat/")
        self.assertEqual(report["admin_url"], f"{root}/admin/")
        self.assertEqual(report["model"], LOCAL)
        self.assertIn("on this machine", report["good_for"])
        for name in ("chat", "stream", "first_turn", "second_turn", "history"):
            self.assertIn(report["api_key"], report["curl"][name])

    def test_the_login_opens_the_admin(self) -> None:
        login = self.demo()["login"]

        user = User.objects.get(email=login["email"])
        self.assertTrue(user.is_staff and user.is_superuser)
        self.assertTrue(user.check_password(login["password"]))

    def test_the_password_is_printed_once_and_again_on_request_only(self) -> None:
        first = self.demo()["login"]["password"]
        self.assertIsNone(self.demo()["login"]["password"])
        self.assertTrue(User.objects.get(email="admin@example.com").check_password(first))

        second = self.demo("--reset-password")["login"]["password"]
        self.assertTrue(User.objects.get(email="admin@example.com").check_password(second))
        self.assertNotEqual(first, second)

    def test_a_new_password_is_all_that_is_printed_and_done_on_request(self) -> None:
        printed = run("demo", "--reset-password")

        self.assertRegex(printed, r"^admin@example\.com, password: \S{12,} \(shown this once\)\n$")
        self.assertFalse(self.choice_file.exists())

    def test_a_dry_run_gives_no_new_password(self) -> None:
        first = self.demo()["login"]["password"]

        report = self.demo("--reset-password", "--dry-run")

        self.assertEqual((report["login"]["password"], report["written"]), (None, False))
        self.assertTrue(User.objects.get(email="admin@example.com").check_password(first))

    def test_the_key_is_the_same_every_time_and_its_file_is_private(self) -> None:
        first, second = self.demo()["api_key"], self.demo()["api_key"]

        self.assertEqual(first, second)
        self.assertEqual(json.loads(self.choice_file.read_text()), {"api_key": first})
        self.assertEqual(stat.S_IMODE(self.choice_file.stat().st_mode), 0o600)

    def test_a_key_that_no_longer_works_is_replaced(self) -> None:
        def revoke() -> None:
            with platform_context():
                ApiKey.objects.filter(name="demo").update(revoked_at="2020-01-01T00:00Z")

        for spoil in (revoke, self.choice_file.unlink, lambda: self.choice_file.write_text("{")):
            first = self.demo()["api_key"]
            spoil()
            self.assertNotEqual(self.demo()["api_key"], first)

    def test_nothing_that_somebody_edited_is_overwritten(self) -> None:
        (self.folder / "system_prompt.md").write_text("Mine.\n")
        before = {p: p.read_bytes() for p in self.base.rglob("*") if p.is_file()}
        self.demo()
        Account.objects.filter(slug="default").update(name="Mine")
        self.demo()

        self.assertEqual({p: p.read_bytes() for p in self.base.rglob("*") if p.is_file()}, before)
        self.assertEqual(Account.objects.get(slug="default").name, "Mine")

    def test_makes_the_account_the_agent_and_its_files_when_they_are_gone(self) -> None:
        with platform_context():
            AgentInstance.objects.all().delete()
            Account.objects.all().delete()
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()

        self.demo()

        self.assertEqual(row_of(AgentInstance).account.slug, "default")
        self.assertEqual(self.model(), LOCAL)

    def test_goes_on_with_what_was_renamed(self) -> None:
        before = self.demo()
        with platform_context():
            [instance] = AgentInstance.objects.select_related("account")
            rename_account(instance.account_id, "zenith")
            rename_agent(instance, "helper")

        again = self.demo()

        self.assertIn("/accounts/zenith/agents/helper/", again["chat_url"])
        self.assertIn("/accounts/zenith/agents/helper/chat", again["curl"]["chat"])
        self.assertEqual((again["api_key"], again["model"]), (before["api_key"], LOCAL))
        self.assertEqual([each.name for each in self.base.glob("*/*")], ["simple-chat"])
        with platform_context():
            # As if the old URLs led nowhere any more.
            release_slug(instance.account_id, "default")
            release_agent_slug(instance, "simple-chat")
        self.assertEqual(self.demo("--dry-run")["chat_url"], again["chat_url"])
        self.assertEqual(self.demo()["chat_url"], again["chat_url"])
        self.assertEqual(count_of(Account), 1)

    def test_without_a_local_model_the_agent_is_scripted_and_the_demo_says_so(self) -> None:
        report = self.demo(usable=(SCRIPTED,))

        self.assertEqual((report["model"], self.model()), (SCRIPTED, SCRIPTED))
        self.assertEqual(report["notes"][0], f"{LOCAL} is not installed.")
        self.assertIn("scripted", report["notes"][-1])

    def test_once_the_local_model_is_installed_the_agent_has_it(self) -> None:
        self.demo(usable=(SCRIPTED,))
        report = self.demo()

        self.assertEqual((report["model"], self.model(), report["notes"]), (LOCAL, LOCAL, []))

    def test_the_wanted_local_model_is_used_and_left_again(self) -> None:
        self.assertEqual(self.demo(usable=(LOCAL, QWEN), LOCAL_MODEL="qwen2.5-1.5b")["model"], QWEN)
        self.assertEqual(self.model(), QWEN)

        self.demo(usable=(LOCAL, QWEN))
        self.assertEqual(self.model(), LOCAL)

    def test_a_model_file_of_ones_own_is_used(self) -> None:
        self.demo(usable=("local:custom",), LOCAL_MODEL_PATH="/models/some.gguf")

        self.assertEqual(self.model(), "local:custom")

    def test_a_wanted_model_that_is_not_there_gives_way_and_is_named(self) -> None:
        report = self.demo(LOCAL_MODEL="qwen2.5-1.5b")

        self.assertEqual((report["model"], self.model()), (LOCAL, LOCAL))
        self.assertEqual(report["notes"], [f"{QWEN} is not installed."])

    def test_a_model_that_somebody_chose_stays_whatever_is_wanted(self) -> None:
        (self.folder / "config.yaml").write_text("model: openai:gpt-5-mini\n")
        report = self.demo(usable=(QWEN,), LOCAL_MODEL="qwen2.5-1.5b")

        self.assertEqual((report["model"], self.model()), ("openai:gpt-5-mini",) * 2)
        self.assertIn(f"{QWEN} is not used", report["notes"][0])
        self.assertEqual(report["notes"][1], "openai:gpt-5-mini is not installed.")

    def test_an_account_file_of_somebody_elses_stays(self) -> None:
        file = self.base / "default/account.yaml"
        file.write_text("max_tokens: 7\n")
        report = self.demo(usable=(SCRIPTED,))

        self.assertEqual((file.read_text(), report["model"]), ("max_tokens: 7\n", LOCAL))
        self.assertIn(str(file), report["notes"][-1])

    def test_broken_files_are_named_and_refused(self) -> None:
        (self.folder / "config.yaml").write_text("temprature: 1\n")

        code, message = refusal("demo")

        self.assertEqual(code, 1)
        self.assertIn("default/simple-chat/config.yaml:1", message)

    def test_a_dry_run_changes_nothing(self) -> None:
        report = self.demo("--dry-run", usable=(SCRIPTED,))

        self.assertEqual((report["model"], report["api_key"]), (SCRIPTED, None))
        self.assertFalse(User.objects.exists() or self.choice_file.exists())
        self.assertFalse((self.base / "default/account.yaml").exists())

    def test_prints_what_json_says(self) -> None:
        report, printed = self.demo(), run("demo")

        for text in (report["chat_url"], report["api_key"], *report["curl"].values()):
            self.assertIn(text, printed)

    def test_is_refused_where_the_demo_is_off(self) -> None:
        with self.settings(DEMO=False):
            self.assertEqual(refusal("demo")[0], 1)
        self.assertFalse(User.objects.exists())
        self.assertTrue(settings.DEMO)
