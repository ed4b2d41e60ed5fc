"""Deletes the events and cancellations of turns when they are no longer needed."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from accounts.tenancy.context import platform_context
from sessions_app.models import LLMRequest, TurnCancellation, TurnEventBatch

# For so long the events of a background turn are read again as they came; no turn lasts longer.
# Later, its answer is one event.
EVENTS_KEPT = timedelta(hours=1)
MOST_AT_ONCE = 10_000


def forget_turn_events() -> int:
    """Delete the events older than EVENTS_KEPT; return how many batches they were."""
    running = LLMRequest.objects.running
    with platform_context():
        ended = TurnCancellation.objects.exclude(llm_request_id__in=running().values("pk"))
        ended.delete()
        old = TurnEventBatch.objects.filter(created_at__lt=Now() - EVENTS_KEPT)
        some = old.order_by("created_at").values("pk")[:MOST_AT_ONCE]
        return TurnEventBatch.objects.filter(pk__in=some).delete()[0]
