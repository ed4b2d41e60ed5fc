"""What the worker does for accounts."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from accounts.audit.refusals.days import forget_old
from accounts.auth.attempts import forget_past_attempts
from accounts.limits.quotas import forget_past_rates
from accounts.members.sent_forms import forget_sent_forms
from accounts.tenancy.context import platform_context
from accounts.webhooks import (
    log,
    sender,  # noqa: F401 - it registers what the worker runs
)
from accounts.webhooks.expiring import warn_of_keys
from salient.tasks.jobs import job


@job(every=timedelta(minutes=10))
def forget_past_limits() -> None:
    """Delete the states of rate limits whose time is over."""
    forget_past_rates(timezone.now())
    forget_past_attempts(timezone.now())


@job(every=timedelta(days=1))
def forget_ended_sessions() -> None:
    """Delete the sessions of browsers that have ended, and the forms that were sent in them."""
    SessionStore.clear_expired()
    with platform_context():
        forget_sent_forms(timezone.now())


@job(every=timedelta(days=1))
def forget_old_refusals() -> int:
    """Delete the daily sums of refusals after thirteen months; return how many they were."""
    return forget_old()


@job(every=timedelta(hours=1))
def warn_of_expiring_keys() -> int:
    """Tell webhooks of the keys that end within a week, each once; return how many they were."""
    return warn_of_keys()


@job(every=timedelta(hours=1))
def tidy_webhook_log() -> int:
    """Delete deliveries that ended long ago, and give up what nobody takes; return how many."""
    return log.give_up_disabled() + log.prune()
