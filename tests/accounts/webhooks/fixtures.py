"""What the tests of webhooks share: an account with an endpoint, and a server that receives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import F
from django.test import override_settings

from accounts.models import Account, WebhookDelivery, WebhookEndpoint, WebhookEvent
from accounts.tenancy.context import tenant_context
from accounts.webhooks import endpoints, sender
from accounts.webhooks.endpoints import NewEndpoint
from tests.support.database.stored import rows_of
from tests.support.servers.webhook_receiver import Receiver


@contextmanager
def receiving(**options: Any) -> Iterator[Receiver]:
    """Start a server that endpoints of tests may reach."""
    receiver = Receiver(**options)
    with receiver, override_settings(WEBHOOK_TRUSTED_HOSTS=[receiver.host]):
        yield receiver


def make_endpoint(
    account: Account, url: str = "https://hooks.example/in", **more: Any
) -> NewEndpoint:
    return endpoints.create_endpoint(
        account.pk, **{"url": url, "events": WebhookEvent.values} | more
    )


def deliver() -> None:
    """Send what is due, as the worker does."""
    sender.deliver(threading.Event(), once=True)


def publish(account: Account, message_id: str, event: str = "key.expiring") -> None:
    """Write an event into the outbox, as the database does."""
    with tenant_context(account.pk), connection.cursor() as cursor:
        cursor.execute(
            "SELECT app_publish(%s, %s, %s, %s)", [account.pk, event, message_id, '{"n": 1}']
        )


def rows(account: Account) -> list[WebhookDelivery]:
    return rows_of(WebhookDelivery, "created_at", "id", account_id=account.pk)


def make_due(account: Account) -> None:
    """Let the time pass until the next try of everything."""
    with tenant_context(account.pk):
        WebhookDelivery.objects.pending().update(next_try_at=F("created_at"))


def failing_for(account: Account, time: timedelta) -> None:
    """Let the endpoints have begun to fail so much earlier."""
    with tenant_context(account.pk):
        WebhookEndpoint.objects.update(failing_since=F("failing_since") - time)
