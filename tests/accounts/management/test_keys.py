from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import TestCase
from django.utils import timezone

from accounts.auth import key_text
from accounts.models import ApiKey
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import count_of, row_of
from tests.support.factories import make_account, make_instance, make_key


class CreateKeyTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.bot = make_instance(self.account, "bot")

    def stored(self) -> ApiKey:
        return row_of(ApiKey, account=self.account)

    def test_the_default_key_chats_for_a_year(self) -> None:
        report = run_json("create_key", "acme")

        key = self.stored()
        self.assertEqual(key.scopes, ["chat", "history:read", "agents:read"])
        assert key.expires_at is not None
        self.assertAlmostEqual((key.expires_at - timezone.now()) / timedelta(days=1), 365, places=2)
        self.assertEqual(key_text.key_id_of(report["key"]), key.key_id)

    def test_a_key_that_never_expires_must_be_requested(self) -> None:
        run("create_key", "acme", "--never-expires")
        self.assertIsNone(self.stored().expires_at)

    def test_bounds_are_as_given(self) -> None:
        printed = run("create_key", "acme", "--instance", "bot", "--network", "10.0.0.0/8")

        key = self.stored()
        self.assertEqual((key.instance_ids, key.networks), ([self.bot.pk], ["10.0.0.0/8"]))
        self.assertIn("Only these instances: bot.", printed)

    def test_a_publishable_key(self) -> None:
        printed = run(
            *("create_key", "acme", "--publishable", "--instance", "bot"),
            *("--origin", "https://shop.example"),
        )
        key = self.stored()
        self.assertEqual((key.kind, key.scopes), ("publishable", ["visitors:write"]))
        self.assertTrue(printed.strip().splitlines()[-1].startswith("sal_pk_"))

    def test_a_test_key(self) -> None:
        self.assertTrue(run_json("create_key", "acme", "--test")["key"].startswith("sal_tk_"))

    def test_what_cannot_be_a_key_is_refused_in_one_line(self) -> None:
        make_instance(slug="theirs")
        for arguments, message in (
            (["--publishable"], "needs the origins"),
            (["--instance", "theirs"], "has no agent “theirs”"),
            (["--instance", "bott"], "Did you mean “bot”?"),
            (["--network", "10.0.0.1/8"], "is no network"),
            (["--origin", "https://shop.example"], "Only a publishable key"),
        ):
            with self.subTest(arguments):
                code, text = refusal("create_key", "acme", *arguments)
                self.assertEqual(code, 1)
                self.assertIn(message, text)
        self.assertFalse(count_of(ApiKey, account=self.account))


class RotateAndRevokeTests(TestCase):
    def setUp(self) -> None:
        self.key, self.secret = make_key(make_account("acme"))

    def row(self) -> ApiKey:
        return row_of(ApiKey, pk=self.key.pk)

    def test_rotating_prints_the_new_key_and_ends_the_old_one(self) -> None:
        printed = run("rotate_key", self.key.key_id, "--overlap-hours", "0")

        new = key_text.key_id_of(printed.strip().splitlines()[-1])
        self.assertNotIn(new, {None, self.key.key_id})
        self.assertIsNotNone(self.row().refusal())
        self.assertEqual(refusal("rotate_key", self.key.key_id)[0], 1)

    def test_rotating_twice_is_refused(self) -> None:
        run("rotate_key", self.key.key_id)
        code, message = refusal("rotate_key", self.key.key_id)
        self.assertEqual(code, 1)
        self.assertIn("has been rotated before", message)

    def test_revoking_ends_it(self) -> None:
        run("revoke_key", self.key.key_id)

        self.assertEqual(self.row().refusal(), "The API key has been revoked.")
        self.assertEqual(refusal("revoke_key", self.key.key_id)[0], 1)

    def test_a_dry_run_changes_nothing(self) -> None:
        for command in ("rotate_key", "revoke_key"):
            report: dict[str, Any] = run_json(command, self.key.key_id, "--dry-run")
            self.assertNotIn("key", report)
        self.assertIsNone(self.row().refusal())
        self.assertIsNone(self.row().rotated_at)

    def test_a_whole_key_is_refused_on_a_command_line(self) -> None:
        for command in ("rotate_key", "revoke_key"):
            code, message = refusal(command, self.secret)
            self.assertEqual(code, 2)
            self.assertNotIn(self.secret, message)

    def test_an_unknown_id_is_refused(self) -> None:
        self.assertEqual(refusal("rotate_key", "0" * 12)[0], 1)
        self.assertEqual(refusal("rotate_key", self.key.key_id, "--overlap-hours", "999")[0], 2)
