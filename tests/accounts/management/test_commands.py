from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

from django.core.management import CommandError, call_command
from django.test import TestCase
from django.utils import timezone

from accounts.auth import key_text
from accounts.models import Account, AccountStatus, ApiKey
from accounts.models.audit import AuditEntry
from accounts.tenancy.context import platform_context
from salient.formatting import moment
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import rows_of
from tests.support.factories import make_account


class CreateAccountTests(TestCase):
    def test_makes_the_account(self) -> None:
        report = run_json("create_account", "acme", "--name", "Acme Garden")

        account = Account.objects.get(slug="acme")
        self.assertEqual(account.name, "Acme Garden")
        self.assertEqual((report["id"], report["created"]), (str(account.pk), True))

    def test_says_what_to_do_next(self) -> None:
        self.assertIn("manage.py create_instance acme", run("create_account", "acme"))

    def test_a_dry_run_checks_and_makes_nothing(self) -> None:
        self.assertFalse(run_json("create_account", "acme", "--dry-run")["created"])
        self.assertFalse(Account.objects.filter(slug="acme").exists())

    def test_a_bad_a_reserved_and_a_taken_slug_are_refused_dry_or_not(self) -> None:
        make_account("acme")
        for slug, words in (
            ("../x", "slug: Use 1 to 63 lower-case letters"),
            ("admin", "slug: “admin” is a reserved name."),
            ("acme", "There is already an account “acme”."),
        ):
            for options in ([], ["--dry-run"]):
                with self.subTest(slug=slug, options=options):
                    code, message = refusal("create_account", slug, *options)
                    self.assertEqual(code, 1)
                    self.assertIn(words, message)

    def test_a_refusal_is_one_json_object_as_well(self) -> None:
        out = StringIO()
        with self.assertRaises(CommandError) as caught:
            call_command("create_account", "admin", "--json", stdout=out)

        self.assertEqual(json.loads(out.getvalue()), {"error": str(caught.exception)})


class CreateKeyTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")

    def stored(self) -> list[ApiKey]:
        return rows_of(ApiKey, account=self.account)

    def test_prints_the_key_once_and_stores_only_its_hash(self) -> None:
        printed = run("create_key", "acme", "--name", "shop")

        [key] = self.stored()
        text = printed.strip().splitlines()[-1]
        self.assertEqual(key_text.key_id_of(text), key.key_id)
        self.assertEqual(key.secret_hash, key_text.secret_hash(text))
        self.assertEqual(key.name, "shop")
        assert key.expires_at is not None
        self.assertIn(f"Expires: {moment(key.expires_at)}.", printed)

    def test_scopes_and_expiry_are_as_given(self) -> None:
        run_json(
            "create_key", "acme", "--scope", "chat", "--scope", "agents:read", "--expires-days", "7"
        )

        [key] = self.stored()
        self.assertEqual(key.scopes, ["chat", "agents:read"])
        assert key.expires_at is not None
        week = key.expires_at - timezone.now()
        self.assertAlmostEqual(week / timedelta(days=1), 7, places=2)

    def test_a_dry_run_makes_no_key_and_shows_none(self) -> None:
        report = run_json("create_key", "acme", "--dry-run")

        self.assertNotIn("key", report)
        self.assertEqual(self.stored(), [])

    def test_a_misspelt_scope_is_misuse_and_gets_a_suggestion(self) -> None:
        code, message = refusal("create_key", "acme", "--scope", "histroy:read")

        self.assertEqual(code, 2)
        self.assertIn("Did you mean “history:read”?", message)

    def test_a_misspelt_account_is_refused_with_a_suggestion(self) -> None:
        code, message = refusal("create_key", "acmee")

        self.assertEqual((code, message), (1, "There is no account “acmee”. Did you mean “acme”?"))

    def test_an_expiry_that_is_no_number_of_days_ahead_is_misuse(self) -> None:
        for days in ("0", "-1", "99999999"):
            with self.subTest(days=days):
                self.assertEqual(refusal("create_key", "acme", "--expires-days", days)[0], 2)
        self.assertEqual(self.stored(), [])


class SetAccountStatusTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")

    def status(self) -> str:
        self.account.refresh_from_db()
        return str(self.account.status)

    def test_suspends_reactivates_and_archives_and_the_audit_log_names_the_command(self) -> None:
        for change, status, name in (
            ("suspend", AccountStatus.SUSPENDED, "suspended"),
            ("reactivate", AccountStatus.ACTIVE, "active"),
            ("archive", AccountStatus.DELETED, "archived"),
        ):
            report = run_json("set_account_status", "acme", change, "--reason", "unpaid")
            self.assertEqual((report["status"], report["changed"]), (name, True))
            self.assertEqual(self.status(), status)
            reason = "unpaid" if change == "suspend" else ""
            self.assertEqual(self.account.suspended_reason, reason)
        with platform_context():
            entries = AuditEntry.objects.filter(object_type="accounts", action="changed")
            self.assertEqual(
                set(entries.values_list("actor_kind", "actor")), {("command", "set_account_status")}
            )

    def test_a_dry_run_and_what_is_so_already_change_nothing(self) -> None:
        self.assertFalse(run_json("set_account_status", "acme", "suspend", "--dry-run")["changed"])
        self.assertFalse(run_json("set_account_status", "acme", "reactivate")["changed"])
        self.assertEqual(self.status(), AccountStatus.ACTIVE)
        self.assertIn("would be made", run("set_account_status", "acme", "suspend", "--dry-run"))
        self.assertIn("already", run("set_account_status", "acme", "reactivate"))

    def test_an_unknown_account_is_named(self) -> None:
        code, message = refusal("set_account_status", "acmee", "suspend")
        self.assertEqual(code, 1)
        self.assertIn("Did you mean “acme”?", message)
