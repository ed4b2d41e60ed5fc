"""The page that erases a person: previewed, erased, its receipt; no address names the person."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from django.test import TestCase

from accounts.models import Account
from sessions_app.admin import erasures
from sessions_app.models import Erasure, Session
from tests.support.database.stored import rows_of
from tests.support.factories import make_account, make_instance, make_message, make_session
from tests.support.people import make_auditor, make_root, make_staff

PAGE, EMAIL = "/admin/erase-person/", "dora@mail.example"


class ErasePageTests(TestCase):
    account: Account
    session: Session

    @classmethod
    def setUpTestData(cls) -> None:
        cls.account = make_account("acme", name="Acme")
        cls.session = make_session(make_instance(cls.account), email=EMAIL)
        make_message(cls.session, content="I live in Elm Street")

    def setUp(self) -> None:
        self.root = make_root()
        self.client.force_login(self.root)

    def send(self, **form: Any) -> Any:
        values = {"account": self.account.pk, "kind": "email", "value": EMAIL, "reason": "T 7"}
        return self.client.post(PAGE, values | form, secure=True)

    def receipts(self) -> list[Erasure]:
        return rows_of(Erasure, "created_at")

    def test_a_person_is_previewed_erased_and_has_a_receipt(self) -> None:
        account = self.client.get(f"/admin/accounts/account/{self.account.pk}/change/", secure=True)
        self.assertContains(account, f"{PAGE}?account={self.account.pk}")
        form = self.client.get(f"{PAGE}?account={self.account.pk}&value={EMAIL}", secure=True)
        self.assertContains(form, f'value="{self.account.pk}" selected')
        self.assertNotContains(form, EMAIL)

        preview = self.send()
        self.assertEqual(preview.context["counts"], [("messages", 1), ("sessions", 1)])
        self.assertContains(preview, "Erase this person")
        self.assertNotContains(preview, "Elm Street")
        self.assertEqual(self.receipts(), [])
        # Another person than the one that was shown is shown first.
        other = self.send(previewed=preview.context["previewed"], value="eva@mail.example")
        self.assertContains(other, "Nothing of this person was found")
        self.assertEqual(self.receipts(), [])

        erased = self.send(previewed=preview.context["previewed"])
        [receipt] = self.receipts()
        address = f"/admin/sessions_app/erasure/{receipt.pk}/change/"
        self.assertRedirects(erased, address, fetch_redirect_response=False)
        shown = self.client.get(address, secure=True)
        for text in ("complete", "Messages", self.root.email, "T 7", receipt.person_hash):
            self.assertContains(shown, text)
        listed = self.client.get("/admin/sessions_app/erasure/", secure=True)
        self.assertContains(listed, "Erase a person")
        history = self.client.get(f"/admin/sessions_app/erasure/{receipt.pk}/history/", secure=True)
        self.assertContains(history, self.root.email)
        for page in (shown, listed, history):
            self.assertNotContains(page, EMAIL)
        self.assertContains(self.send(), "receipt of")

    def test_what_takes_longer_goes_on_with_the_next_click(self) -> None:
        hidden = self.send().context["previewed"]
        with patch.object(erasures, "SECONDS_A_CLICK", -1.0):
            begun = self.send(previewed=hidden)
        self.assertContains(begun, "It takes longer than one click")
        self.assertContains(begun, 'value="Continue"')
        self.assertEqual(self.send(previewed=hidden).status_code, 302)
        self.assertEqual([each.erased["sessions"] for each in self.receipts()], [1])

    def test_an_error_stands_at_its_field(self) -> None:
        for wrong, field in (
            ({"value": "dora"}, "value"),
            ({"kind": "session"}, "value"),
            ({"reason": f"asked by {EMAIL}"}, "reason"),
            ({"account": "7"}, "account"),
        ):
            page = self.send(**wrong)
            self.assertEqual(list(page.context["form"].errors), [field], wrong)

    def test_only_who_may_erase_sees_the_page(self) -> None:
        self.assertEqual(self.send().status_code, 200)
        for person in (make_auditor(), make_staff()):
            self.client.force_login(person)
            page = self.client.get(PAGE, secure=True)
            self.assertContains(page, "You may not do this", status_code=403)
            self.assertEqual(self.send().status_code, 403)
