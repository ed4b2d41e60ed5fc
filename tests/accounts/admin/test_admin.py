from __future__ import annotations

import re
from typing import Any

from django.test import TestCase
from django.urls import reverse

from accounts.auth import key_text
from accounts.models import Account, ApiKey, User
from tests.support.api_client import ApiClient
from tests.support.database.stored import rows_of
from tests.support.factories import make_account, make_key, make_user

PASSWORD = "correct horse battery"
KEYS = reverse("admin:accounts_apikey_changelist")


class StaffCase(TestCase):
    def setUp(self) -> None:
        self.client.force_login(make_user("boss@example.com", is_staff=True, is_superuser=True))

    def get(self, path: str) -> Any:
        return self.client.get(path, secure=True)

    def post(self, path: str, **form: Any) -> Any:
        return self.client.post(path, form, secure=True)


class LoginTests(TestCase):
    def test_the_login_is_the_e_mail_address_in_any_case(self) -> None:
        make_user("boss@example.com", password=PASSWORD, is_staff=True)
        form = {"username": "Boss@Example.com", "password": PASSWORD, "next": "/admin/"}
        answer = self.client.post(reverse("admin:login"), form, secure=True)

        self.assertRedirects(answer, "/admin/", fetch_redirect_response=False)

    def test_the_form_asks_for_it(self) -> None:
        page = self.client.get(reverse("admin:login"), secure=True)

        self.assertContains(page, "E-mail address")


class UserPagesTests(StaffCase):
    def test_a_person_is_added_by_address_and_has_no_password_yet(self) -> None:
        form = {"email": "new@example.com", "password1": PASSWORD, "password2": PASSWORD}
        answer = self.post(reverse("admin:accounts_user_add"), **form)

        user = User.objects.get(email="new@example.com")
        self.assertEqual(answer.status_code, 302)
        self.assertFalse(user.has_usable_password())
        self.assertFalse(user.is_staff)

    def test_an_address_that_is_taken_is_reported_at_the_form(self) -> None:
        answer = self.post(reverse("admin:accounts_user_add"), email="BOSS@example.com")

        self.assertContains(answer, "There is a user with this e-mail address.")


class AccountPagesTests(StaffCase):
    def test_an_account_is_added_and_its_slug_stays(self) -> None:
        form = {"name": "Acme", "status": "active", "subscription_tier": ""}
        self.post(reverse("admin:accounts_account_add"), slug="acme", **form)
        account = Account.objects.get(slug="acme")
        change = reverse("admin:accounts_account_change", args=[account.pk])

        self.post(change, slug="other", **(form | {"name": "Acme & Sons"}))

        account.refresh_from_db()
        self.assertEqual((account.slug, account.name), ("acme", "Acme & Sons"))

    def test_a_bad_slug_is_reported_at_the_form(self) -> None:
        answer = self.post(
            reverse("admin:accounts_account_add"), slug="../x", name="X", status="active"
        )
        self.assertContains(answer, "lower-case letters")


class KeyPagesTests(StaffCase):
    def setUp(self) -> None:
        super().setUp()
        self.account = make_account("acme")

    def add(self, **form: Any) -> Any:
        values = {"account": self.account.pk, "name": "shop", "scopes": ["agents:read"]} | form
        values = {"way": "show"} | values
        return self.post(reverse("admin:accounts_apikey_add"), **values)

    def stored(self) -> list[ApiKey]:
        return rows_of(ApiKey, account=self.account)

    async def test_a_new_key_works(self) -> None:
        values = {"account": self.account.pk, "name": "shop", "scopes": ["agents:read"]}
        values["way"] = "show"
        await self.async_client.aforce_login(await User.objects.aget(email="boss@example.com"))
        page = await self.async_client.post(
            reverse("admin:accounts_apikey_add"), values, secure=True
        )
        found = re.search(r'value="(sal_sk_\w+)"', page.content.decode())
        assert found is not None

        answer = await ApiClient(found[1]).get("/accounts/acme/agents")

        self.assertEqual(answer.status, 200)

    def test_its_text_is_shown_once_and_kept_nowhere(self) -> None:
        answer = self.add()
        found = re.search(r'value="(sal_sk_\w+)"', answer.content.decode())
        assert found is not None
        [key] = self.stored()
        change = self.get(reverse("admin:accounts_apikey_change", args=[key.pk]))

        self.assertEqual(key.secret_hash, key_text.secret_hash(found[1]))
        self.assertIn("no-store", answer["Cache-Control"])
        self.assertNotIn(found[1], str(answer.cookies))
        for page in (change, self.get(KEYS), self.get(reverse("admin:index"))):
            self.assertNotIn(found[1], page.content.decode())

    def test_a_key_without_a_scope_or_with_a_made_up_one_is_refused(self) -> None:
        for scopes in ([], ["everything"]):
            with self.subTest(scopes=scopes):
                self.assertEqual(self.add(scopes=scopes).status_code, 200)
        self.assertEqual(self.stored(), [])

    def test_scopes_and_account_can_not_be_changed_afterwards(self) -> None:
        key, _ = make_key(self.account, scopes=["chat"])
        form = {"account": make_account().pk, "scopes": ["agents:read"], "name": "renamed"}
        self.post(reverse("admin:accounts_apikey_change", args=[key.pk]), **form)

        [stored] = self.stored()
        self.assertEqual((stored.scopes, stored.name), (["chat"], "renamed"))

    def test_revoking_ends_the_key_and_counts_it_once(self) -> None:
        key, _ = make_key(self.account)
        form = {"action": "revoke", "_selected_action": [str(key.pk)], "confirmed": "yes"}
        self.post(KEYS, **form)
        first = self.stored()[0].revoked_at
        self.post(KEYS, **form)

        self.assertIsNotNone(first)
        self.assertEqual(self.stored()[0].revoked_at, first)

    def test_it_can_be_revoked_on_its_own_page(self) -> None:
        key, _ = make_key(self.account)
        page = self.get(reverse("admin:accounts_apikey_change", args=[key.pk]))

        self.assertContains(page, "Revoke key")
