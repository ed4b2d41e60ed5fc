"""The outbox in figures, for /metrics."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Min
from django.utils import timezone

from accounts.models import WebhookDelivery
from accounts.tenancy.context import platform_context
from salient.observability.stored import Figure, stored_figures


@stored_figures
def outbox() -> Iterator[Figure]:
    """Count the deliveries that wait, and tell how late the oldest due one is."""
    now = timezone.now()
    with platform_context():
        pending = WebhookDelivery.objects.pending().order_by()
        found = pending.aggregate(number=Count("pk"), oldest=Min("next_try_at"))
    late = 0.0 if found["oldest"] is None else max(0.0, (now - found["oldest"]).total_seconds())
    yield Figure(
        "webhooks_waiting", "Deliveries not yet made or given up.", (), {(): found["number"]}
    )
    yield Figure("webhooks_due_seconds", "How late the oldest due delivery is.", (), {(): late})
