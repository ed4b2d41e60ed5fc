"""What staff do with webhooks: see the backlog, send again, encrypt the secrets anew."""

from __future__ import annotations

import hashlib
import hmac
import threading
from base64 import b64decode, b64encode
from datetime import timedelta
from typing import Any
from unittest import mock

from django.conf import settings
from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import DeliveryState, WebhookDelivery
from accounts.tenancy.context import tenant_context
from accounts.webhooks import endpoints, outbox, signing
from accounts.webhooks.outbox import Result
from salient.security.encryption import is_current
from tests.accounts.webhooks.fixtures import make_endpoint, publish, rows
from tests.support.commands import run, run_json
from tests.support.factories import make_account, make_user
from tests.support.people import make_root


class BacklogTests(TransactionTestCase):
    def test_the_command_says_what_waits_and_what_fails(self) -> None:
        account = make_account("acme")
        made = make_endpoint(account).endpoint
        gone = make_endpoint(account, "https://gone.example/in").endpoint
        endpoints.change_endpoint(account.pk, gone.pk, is_enabled=False)
        for number in range(3):
            publish(account, f"msg_{number}")
        [first, *_] = outbox.claim(busy=[], most=1)
        outbox.record(first, Result(500, "", 12))

        found = run_json("webhooks")
        lines = run("webhooks")

        [queue] = found.pop("endpoints")
        self.assertEqual(
            {name: found[name] for name in ("pending", "due", "retrying", "disabled_endpoints")},
            {"pending": 3, "due": 2, "retrying": 1, "disabled_endpoints": 1},
        )
        self.assertEqual((queue["account"], queue["id"]), ("acme", str(made.pk)))
        self.assertIn("acme  https://hooks.example/in  3 waiting, fails since ", lines)
        self.assertIn("3 waiting, 2 of them due, 1 tried before, the oldest since ", lines)


class AdminTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        make_endpoint(self.account)
        publish(self.account, "msg_1")

    def send_again(self, **who: Any) -> Any:
        self.client.force_login(make_user(is_staff=True, **who))
        [row] = rows(self.account)
        return self.client.post(
            reverse("admin:accounts_webhookdelivery_changelist"),
            {"action": "send_again", "_selected_action": [str(row.pk)]},
            secure=True,
        )

    def let_fail(self) -> None:
        with tenant_context(self.account.pk):
            [row] = WebhookDelivery.objects.all()
            row.state, row.next_try_at, row.tries = DeliveryState.FAILED, None, 12
            row.save(update_fields=["state", "next_try_at", "tries"])

    def test_staff_send_a_failed_one_again(self) -> None:
        self.let_fail()
        self.send_again(is_superuser=True)

        [row] = rows(self.account)
        self.assertEqual((row.state, row.tries), (DeliveryState.PENDING, 0))

    def test_who_only_reads_sends_nothing(self) -> None:
        self.let_fail()
        self.send_again(is_auditor=True)

        [row] = rows(self.account)
        self.assertEqual(row.state, DeliveryState.FAILED)

    def test_the_accounts_page_lists_its_webhooks(self) -> None:
        self.client.force_login(make_root())
        page = self.client.get(
            reverse("admin:accounts_account_change", args=[self.account.pk]), secure=True
        )
        self.assertContains(page, "https://hooks.example/in")


class SecretTests(TransactionTestCase):
    def test_secrets_are_sealed_anew_under_another_key(self) -> None:
        account = make_account("acme")
        made = make_endpoint(account)
        keys = ["another key of some length", *settings.SECRET_ENCRYPTION_KEYS]
        with override_settings(SECRET_ENCRYPTION_KEYS=keys):
            first = run_json("rotate_secrets")
            second = run_json("rotate_secrets")
        with override_settings(SECRET_ENCRYPTION_KEYS=keys[:1]):
            found = endpoints.find_endpoint(account.pk, made.endpoint.pk)
            opened = signing.secrets_of(found, timezone.now())

        self.assertEqual((first["resealed"], second["resealed"], second["current"]), (1, 0, 1))
        self.assertEqual(opened, [made.secret])

    def test_one_that_is_replaced_meanwhile_is_sealed_anew_as_the_previous_one(self) -> None:
        """Replacing it moves the old one to another column, as it was sealed."""
        account = make_account("acme")
        made = make_endpoint(account)
        keys = ["another key of some length", *settings.SECRET_ENCRYPTION_KEYS]
        replaced: list[str] = []

        def replace() -> None:
            new = endpoints.rotate_secret(account.pk, made.endpoint.pk, overlap=timedelta(hours=1))
            replaced.append(new.secret)
            connection.close()

        def look(sealed: str) -> bool:
            if not replaced:
                other = threading.Thread(target=replace)
                other.start()
                other.join()
            return is_current(sealed)

        with (
            override_settings(SECRET_ENCRYPTION_KEYS=keys),
            mock.patch("accounts.tenancy.resealing.is_current", look),
        ):
            run_json("rotate_secrets")
        with override_settings(SECRET_ENCRYPTION_KEYS=keys[:1]):
            found = endpoints.find_endpoint(account.pk, made.endpoint.pk)
            self.assertEqual(signing.secrets_of(found, timezone.now()), [*replaced, made.secret])

    def test_the_signature_is_what_the_documentation_says(self) -> None:
        secret, body = signing.new_secret(), '{"type":"webhook.test"}'
        headers = signing.headers_of("msg_1", body, [secret], timezone.now())

        key = b64decode(secret.removeprefix("whsec_"))
        signed = f"msg_1.{headers['webhook-timestamp']}.{body}".encode()
        expected = b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        self.assertEqual(headers["webhook-signature"], f"v1,{expected}")
