"""Secrets are encrypted at rest, and each is bound to its row."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings
from hypothesis import given
from hypothesis import strategies as st

from salient.security import encryption
from salient.security.encryption import SecretUnreadable

OLD, NEW = "old-key-" * 6, "new-key-" * 6
HERE = ("account", "connection", "https://api.example.com:443")


@override_settings(SECRET_ENCRYPTION_KEYS=[NEW, OLD])
class SealTests(SimpleTestCase):
    def sealed_before(self, text: str = "sk-canary") -> str:
        with self.settings(SECRET_ENCRYPTION_KEYS=[OLD]):
            return encryption.seal(text, bound_to=HERE)

    @given(st.text(), st.lists(st.text(), max_size=4))
    def test_what_is_sealed_comes_back_for_the_same_owner(
        self, text: str, owner: list[str]
    ) -> None:
        sealed = encryption.seal(text, bound_to=tuple(owner))

        self.assertEqual(encryption.unseal(sealed, bound_to=tuple(owner)), text)

    def test_a_sealed_secret_shows_nothing_and_is_never_the_same(self) -> None:
        sealed = {encryption.seal("sk-canary", bound_to=HERE) for _ in range(3)}

        self.assertEqual(len(sealed), 3)
        self.assertFalse(any("canary" in each for each in sealed))

    def test_it_opens_for_nothing_else(self) -> None:
        sealed = encryption.seal("sk-canary", bound_to=HERE)
        for place, other in enumerate(("beta", "other", "https://evil.example:443")):
            moved = (*HERE[:place], other, *HERE[place + 1 :])
            with self.subTest(moved), self.assertRaises(SecretUnreadable):
                encryption.unseal(sealed, bound_to=moved)
        for joined in ((), ("accountconnection", HERE[2]), ("account", "connection")):
            with self.subTest(joined), self.assertRaises(SecretUnreadable):
                encryption.unseal(sealed, bound_to=joined)

    def test_a_changed_or_foreign_text_is_unreadable(self) -> None:
        sealed = encryption.seal("sk-canary", bound_to=HERE)
        flipped = sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]
        for text in (flipped, sealed[:-9], "", "sk-canary", "ä"):
            with self.subTest(text):
                with self.assertRaises(SecretUnreadable):
                    encryption.unseal(text, bound_to=HERE)
                with self.assertRaises(SecretUnreadable):
                    encryption.reseal(text)
                self.assertFalse(encryption.is_current(text))

    def test_every_key_opens_and_the_first_one_seals(self) -> None:
        before = self.sealed_before()
        self.assertEqual(encryption.unseal(before, bound_to=HERE), "sk-canary")
        self.assertFalse(encryption.is_current(before))

        after = encryption.reseal(before)

        self.assertTrue(encryption.is_current(after))
        with self.settings(SECRET_ENCRYPTION_KEYS=[NEW]):
            self.assertEqual(encryption.unseal(after, bound_to=HERE), "sk-canary")
            with self.assertRaises(SecretUnreadable):
                encryption.unseal(before, bound_to=HERE)

    @override_settings(SECRET_ENCRYPTION_KEYS=[])
    def test_without_a_key_nothing_is_stored(self) -> None:
        with self.assertRaises(ImproperlyConfigured):
            encryption.seal("sk-canary", bound_to=HERE)

    def test_an_error_names_no_secret(self) -> None:
        with self.assertRaises(SecretUnreadable) as caught:
            encryption.unseal(self.sealed_before(), bound_to=("x",))

        self.assertNotIn("canary", repr(caught.exception))


@override_settings(SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=[OLD], SECRET_ENCRYPTION_KEYS=[])
class ConcealTests(SimpleTestCase):
    def test_a_text_in_an_address_is_read_by_this_installation_alone(self) -> None:
        concealed = encryption.conceal("ada@example.com ü")
        self.assertEqual(encryption.reveal(concealed), "ada@example.com ü")
        self.assertRegex(concealed, r"^[A-Za-z0-9_=-]+$")
        with self.settings(SECRET_KEY=OLD, SECRET_KEY_FALLBACKS=[]):
            before = encryption.conceal("x")
            with self.assertRaises(SecretUnreadable):
                encryption.reveal(concealed)
        self.assertEqual(encryption.reveal(before), "x")

    def test_it_opens_no_stored_secret_and_no_stored_secret_opens_as_it(self) -> None:
        with self.settings(SECRET_ENCRYPTION_KEYS=[NEW]):
            sealed = encryption.seal("sk-canary", bound_to=HERE)
            for text in (sealed, "", "ä", encryption.conceal("x")[:-9]):
                with self.subTest(text), self.assertRaises(SecretUnreadable):
                    encryption.reveal(text)
            with self.assertRaises(SecretUnreadable):
                encryption.unseal(encryption.conceal("x"), bound_to=HERE)
