"""What the worker does for conversations: abandoned turns, and the figures of past days."""

from __future__ import annotations

import logging
from datetime import timedelta

from accounts.tenancy.accounts import list_accounts
from salient.tasks.jobs import job
from sessions_app.background import event_log
from sessions_app.operations.lifecycle import accounts as account_erasures
from sessions_app.operations.lifecycle import retention
from sessions_app.turns import abandoned
from sessions_app.usage import rollup, totals
from sessions_app.usage.queries import today

logger = logging.getLogger(__name__)

# The days whose figures are compared with the ledger: older ones do not change.
COMPARED_DAYS = timedelta(days=2)
# One run takes so long; the next one goes on. A run of more than an hour counts as lost.
RETENTION_SECONDS, ERASURE_SECONDS = 1200.0, 600.0


@job(every=timedelta(minutes=1))
def settle_abandoned() -> int:
    """End the turns that a killed process left running; return how many they were."""
    return len(abandoned.settle_abandoned())


@job(every=timedelta(minutes=1))
def forget_turn_events() -> int:
    """Delete the events of turns that ended a while ago; return how many batches they were."""
    return event_log.forget_turn_events()


@job(every=timedelta(hours=1))
def sum_past_days() -> None:
    """Store the sums of all past days that have none, which pages would do otherwise."""
    totals.store_all()


@job(every=timedelta(days=1))
def compare_figures() -> list[str]:
    """Compare the last days' figures with the ledger; return the accounts where they differ."""
    since = today() - COMPARED_DAYS
    wrong = [each.slug for each in list_accounts() if rollup.compare(each.pk, since)]
    if wrong:
        names = ", ".join(wrong)
        logger.error("Figures differ from the ledger, see manage.py rollup: %s", names)
    return wrong


@job(every=timedelta(hours=1))
def apply_retention() -> int:
    """Erase the texts and figures whose days are over; return how many conversations they were."""
    return retention.apply_all(RETENTION_SECONDS)


@job(every=timedelta(minutes=1))
def continue_account_erasures() -> int:
    """Go on with the erasures of accounts that were ordered; return how many ended."""
    return account_erasures.continue_all(ERASURE_SECONDS)
