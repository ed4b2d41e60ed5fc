"""The outbox as the worker sees it: deliveries are claimed for a while, and their results stored.

A claim moves `next_try_at` to when another worker may take the delivery. So a worker that is killed
loses nothing: the delivery is sent once more, with the same webhook-id.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.tasks import task

from accounts.models import (
    DeliveryState,
    DisabledReason,
    Membership,
    WebhookDelivery,
    WebhookEndpoint,
)
from accounts.tenancy.context import platform_context
from accounts.webhooks.endpoints import switch

# Longer than a try can take, so that no two workers send one delivery.
LEASE: Final = timedelta(seconds=60)
# From one try to the next; with the first they are 12 in three days.
DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
    timedelta(hours=24),
)
MOST_TRIES: Final = len(DELAYS) + 1
# Each delay is longer or shorter by up to this share, so that deliveries do not come in waves.
JITTER: Final = 0.2
LONGEST_RETRY_AFTER: Final = timedelta(days=1)
# An endpoint to which nothing was delivered for so long is disabled.
FAILING_FOR: Final = timedelta(days=3)
# So many at once to one endpoint; to one that fails, a single one.
AT_ONCE: Final = 10
# What the owners read of an endpoint that was disabled.
REASONS: Final = {
    DisabledReason.GONE: "it answered with the status 410 (Gone)",
    DisabledReason.FAILING: "nothing could be delivered to it for three days",
}
# The window in which the oldest deliveries of each endpoint are looked for.
WINDOW: Final = 1_000
# ruff: noqa: S608 - built from constants of this module only
_DUE = """
    SELECT account_id, id, next_try_at,
        row_number() OVER (PARTITION BY endpoint_id ORDER BY next_try_at, id) AS place
    FROM (
        SELECT account_id, id, endpoint_id, next_try_at FROM webhook_deliveries
        WHERE state = 'pending' AND next_try_at <= now() AND endpoint_id <> ALL (%(busy)s)
        ORDER BY next_try_at LIMIT %(window)s
    ) AS oldest
"""
_FREE = """
    SELECT delivery.account_id, delivery.id
    FROM due
    JOIN webhook_deliveries AS delivery USING (account_id, id)
    JOIN webhook_endpoints AS endpoint
        ON endpoint.account_id = delivery.account_id AND endpoint.id = delivery.endpoint_id
    WHERE delivery.state = 'pending' AND delivery.next_try_at <= now() AND endpoint.is_enabled
        AND place <= CASE WHEN endpoint.failing_since IS NULL THEN %(at_once)s ELSE 1 END
    ORDER BY due.next_try_at LIMIT %(most)s
"""
_TAKE = "tries = tries + 1, next_try_at = now() + %(lease)s, last_tried_at = now()"
CLAIM: Final = f"""
    WITH due AS ({_DUE}), free AS ({_FREE} FOR UPDATE OF delivery SKIP LOCKED)
    UPDATE webhook_deliveries AS delivery SET {_TAKE}
    FROM free WHERE delivery.account_id = free.account_id AND delivery.id = free.id
    RETURNING delivery.account_id, delivery.id
"""
# A cluster locks rows of one account at a time, which all workers take in one order. Of two that
# find the same delivery, the second one waits for the first and finds it taken.
FIND: Final = f"WITH due AS ({_DUE}) {_FREE}"
CLAIM_OF_ACCOUNT: Final = f"""
    UPDATE webhook_deliveries SET {_TAKE}
    WHERE account_id = %(account)s AND id = ANY (%(ids)s) AND state = 'pending'
        AND next_try_at <= now()
    RETURNING account_id, id
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one try: the answer's status, or why there was none."""

    status: int | None
    error: str
    duration_ms: int
    # What the endpoint asks for with Retry-After.
    retry_after: timedelta | None = None

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP


def claim(*, busy: Collection[UUID], most: int) -> list[WebhookDelivery]:
    """Take up to `most` due deliveries for LEASE, of endpoints that are not busy."""
    values: dict[str, Any] = {
        "busy": list(busy),
        "window": WINDOW,
        "at_once": AT_ONCE,
        "most": most,
        "lease": LEASE,
    }
    with platform_context():
        with connection.cursor() as cursor:
            taken = {key for _, key in _taken(cursor, values)}
        if not taken:
            return []
        rows = WebhookDelivery.objects.filter(pk__in=taken).select_related("endpoint")
        return list(rows.order_by("created_at", "id"))


def _taken(cursor: Any, values: Mapping[str, Any]) -> list[tuple[UUID, UUID]]:
    """Return (account, delivery) of what is taken."""
    if not settings.DATABASE_DISTRIBUTED:
        cursor.execute(CLAIM, values)
        return list(cursor.fetchall())
    cursor.execute(FIND, values)
    found: dict[UUID, list[UUID]] = {}
    for account_id, key in cursor.fetchall():
        found.setdefault(account_id, []).append(key)
    taken: list[tuple[UUID, UUID]] = []
    for account_id, ids in sorted(found.items()):
        cursor.execute(CLAIM_OF_ACCOUNT, {**values, "account": account_id, "ids": ids})
        taken += cursor.fetchall()
    return taken


def record(delivery: WebhookDelivery, result: Result) -> None:
    """Store what came of a try; an endpoint that is gone, or fails for days, is disabled."""
    with platform_context():
        rows = WebhookEndpoint.objects.filter(account_id=delivery.account_id)
        endpoint = rows.filter(pk=delivery.endpoint_id).select_for_update(no_key=True).first()
        if endpoint is None:
            # Deleted meanwhile, and the delivery with it.
            return
        now = _now()
        _store(delivery, result, now)
        if result.is_delivered:
            if endpoint.failing_since is not None:
                rows.filter(pk=endpoint.pk).update(failing_since=None)
            return
        since = endpoint.failing_since or now
        if endpoint.failing_since is None:
            rows.filter(pk=endpoint.pk).update(failing_since=now)
        if not endpoint.is_enabled:
            return
        if result.status == HTTPStatus.GONE:
            _disable(endpoint, DisabledReason.GONE)
        elif now - since >= FAILING_FOR:
            _disable(endpoint, DisabledReason.FAILING)


def _store(delivery: WebhookDelivery, result: Result, now: datetime) -> None:
    """Store it in the row as it is now, which may have begun anew while it was sent."""
    own = WebhookDelivery.objects.filter(account_id=delivery.account_id, pk=delivery.pk)
    outcome = {
        "status": result.status,
        "error": result.error,
        "duration_ms": result.duration_ms,
    }
    if result.is_delivered:
        own.update(**outcome, state=DeliveryState.DELIVERED, next_try_at=None, delivered_at=now)
        return
    waiting = own.pending().select_for_update()
    tries = waiting.values_list("tries", flat=True).first()
    if tries is None:
        return
    if tries >= MOST_TRIES:
        own.update(**outcome, state=DeliveryState.FAILED, next_try_at=None)
    else:
        again = delay(tries, result) if tries else timedelta()
        own.update(**outcome, next_try_at=now + again)


def delay(tries: int, result: Result) -> timedelta:
    """Return how long to wait after this number of tries: never shorter than the endpoint asks."""
    usual = DELAYS[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    if result.retry_after is None:
        return usual
    return max(usual, min(result.retry_after, LONGEST_RETRY_AFTER))


def _disable(endpoint: WebhookEndpoint, reason: str) -> None:
    """Disable it, and have its owners told; both happen or neither does."""
    switch(endpoint, on=False, reason=reason)
    endpoint.save(update_fields=["is_enabled", "disabled_reason", "failing_since", "updated_at"])
    tell_owners.enqueue(str(endpoint.account_id), str(endpoint.pk))


@task
def tell_owners(account_id: str, endpoint_id: str) -> None:
    """Mail the account's owners and admins that an endpoint was disabled, unless it works again."""
    with platform_context():
        rows = WebhookEndpoint.objects.filter(account_id=UUID(account_id), pk=UUID(endpoint_id))
        endpoint = rows.select_related("account").filter(is_enabled=False).first()
        people = Membership.objects.managers().filter(account_id=UUID(account_id))
        addresses = people.addresses()
    if endpoint is None or endpoint.disabled_reason not in REASONS or not addresses:
        return
    slug = endpoint.account.slug
    text = (
        f"Salient sends nothing more to the webhook {endpoint.url} of the account {slug}: "
        f"{REASONS[DisabledReason(endpoint.disabled_reason)]}. What waited for it was given up.\n\n"
        "When it works again, enable it; the deliveries of the last days can be sent again one by "
        "one."
    )
    send_mail(f"{slug}: a webhook was disabled", text, None, addresses)


def _now() -> datetime:
    """Return the database's time, by which deliveries are due."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
