from __future__ import annotations

from datetime import timedelta

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase, TestCase, override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.auth import key_text
from accounts.keys.services import AlreadyRotated, issue_api_key, revoke_api_key, rotate_api_key
from accounts.models import ApiKey
from accounts.models.slugs import is_slug, validate_slug
from accounts.tenancy.context import platform_context
from salient.api.problems import NotFound
from salient.ttl import clear_caches
from tests.support.api_client import ApiClient
from tests.support.database.stored import row_of
from tests.support.factories import make_account, make_instance, make_key
from tests.support.fixtures import AgentFixtures


class KeyTextTests(SimpleTestCase):
    def test_a_key_is_prefix_id_secret_and_checksum(self) -> None:
        made = key_text.new_key()

        self.assertRegex(made.text, r"\Asal_sk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}\Z")
        self.assertEqual(key_text.key_id_of(made.text), made.key_id)

    def test_a_typing_error_is_seen_without_the_database(self) -> None:
        text = key_text.new_key().text
        for position in (8, 25, len(text) - 1):
            wrong = "A" if text[position] != "A" else "B"
            typed = text[:position] + wrong + text[position + 1 :]
            self.assertIsNone(key_text.key_id_of(typed))
        for nonsense in ("", "sal_sk_", text + "x", text + "\n", " " + text):
            self.assertIsNone(key_text.key_id_of(nonsense))

    def test_the_hash_needs_the_servers_pepper(self) -> None:
        text = key_text.new_key().text
        here = key_text.secret_hash(text)
        with override_settings(API_KEY_PEPPER="another"):
            self.assertNotEqual(key_text.secret_hash(text), here)

    def test_each_prefix_shows_what_the_key_is(self) -> None:
        for prefix in (key_text.SECRET, key_text.PUBLISHABLE, key_text.TEST):
            made = key_text.new_key(prefix)
            self.assertTrue(made.text.startswith(f"{prefix}_"))
            self.assertEqual(key_text.key_id_of(made.text), made.key_id)

    @given(st.text() | st.from_regex(r"sal_[a-z]{2}_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}"))
    def test_no_text_that_was_not_made_here_is_well_formed(self, text: str) -> None:
        # One in 56 billion has the right checksum.
        self.assertIsNone(key_text.key_id_of(text))

    @given(st.data())
    def test_one_changed_character_is_seen(self, data: st.DataObject) -> None:
        text = key_text.new_key(data.draw(st.sampled_from([key_text.SECRET, key_text.TEST]))).text
        position = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters().filter(lambda c: c != text[position]))
        self.assertIsNone(key_text.key_id_of(text[:position] + other + text[position + 1 :]))

    def test_a_keys_repr_keeps_the_secret(self) -> None:
        made = key_text.new_key()
        self.assertNotIn(made.text[20:], repr(made))


class IssueTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account()
        self.bot = make_instance(self.account)

    def test_only_the_hash_is_stored(self) -> None:
        key, text = issue_api_key(self.account, name="ci")
        with platform_context():
            row = ApiKey.objects.filter(pk=key.pk).values().get()

        self.assertNotIn(text, str(row))
        self.assertNotIn(text[20:], str(row))
        self.assertEqual(row["secret_hash"], key_text.secret_hash(text))

    def test_refuses_what_is_no_scope(self) -> None:
        for scopes, message in ((["chat", "fly"], "Unknown scope “fly”"), ([], "at least one")):
            with self.assertRaisesMessage(ValidationError, message):
                issue_api_key(self.account, name="ci", scopes=scopes)

    def test_expires_after_a_year_by_default(self) -> None:
        key_by_default, _ = issue_api_key(self.account, name="ci")
        forever, _ = issue_api_key(self.account, name="ci", expires_at=None)

        assert key_by_default.expires_at is not None
        days = (key_by_default.expires_at - timezone.now()) / timedelta(days=1)
        self.assertAlmostEqual(days, settings.API_KEY_DAYS, places=2)
        self.assertIsNone(forever.expires_at)

    def test_networks_are_checked_and_written_in_one_form(self) -> None:
        key, _ = issue_api_key(
            self.account, name="ci", networks=["203.0.113.7", "2001:DB8:0::/32", "203.0.113.7"]
        )
        self.assertEqual(key.networks, ["203.0.113.7/32", "2001:db8::/32"])
        for text in ("10.0.0.1/8", "here", "*"):
            with self.assertRaisesMessage(ValidationError, "is no network"):
                issue_api_key(self.account, name="ci", networks=[text])

    def test_a_publishable_key_needs_origins_and_one_instance_and_has_one_scope(self) -> None:
        good = {"kind": "publishable", "origins": ["https://a.example"]}
        for more, message in (
            ({"instance_ids": []}, "exactly one agent"),
            ({"instance_ids": [self.bot.pk, make_instance(self.account).pk]}, "exactly one"),
            ({"origins": []}, "needs the origins"),
            ({"origins": ["null"]}, "is no origin"),
            ({"origins": ["https://*.a.example"]}, "is no origin"),
            ({"scopes": ["chat", "visitors:write"]}, "visitors:write” alone"),
        ):
            with self.subTest(more), self.assertRaisesMessage(ValidationError, message):
                make_key(self.account, **good | {"instance_ids": [self.bot.pk]} | more)
        key, text = make_key(self.account, **good, instance_ids=[self.bot.pk])
        self.assertEqual(key.scopes, ["visitors:write"])
        self.assertTrue(text.startswith("sal_pk_"))
        self.assertIn("sal_pk_", str(key))

    def test_a_secret_key_has_no_origins(self) -> None:
        with self.assertRaisesMessage(ValidationError, "Only a publishable key"):
            issue_api_key(self.account, name="ci", origins=["https://a.example"])

    def test_instances_of_another_account_are_refused(self) -> None:
        theirs = make_instance()
        with self.assertRaisesMessage(ValidationError, "of its own account"):
            issue_api_key(self.account, name="ci", instance_ids=[self.bot.pk, theirs.pk])


class RotationTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account()
        self.bot = make_instance(self.account)

    def row(self, key: ApiKey) -> ApiKey:
        return row_of(ApiKey, pk=key.pk)

    def test_the_successor_has_the_same_rights_and_as_long_a_life(self) -> None:
        key, _ = make_key(
            self.account,
            scopes=["chat"],
            mode="test",
            instance_ids=[self.bot.pk],
            networks=["10.0.0.0/8"],
            expires_at=timezone.now() + timedelta(days=7),
        )
        rotated = rotate_api_key(self.account.pk, key.pk)

        self.assertTrue(rotated.text.startswith("sal_tk_"))
        for name in ("account_id", "name", "kind", "mode", "scopes", "instance_ids", "networks"):
            self.assertEqual(getattr(rotated.key, name), getattr(key, name), name)
        assert rotated.key.expires_at is not None
        days = (rotated.key.expires_at - timezone.now()) / timedelta(days=1)
        self.assertAlmostEqual(days, 7, places=2)
        self.assertNotEqual(rotated.key.key_id, key.key_id)

    def test_the_old_one_works_for_the_overlap_and_no_longer(self) -> None:
        key, _ = make_key(self.account)
        rotate_api_key(self.account.pk, key.pk, timedelta(hours=1))
        now = timezone.now()

        self.assertIsNone(self.row(key).refusal(now + timedelta(minutes=59)))
        self.assertIsNotNone(self.row(key).refusal(now + timedelta(minutes=61)))

    def test_a_life_that_ends_sooner_is_not_made_longer(self) -> None:
        soon = timezone.now() + timedelta(minutes=5)
        key, _ = make_key(self.account, expires_at=soon)
        rotated = rotate_api_key(self.account.pk, key.pk)

        self.assertEqual(self.row(key).expires_at, soon)
        self.assertEqual(rotated.old_expires_at, soon)

    def test_a_key_for_ever_has_a_successor_for_ever(self) -> None:
        key, _ = make_key(self.account, expires_at=None)
        rotated = rotate_api_key(self.account.pk, key.pk)

        self.assertIsNone(rotated.key.expires_at)
        self.assertIsNotNone(self.row(key).expires_at)

    def test_there_is_one_successor(self) -> None:
        key, _ = make_key(self.account)
        rotate_api_key(self.account.pk, key.pk)
        with self.assertRaises(AlreadyRotated):
            rotate_api_key(self.account.pk, key.pk)

    def test_an_ended_or_foreign_key_has_none(self) -> None:
        revoked, _ = make_key(self.account)
        self.assertTrue(revoke_api_key(revoked))
        self.assertFalse(revoke_api_key(revoked))
        expired, _ = make_key(self.account, expires_at=timezone.now() - timedelta(seconds=1))
        theirs, _ = make_key(make_account())
        for key in (revoked, expired, theirs):
            with self.assertRaises(NotFound):
                rotate_api_key(self.account.pk, key.pk)


class RevocationTests(AgentFixtures, TestCase):
    def test_the_process_that_revokes_a_key_refuses_it_at_once(self) -> None:
        key, text = make_key(self.account)
        ask = async_to_sync(ApiClient(text).get)
        self.assertEqual(ask("/accounts/acme/me").status, 200)
        with self.captureOnCommitCallbacks(execute=True):
            revoke_api_key(key)
        self.assertEqual(ask("/accounts/acme/me").status, 401)


class SelfRotationTests(AgentFixtures, TestCase):
    """`POST /accounts/{account}/keys/rotate`."""

    path_of_rotation = "/accounts/acme/keys/rotate"

    async def test_a_key_rotates_itself_and_gets_the_new_text_once(self) -> None:
        answer = await self.api.post(self.path_of_rotation, {})
        new = ApiClient(answer.json()["key"])

        self.assertEqual(answer.status, 201)
        for client in (self.api, new):
            self.assertEqual((await client.get("/accounts/acme/me")).status, 200)
        again = await self.api.post(self.path_of_rotation, {})
        self.assertEqual((again.status, again.json()["code"]), (409, "key_already_rotated"))
        self.assertEqual((await new.post(self.path_of_rotation, {})).status, 201)

    async def test_without_an_overlap_the_old_key_is_dead_at_once(self) -> None:
        answer = await self.api.post(self.path_of_rotation, {"overlap_seconds": 0})
        clear_caches()

        self.assertEqual((await self.api.get("/accounts/acme/me")).status, 401)
        new = ApiClient(answer.json()["key"])
        self.assertEqual((await new.get("/accounts/acme/me")).status, 200)

    async def test_the_overlap_is_at_most_a_week(self) -> None:
        for body in (
            {"overlap_seconds": 7 * 86_400 + 1},
            {"overlap_seconds": -1},
            {"overlap_seconds": "soon"},
            {"key": "another"},
        ):
            with self.subTest(body):
                answer = await self.api.post(self.path_of_rotation, body)
                self.assertEqual(answer.status, 400)


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
