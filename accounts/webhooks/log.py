"""The delivery log: what was sent, what waits (for /metrics too), and sending it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min, Q
from django.utils import timezone

from accounts.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from accounts.tenancy.context import platform_context, tenant_context
from accounts.webhooks.endpoints import DISABLED, WebhookDisabled
from accounts.webhooks.outbox import LEASE
from salient.api.problems import NotFound, first_or_404
from salient.cursor import Cursor, newest_page
from salient.observability.stored import Figure, late_by, stored_figures

# A delivery that has ended is kept for so long.
RETENTION: Final = timedelta(days=14)
PRUNED_AT_ONCE: Final = 5_000


def deliveries_of(
    account_id: UUID, endpoint_id: UUID, *, state: str | None, cursor: Cursor | None, limit: int
) -> tuple[Sequence[WebhookDelivery], str | None]:
    """Return one page, the newest first, and the cursor of the next; raises NotFound."""
    with tenant_context(account_id):
        if not WebhookEndpoint.objects.filter(pk=endpoint_id).exists():
            raise NotFound("webhook")
        rows = WebhookDelivery.objects.filter(endpoint_id=endpoint_id)
        if state is not None:
            rows = rows.filter(state=state)
        return newest_page(rows, "created_at", cursor, limit)


def find_delivery(account_id: UUID, endpoint_id: UUID, delivery_id: UUID) -> WebhookDelivery:
    """Return a delivery of the account's endpoint; raises NotFound."""
    with tenant_context(account_id):
        return _found(endpoint_id, delivery_id)


def send_again(account_id: UUID, endpoint_id: UUID, delivery_id: UUID) -> WebhookDelivery:
    """Send it anew, or now if it waits: with the same webhook-id and all its tries.

    Raises NotFound and WebhookDisabled.
    """
    with tenant_context(account_id):
        return renew(_found(endpoint_id, delivery_id))


def renew(delivery: WebhookDelivery) -> WebhookDelivery:
    """Let the delivery begin anew; inside a context. Raises WebhookDisabled.

    While a worker may be sending it, it waits until that try has ended: never two at once.
    """
    rows = WebhookDelivery.objects.filter(account_id=delivery.account_id, pk=delivery.pk)
    found = first_or_404(rows.select_for_update(), "delivery")
    if not found.endpoint.is_enabled:
        raise WebhookDisabled
    now = timezone.now()
    found.state, found.tries = DeliveryState.PENDING, 0
    found.next_try_at = max(now, end_of_try(found) or now)
    found.error = ""
    found.save(update_fields=["state", "tries", "next_try_at", "error"])
    return found


def end_of_try(delivery: WebhookDelivery) -> datetime | None:
    """Return when the try under way has ended for certain; None where none is under way."""
    if delivery.last_tried_at is None:
        return None
    end = delivery.last_tried_at + LEASE
    # A result moves `next_try_at`; an endpoint that was disabled waited for none.
    return end if delivery.next_try_at == end or delivery.error == DISABLED else None


def _found(endpoint_id: UUID, delivery_id: UUID) -> WebhookDelivery:
    rows = WebhookDelivery.objects.filter(pk=delivery_id, endpoint_id=endpoint_id)
    return first_or_404(rows, "delivery")


def forget_end_user(account_id: UUID, session_id: UUID) -> None:
    """Take the person's id out of what was sent, or waits, about a session; inside a context."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhook_deliveries SET data = jsonb_set(data, '{end_user}', 'null') "
            "WHERE account_id = %s AND data ? 'end_user' AND data ->> 'session_id' = %s",
            [account_id, str(session_id)],
        )


def of_account(account_id: UUID) -> list[WebhookEndpoint]:
    """Return the account's endpoints for its page, each with the number `waiting`."""
    waiting = Count("deliveries", filter=Q(deliveries__state=DeliveryState.PENDING))
    rows = WebhookEndpoint.objects.filter(account_id=account_id)
    return list(rows.annotate(waiting=waiting).order_by("-created_at", "-id"))


def backlog() -> dict[str, Any]:
    """Count what waits in all accounts: {"pending", "due", "retrying", "oldest", "endpoints"}.

    `endpoints` has one entry for each with something waiting, the longest queue first.
    """
    now = timezone.now()
    with platform_context():
        rows = WebhookDelivery.objects.pending().order_by()
        whole = rows.aggregate(
            pending=Count("pk"),
            due=Count("pk", filter=Q(next_try_at__lte=now)),
            retrying=Count("pk", filter=Q(tries__gt=0)),
            oldest=Min("created_at"),
        )
        queues = (
            rows.values("endpoint_id", "account__slug", "endpoint__url", "endpoint__failing_since")
            .annotate(pending=Count("pk"), next_try_at=Min("next_try_at"))
            .order_by("-pending", "endpoint_id")
        )
        endpoints = [_queue(row) for row in queues]
        disabled = WebhookEndpoint.objects.filter(is_enabled=False).count()
    return {**whole, "disabled_endpoints": disabled, "endpoints": endpoints}


@stored_figures
def figures() -> Iterator[Figure]:
    """Count the deliveries that wait, and tell how late the oldest due one is."""
    with platform_context():
        pending = WebhookDelivery.objects.pending().order_by()
        found = pending.aggregate(number=Count("pk"), oldest=Min("next_try_at"))
    waiting, late = found["number"], late_by(found["oldest"])
    yield Figure("webhooks_waiting", "Deliveries not yet made or given up.", (), {(): waiting})
    yield Figure("webhooks_due_seconds", "How late the oldest due delivery is.", (), {(): late})


def _queue(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["endpoint_id"],
        "account": row["account__slug"],
        "url": row["endpoint__url"],
        "pending": row["pending"],
        "failing_since": row["endpoint__failing_since"],
        "next_try_at": row["next_try_at"],
    }


def give_up_disabled() -> int:
    """Give up what came into the outbox while its endpoint was being disabled."""
    with platform_context():
        rows = WebhookDelivery.objects.pending().filter(endpoint__is_enabled=False)
        return int(rows.update(state=DeliveryState.FAILED, next_try_at=None, error=DISABLED))


def prune(now: datetime | None = None) -> int:
    """Delete deliveries that ended long ago, some at a time; return how many."""
    before, deleted = (now or timezone.now()) - RETENTION, 0
    while True:
        with platform_context(), connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM webhook_deliveries WHERE (account_id, id) IN ("
                "SELECT account_id, id FROM webhook_deliveries "
                "WHERE created_at < %s AND state <> 'pending' ORDER BY created_at LIMIT %s)",
                [before, PRUNED_AT_ONCE],
            )
            found = int(cursor.rowcount)
        deleted += found
        if found < PRUNED_AT_ONCE:
            return deleted
