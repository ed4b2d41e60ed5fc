"""Retention: texts are erased some days after a conversation's last message, figures later.

What is to be erased is found anew for each batch, so that a run which was killed goes on with the
next one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.tenancy.context import platform_context, tenant_context
from sessions_app.conversations.sessions import leave_tombstone
from sessions_app.models import LLMRequest, Retention, Session, UsageDay, UsageTotal
from sessions_app.operations.lifecycle.holds import (
    Held,
    await_placing,
    holds_of,
    with_hold,
    without_hold,
)
from sessions_app.turns.problems import TurnInProgress
from sessions_app.usage import totals

# So many conversations are emptied, and so many empty ones deleted, in one transaction.
BATCH, BATCH_OF_FIGURES = 20, 200

# A session's place in the queue: its last activity and its id.
type Place = tuple[datetime, UUID]


def set_days(account_id: UUID, *, texts: int | None, figures: int | None) -> Retention:
    """Set after how many days texts and figures are erased; None keeps them for ever.

    Inside the platform context. Raises ValidationError.
    """
    found = Retention.objects.filter(account_id=account_id).first()
    rule: Retention = found or Retention(account_id=account_id)
    rule.texts_days, rule.figures_days = texts, figures
    rule.full_clean(exclude=["account"])
    rule.save()
    return rule


def retention_of(account_id: UUID) -> Retention | None:
    """Return the account's rule, if it has one; inside a context."""
    return Retention.objects.filter(account_id=account_id).first()


def apply_all(seconds: float) -> int:
    """Erase what is due in all accounts for at most so long; return how many sessions they were."""
    end, erased = time.monotonic() + seconds, 0
    with platform_context():
        rules = list(Retention.objects.exclude(texts_days=None).order_by("finished_at", "pk"))
    for rule in rules:
        erased += apply(rule, end=end)
        if time.monotonic() > end:
            break
    return erased


def apply(rule: Retention, *, end: float = float("inf")) -> int:
    """Erase what is due in one account; return how many sessions lost their texts."""
    erased, after = 0, None
    while time.monotonic() <= end:
        # Whoever has set other days meanwhile is obeyed from the next batch on.
        if not _is_in_force(rule):
            return erased
        some, after = _erase_texts(rule, after)
        erased += some
        if after is None:
            break
    else:
        return erased
    while time.monotonic() <= end and _is_in_force(rule) and _erase_figures(rule):
        pass
    with tenant_context(rule.account_id):
        held = with_hold(_due(rule)).count()
    _note(rule, finished_at=timezone.now(), held_sessions=held)
    return erased


def _is_in_force(rule: Retention) -> bool:
    with tenant_context(rule.account_id):
        now = retention_of(rule.account_id)
    return now is not None and (now.texts_days, now.figures_days) == (
        rule.texts_days,
        rule.figures_days,
    )


def due_texts(rule: Retention) -> int:
    """Count the sessions whose texts are due and not held."""
    with tenant_context(rule.account_id):
        return without_hold(_due(rule)).count()


def _due(rule: Retention) -> QuerySet[Session]:
    rows = Session.objects.filter(account_id=rule.account_id, deleted_at=None)
    if rule.texts_days is None:
        return rows.none()
    before = timezone.now() - timedelta(days=rule.texts_days)
    running = LLMRequest.objects.running().filter(
        account_id=OuterRef("account_id"), session_id=OuterRef("pk")
    )
    return rows.filter(~Exists(running), last_activity_at__lt=before)


def _erase_texts(rule: Retention, after: Place | None) -> tuple[int, Place | None]:
    """Empty some sessions behind a place; return how many, and the place of the last one tried.

    A session that cannot be emptied now is left to the next run, so that it keeps nobody waiting.
    None where no session is left.
    """
    with tenant_context(rule.account_id):
        due = without_hold(_due(rule)).order_by("last_activity_at", "pk")
        if after is not None:
            moment, pk = after
            same = Q(last_activity_at=moment, pk__gt=pk)
            due = due.filter(Q(last_activity_at__gt=moment) | same)
        wanted = list(due.values_list("last_activity_at", "pk")[:BATCH])
        await_placing(rule.account_id)
        # Asked again under the lock: somebody may have written since.
        rows = _due(rule).filter(pk__in=[pk for _, pk in wanted]).order_by("pk")
        erased = 0
        for session in rows.select_for_update(no_key=True):
            # Somebody may write or hold it at this moment.
            with suppress(TurnInProgress, Held), transaction.atomic():
                leave_tombstone(session)
                erased += 1
    if erased:
        _note(rule, erased_sessions=F("erased_sessions") + erased)
    return erased, wanted[-1] if wanted else None


def _erase_figures(rule: Retention) -> int:
    """Delete some empty sessions with the records of their turns, then the sums of their days."""
    if rule.figures_days is None:
        return 0
    before = timezone.now() - timedelta(days=rule.figures_days)
    with platform_context():
        await_placing(rule.account_id)
        if holds_of(rule.account_id).exists():
            # A day's sums are of all conversations, also of those that are held.
            return 0
        rows = Session.objects.filter(account_id=rule.account_id, deleted_at__isnull=False)
        old = rows.filter(last_activity_at__lt=before).order_by("last_activity_at", "pk")
        ids = list(old.values_list("pk", flat=True)[:BATCH_OF_FIGURES])
        rows.filter(pk__in=ids).delete()
        many = len(ids)
        if not many:
            totals.forget(rule.account_id)
            days = {"account_id": rule.account_id, "day__lt": before.date()}
            UsageDay.objects.filter(**days).delete()
            UsageTotal.objects.filter(**days).delete()
    if many:
        _note(rule, erased_figures=F("erased_figures") + many)
    return many


def _note(rule: Retention, **facts: object) -> None:
    with platform_context():
        Retention.objects.filter(account_id=rule.account_id).update(**facts)
