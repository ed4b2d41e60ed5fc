"""The outbox is delivered: signed, tried for days, never lost, never under another id."""

from __future__ import annotations

import socket
import threading
import time
from datetime import timedelta
from unittest import mock

from django.core import mail
from django.db import connection
from django.test import TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from standardwebhooks.webhooks import WebhookVerificationError

from accounts.models import DeliveryState, MemberRole, WebhookDelivery, WebhookEndpoint
from accounts.tenancy.context import platform_context, tenant_context
from accounts.webhooks import endpoints, log, outbox, signing
from accounts.webhooks.outbox import DELAYS, MOST_TRIES, Result, delay
from salient.api.problems import Invalid
from tests.accounts.webhooks.fixtures import (
    deliver,
    failing_for,
    make_due,
    make_endpoint,
    publish,
    receiving,
    rows,
)
from tests.support.database.stored import change_all, change_row, row_of
from tests.support.factories import make_account, make_membership, make_user


def answer_without_body(server: socket.socket) -> None:
    """Answer one request with a head that announces a body, and keep silent until it hangs up."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        while connection.recv(65_536):
            pass


class DeliveryTests(TransactionTestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")

    def endpoint(self) -> WebhookEndpoint:
        return row_of(WebhookEndpoint)

    def test_an_event_arrives_signed_and_says_type_time_and_data(self) -> None:
        with receiving() as receiver:
            made = make_endpoint(self.account, receiver.url)
            sent = endpoints.send_test(self.account.pk, made.endpoint.pk)

            deliver()

        [got] = receiver.received
        content = got.verified(made.secret)
        self.assertEqual(list(content), ["type", "timestamp", "data"])
        self.assertEqual(content["type"], "webhook.test")
        self.assertEqual(content["data"], {"webhook_id": str(made.endpoint.pk)})
        self.assertRegex(content["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
        self.assertEqual(got.message_id, sent.message_id)
        self.assertEqual(got.headers["content-type"], "application/json")
        [row] = rows(self.account)
        self.assertEqual(
            (row.state, row.tries, row.status, row.error, row.next_try_at),
            (DeliveryState.DELIVERED, 1, 204, "", None),
        )
        assert row.delivered_at is not None
        assert row.duration_ms is not None

    def test_after_a_rotation_both_secrets_verify_until_the_old_one_ends(self) -> None:
        with receiving() as receiver:
            old = make_endpoint(self.account, receiver.url)
            key = old.endpoint.pk
            new = endpoints.rotate_secret(self.account.pk, key, overlap=timedelta(hours=1))
            endpoints.send_test(self.account.pk, key)
            deliver()
            last = endpoints.rotate_secret(self.account.pk, key, overlap=timedelta())
            endpoints.send_test(self.account.pk, key)
            deliver()

        first, second = receiver.received
        self.assertEqual(len(first.headers["webhook-signature"].split(" ")), 2)
        for secret in (old.secret, new.secret):
            self.assertEqual(first.verified(secret)["type"], "webhook.test")
        self.assertEqual(second.verified(last.secret)["type"], "webhook.test")
        with self.assertRaises(WebhookVerificationError):
            second.verified(new.secret)

    def test_what_fails_is_tried_again_under_the_same_id(self) -> None:
        with receiving(answers=[500, 302, 200]) as receiver:
            made = make_endpoint(self.account, receiver.url)
            endpoints.send_test(self.account.pk, made.endpoint.pk)
            for expected in (500, 302):
                deliver()
                [row] = rows(self.account)
                self.assertEqual((row.state, row.status), (DeliveryState.PENDING, expected))
                assert self.endpoint().failing_since is not None
                make_due(self.account)
            deliver()

        self.assertEqual(len({got.message_id for got in receiver.received}), 1)
        self.assertEqual(len({got.body for got in receiver.received}), 1)
        [row] = rows(self.account)
        self.assertEqual((row.state, row.tries), (DeliveryState.DELIVERED, 3))
        self.assertIsNone(self.endpoint().failing_since)

    def test_the_last_try_is_the_last(self) -> None:
        with receiving(answers=[503]) as receiver:
            made = make_endpoint(self.account, receiver.url)
            endpoints.send_test(self.account.pk, made.endpoint.pk)
            for _ in range(MOST_TRIES + 2):
                make_due(self.account)
                deliver()

        self.assertEqual(len(receiver.received), MOST_TRIES)
        [row] = rows(self.account)
        self.assertEqual((row.state, row.next_try_at), (DeliveryState.FAILED, None))

    def test_it_can_be_sent_again_under_the_same_id(self) -> None:
        with receiving(answers=[200]) as receiver:
            made = make_endpoint(self.account, receiver.url)
            sent = endpoints.send_test(self.account.pk, made.endpoint.pk)
            deliver()
            log.send_again(self.account.pk, made.endpoint.pk, sent.pk)
            deliver()

        first, second = receiver.received
        self.assertEqual(first.message_id, second.message_id)
        self.assertEqual(first.body, second.body)

    def test_while_it_is_being_sent_it_is_not_sent_a_second_time(self) -> None:
        made = make_endpoint(self.account)
        sent = endpoints.send_test(self.account.pk, made.endpoint.pk)
        [claimed] = outbox.claim(busy=[], most=10)
        log.send_again(self.account.pk, made.endpoint.pk, sent.pk)

        self.assertEqual(outbox.claim(busy=[], most=10), [])
        # The try that was under way fails: then it begins anew, at once.
        outbox.record(claimed, Result(status=500, error="", duration_ms=1))
        [again] = outbox.claim(busy=[], most=10)
        self.assertEqual((again.pk, again.tries), (sent.pk, 1))

    def test_the_last_try_that_fails_does_not_end_what_begins_anew(self) -> None:
        made = make_endpoint(self.account)
        sent = endpoints.send_test(self.account.pk, made.endpoint.pk)
        with tenant_context(self.account.pk):
            WebhookDelivery.objects.update(tries=MOST_TRIES - 1)
        [claimed] = outbox.claim(busy=[], most=10)
        log.send_again(self.account.pk, made.endpoint.pk, sent.pk)
        outbox.record(claimed, Result(status=500, error="", duration_ms=1))

        [row] = rows(self.account)
        self.assertEqual((row.state, row.tries), (DeliveryState.PENDING, 0))

    def test_an_endpoint_that_was_off_for_a_moment_gets_nothing_twice_at_once(self) -> None:
        made = make_endpoint(self.account)
        sent = endpoints.send_test(self.account.pk, made.endpoint.pk)
        outbox.claim(busy=[], most=10)
        for is_enabled in (False, True):
            endpoints.change_endpoint(self.account.pk, made.endpoint.pk, is_enabled=is_enabled)
        log.send_again(self.account.pk, made.endpoint.pk, sent.pk)

        self.assertEqual(outbox.claim(busy=[], most=10), [])

    def test_410_ends_the_endpoint_and_its_owners_are_mailed_once(self) -> None:
        make_membership(self.account, make_user("ann@example.com"), role=MemberRole.OWNER)
        make_membership(self.account, make_user("vic@example.com"), role=MemberRole.VIEWER)
        with receiving(answers=[410]) as receiver:
            made = make_endpoint(self.account, receiver.url)
            first = endpoints.send_test(self.account.pk, made.endpoint.pk)
            self.publish("msg_waiting")
            with mock.patch.object(outbox, "AT_ONCE", 1):
                deliver()

        self.assertEqual([got.message_id for got in receiver.received], [first.message_id])
        self.assertEqual(
            [(row.state, row.error) for row in rows(self.account)],
            [(DeliveryState.FAILED, "endpoint_disabled")] * 2,
        )
        endpoint = self.endpoint()
        self.assertEqual((endpoint.is_enabled, endpoint.disabled_reason), (False, "gone"))
        [told] = DBTaskResult.objects.filter(task_path="accounts.webhooks.outbox.tell_owners")
        outbox.tell_owners.func(*told.args_kwargs["args"])
        [message] = mail.outbox
        self.assertEqual(message.to, ["ann@example.com"])
        self.assertIn(receiver.url, str(message.body))

    def publish(self, message_id: str) -> None:
        publish(self.account, message_id)

    def test_an_endpoint_that_fails_for_three_days_is_disabled(self) -> None:
        with receiving(answers=[500]) as receiver:
            made = make_endpoint(self.account, receiver.url)
            endpoints.send_test(self.account.pk, made.endpoint.pk)
            deliver()
            failing_for(self.account, timedelta(days=2, hours=23))
            make_due(self.account)
            deliver()
            self.assertTrue(self.endpoint().is_enabled)
            failing_for(self.account, timedelta(hours=1))
            make_due(self.account)
            deliver()

        endpoint = self.endpoint()
        self.assertEqual((endpoint.is_enabled, endpoint.disabled_reason), (False, "failing"))
        changed = endpoints.change_endpoint(self.account.pk, endpoint.pk, is_enabled=True)
        self.assertEqual((changed.disabled_reason, changed.failing_since), ("", None))

    def test_an_address_inside_is_refused_whatever_its_name_says(self) -> None:
        make_endpoint(self.account, "https://hooks.example/in")
        self.publish("msg_1")

        with mock.patch("socket.getaddrinfo", return_value=[(2, 1, 6, "", ("10.0.0.7", 443))]):
            deliver()

        [row] = rows(self.account)
        self.assertEqual((row.status, row.error), (None, "unsafe_address"))

    def test_a_host_that_is_trusted_no_more_is_refused(self) -> None:
        with receiving() as receiver:
            make_endpoint(self.account, receiver.url)
            self.publish("msg_1")
            with override_settings(WEBHOOK_TRUSTED_HOSTS=[]):
                deliver()

        [row] = rows(self.account)
        self.assertEqual((row.status, row.error, receiver.received), (None, "unsafe_address", []))

    def test_a_model_server_inside_is_no_place_for_webhooks(self) -> None:
        with receiving() as receiver:
            made = make_endpoint(self.account, receiver.url)
            endpoints.send_test(self.account.pk, made.endpoint.pk)
            with override_settings(
                WEBHOOK_TRUSTED_HOSTS=[], OUTBOUND_TRUSTED_HOSTS=[receiver.host]
            ):
                with self.assertRaises(Invalid):
                    make_endpoint(self.account, receiver.url)
                deliver()

        [row] = rows(self.account)
        self.assertEqual((row.error, receiver.received), ("unsafe_address", []))

    def test_a_server_that_does_not_answer_is_given_up_in_time(self) -> None:
        with receiving() as receiver, mock.patch("accounts.webhooks.sender.TIMEOUT_SECONDS", 0.3):
            make_endpoint(self.account, receiver.url)
            self.publish("msg_1")
            receiver.gate.clear()
            deliver()

        [row] = rows(self.account)
        self.assertEqual((row.status, row.error), (None, "timeout"))

    def test_a_status_counts_although_its_body_never_comes(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            host = f"127.0.0.1:{server.getsockname()[1]}"
            with override_settings(WEBHOOK_TRUSTED_HOSTS=[host]):
                make_endpoint(self.account, f"http://{host}/hook")
                self.publish("msg_1")
                answering = threading.Thread(target=answer_without_body, args=[server])
                answering.start()
                began = time.monotonic()
                deliver()
                self.assertLess(time.monotonic() - began, 10)
                answering.join()
        [row] = rows(self.account)
        self.assertEqual((row.state, row.status, row.tries), ("delivered", 200, 1))

    def test_what_nobody_foresaw_ends_one_delivery_only(self) -> None:
        with receiving() as receiver:
            make_endpoint(self.account, receiver.url)
            for name in ("msg_1", "msg_2"):
                self.publish(name)
            real = signing.body_of

            def body_of(delivery: WebhookDelivery) -> str:
                if delivery.message_id == "msg_1":
                    raise RuntimeError
                return real(delivery)

            with (
                mock.patch.object(signing, "body_of", body_of),
                self.assertLogs("accounts.webhooks.sender", "ERROR"),
            ):
                deliver()
        found = {row.message_id: (row.state, row.error) for row in rows(self.account)}
        self.assertEqual(found, {"msg_1": ("pending", "internal"), "msg_2": ("delivered", "")})

    def test_a_long_answer_is_not_read(self) -> None:
        with receiving(answers=[200], body=b"x" * 10_000_000) as receiver:
            make_endpoint(self.account, receiver.url)
            self.publish("msg_1")
            deliver()

        [row] = rows(self.account)
        self.assertEqual((row.state, row.status), (DeliveryState.DELIVERED, 200))

    def test_what_is_claimed_is_free_again_when_the_lease_is_over(self) -> None:
        make_endpoint(self.account)
        self.publish("msg_1")

        [claimed] = outbox.claim(busy=[], most=10)
        self.assertEqual(outbox.claim(busy=[], most=10), [])
        make_due(self.account)
        [again] = outbox.claim(busy=[], most=10)

        self.assertEqual((again.pk, again.message_id), (claimed.pk, "msg_1"))
        self.assertEqual((claimed.tries, again.tries), (1, 2))

    def test_a_failing_endpoint_has_one_try_under_way_and_delays_nobody(self) -> None:
        beta = make_account("beta")
        slow = make_endpoint(self.account).endpoint
        make_endpoint(beta)
        for number in range(30):
            self.publish(f"msg_{number}")
        publish(beta, "msg_other")
        change_row(slow, failing_since=timezone.now())

        claimed = outbox.claim(busy=[], most=64)

        self.assertEqual(
            [(each.account_id, each.message_id) for each in claimed],
            [(self.account.pk, "msg_0"), (beta.pk, "msg_other")],
        )
        self.assertEqual(outbox.claim(busy=[slow.pk], most=64), [])

    @override_settings(DATABASE_DISTRIBUTED=True)
    def test_a_cluster_claims_the_same(self) -> None:
        self.enterContext(mock.patch.object(outbox, "CLAIM", "not on a cluster"))
        self.test_a_failing_endpoint_has_one_try_under_way_and_delays_nobody()

    @override_settings(DATABASE_DISTRIBUTED=True)
    def test_all_workers_take_the_accounts_of_a_cluster_in_one_order(self) -> None:
        """Else each of two could wait for rows that the other has taken."""
        beta = make_account("beta")
        first, second = sorted([self.account, beta], key=lambda account: account.pk)
        for account in (second, first):
            make_endpoint(account)
            publish(account, f"msg_{account.slug}")
        with CaptureQueriesContext(connection) as captured:
            outbox.claim(busy=[], most=64)

        taken = [each["sql"] for each in captured if each["sql"].startswith("\n    UPDATE webhook")]
        self.assertEqual(len(taken), 2)
        for account, statement in zip((first, second), taken, strict=True):
            self.assertIn(account.pk.hex, statement)

    @override_settings(DATABASE_DISTRIBUTED=True)
    def test_a_cluster_frees_what_is_claimed_when_the_lease_is_over(self) -> None:
        self.test_what_is_claimed_is_free_again_when_the_lease_is_over()

    def test_what_came_while_an_endpoint_was_disabled_is_given_up(self) -> None:
        endpoint = make_endpoint(self.account).endpoint
        self.publish("msg_1")
        change_all(WebhookEndpoint, is_enabled=False, disabled_reason="by_hand")

        self.assertEqual(outbox.claim(busy=[], most=10), [])
        self.assertEqual((log.give_up_disabled(), log.give_up_disabled()), (1, 0))
        [row] = rows(self.account)
        self.assertEqual((row.endpoint_id, row.state), (endpoint.pk, DeliveryState.FAILED))

    def test_old_deliveries_are_deleted_and_waiting_ones_are_not(self) -> None:
        make_endpoint(self.account)
        for number in range(3):
            self.publish(f"msg_{number}")
        with platform_context():
            first = WebhookDelivery.objects.get(message_id="msg_0")
            first.state, first.next_try_at = DeliveryState.DELIVERED, None
            first.save()
        late = timezone.now() + log.RETENTION + timedelta(hours=1)

        self.assertEqual(log.prune(late), 1)
        self.assertEqual(log.prune(timezone.now()), 0)
        self.assertEqual({row.message_id for row in rows(self.account)}, {"msg_1", "msg_2"})


class DelayTests(TransactionTestCase):
    def test_twelve_tries_take_about_three_days(self) -> None:
        self.assertEqual(MOST_TRIES, 12)
        self.assertLess(abs(sum(DELAYS, timedelta()) - timedelta(days=3)), timedelta(hours=3))

    def test_a_delay_varies_and_is_never_shorter_than_asked(self) -> None:
        failed = Result(503, "", 1)
        found = {delay(4, failed) for _ in range(50)}
        self.assertGreater(len(found), 40)
        for each in found:
            self.assertLessEqual(abs(each - DELAYS[3]), DELAYS[3] * 0.2)
        asked = Result(429, "", 1, retry_after=timedelta(hours=2))
        self.assertEqual(delay(1, asked), timedelta(hours=2))
        self.assertEqual(
            delay(1, Result(429, "", 1, retry_after=timedelta(days=30))), timedelta(days=1)
        )
