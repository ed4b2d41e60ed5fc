from __future__ import annotations

from django.core.exceptions import ValidationError
from django.test import SimpleTestCase, TestCase, override_settings

from accounts import keys
from accounts.models import ApiKey
from accounts.services import issue_api_key
from accounts.slugs import is_slug, validate_slug
from accounts.tenancy import platform
from tests.factories import make_account


class KeyTextTests(SimpleTestCase):
    def test_a_key_is_prefix_id_secret_and_checksum(self) -> None:
        made = keys.new_key()

        self.assertRegex(made.text, r"\Asal_sk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}\Z")
        self.assertEqual(keys.key_id_of(made.text), made.key_id)

    def test_a_typing_error_is_seen_without_the_database(self) -> None:
        text = keys.new_key().text
        for position in (8, 25, len(text) - 1):
            wrong = "A" if text[position] != "A" else "B"
            typed = text[:position] + wrong + text[position + 1 :]
            self.assertIsNone(keys.key_id_of(typed))
        for nonsense in ("", "sal_sk_", text + "x", text + "\n", " " + text):
            self.assertIsNone(keys.key_id_of(nonsense))

    def test_the_hash_needs_the_servers_pepper(self) -> None:
        text = keys.new_key().text
        here = keys.secret_hash(text)
        with override_settings(API_KEY_PEPPER="another"):
            self.assertNotEqual(keys.secret_hash(text), here)


class IssueTests(TestCase):
    def test_only_the_hash_is_stored(self) -> None:
        key, text = issue_api_key(make_account(), name="ci")
        with platform():
            row = ApiKey.objects.filter(pk=key.pk).values().get()

        self.assertNotIn(text, str(row))
        self.assertNotIn(text[20:], str(row))
        self.assertEqual(row["secret_hash"], keys.secret_hash(text))

    def test_refuses_what_is_no_scope(self) -> None:
        account = make_account()
        for scopes, message in ((["chat", "fly"], "Unknown scope “fly”"), ([], "at least one")):
            with self.assertRaisesMessage(ValidationError, message):
                issue_api_key(account, name="ci", scopes=scopes)


class SlugTests(SimpleTestCase):
    def test_what_is_a_slug(self) -> None:
        for good in ("a", "acme", "a-b", "a_b", "9", "a" * 63, "default_account"):
            self.assertTrue(is_slug(good), good)
            validate_slug(good)

    def test_what_is_none(self) -> None:
        for bad in ("", "A", "-a", "a-", "a" * 64, "a\n", "..", "a/b", "a.b", "é", "admin", "a b"):
            self.assertFalse(is_slug(bad), bad)
            with self.assertRaises(ValidationError):
                validate_slug(bad)
