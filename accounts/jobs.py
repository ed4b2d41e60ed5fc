"""What the worker does for accounts."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts.auth.attempts import forget_past_attempts
from accounts.limits.quotas import forget_past_rates
from salient.tasks.jobs import job


@job(every=timedelta(minutes=10))
def forget_past_limits() -> None:
    """Delete the states of rate limits whose time is over."""
    forget_past_rates(timezone.now())
    forget_past_attempts(timezone.now())
