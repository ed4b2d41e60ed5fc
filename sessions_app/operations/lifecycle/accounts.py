"""Erases a whole account, in steps that are each repeated where they were interrupted."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection
from django.utils import timezone
from psycopg import sql

from accounts.audit.notes import clean_reason
from accounts.models import Account, AccountStatus
from accounts.models.slugs import is_slug
from accounts.tenancy.context import platform_context
from accounts.tenancy.renames import former_slugs_of
from accounts.tenancy.roles import tenant_tables
from agents.config import config_dir
from salient.tasks.jobs import only_one
from sessions_app.models import (
    AccountErasure,
    LLMRequest,
    Session,
    TurnCancellation,
)
from sessions_app.operations.lifecycle.holds import await_placing, holds_of, note_refusal
from sessions_app.operations.lifecycle.receipts import of_account, sign
from sessions_app.usage import totals

logger = logging.getLogger(__name__)

# So many sessions are deleted in one transaction, with all that was said in them.
BATCH = 100
# Deleting the rest takes one statement.
LONG_SECONDS = 900
NO_REASON = "Say why: a ticket's number. The receipt keeps it."
# The step of an order that does not go on: only who orders the erasure again continues it.
WITHDRAWN = "withdrawn"
FILES = "files"

type Counts = dict[str, int]


def count_rows(account_id: UUID) -> Counts:
    """Count the account's rows by table; tables without are left out. In the platform context."""
    found: Counts = {}
    with connection.cursor() as cursor:
        for table in tenant_tables():
            query = sql.SQL("SELECT count(*) FROM {} WHERE account_id = %s")
            cursor.execute(query.format(sql.Identifier(table)), [account_id])
            [many] = cursor.fetchone()
            if many:
                found[table] = many
    return found


def check(account: Account) -> None:
    """Raise ValidationError where the account must not be erased; the log notes a hold."""
    if account.status != AccountStatus.DELETED:
        raise ValidationError("Archive the account first: then nothing of it changes any more.")
    with platform_context():
        if not holds_of(account.pk).exists():
            return
        note_refusal(account.pk, "erasure of the account")
    raise ValidationError("A legal hold forbids erasing it. Release it first.")


def begin(account: Account, *, reason: str, actor: str) -> AccountErasure:
    """Order the erasure, or return the one that was ordered; the worker does it.

    One that was withdrawn, because the account was resumed meanwhile, begins anew.

    Raises ValidationError without a reason, for an account that is not archived, and where a legal
    hold forbids it. Call it outside of any context.
    """
    reason = clean_reason(reason, missing=NO_REASON)
    check(account)
    with platform_context():
        ordered = {"slug": account.slug, "reason": reason, "actor": actor[:255]}
        made, is_new = AccountErasure.objects.get_or_create(erased_id=account.pk, defaults=ordered)
        if not is_new:
            again = AccountErasure.objects.filter(pk=made.pk, step=WITHDRAWN)
            # The rows are others by now, and are counted again.
            again.update(**ordered, step="", error="", rows={})
    return read(made.pk)


def continue_all(seconds: float) -> int:
    """Go on with what was ordered for at most so long; return how many came to their end."""
    end = time.monotonic() + seconds
    with platform_context():
        rows = AccountErasure.objects.filter(finished_at=None).exclude(step=WITHDRAWN)
        open_ones = list(rows.order_by("created_at"))
    done = 0
    for each in open_ones:
        if time.monotonic() > end:
            break
        done += work(each, seconds=end - time.monotonic()).finished_at is not None
    return done


def work(erasure: AccountErasure, *, seconds: float = float("inf")) -> AccountErasure:
    """Erase until it is done or the time is over; one process at a time. Returns the receipt.

    Without `finished_at` the same call goes on: `error` and `remaining` say what is in the way.
    """
    end = time.monotonic() + seconds
    with only_one(f"erase-account/{erasure.pk}") as is_mine:
        try:
            for _step in _steps(erasure.pk) if is_mine else ():
                if time.monotonic() > end:
                    break
        except DatabaseError as error:
            logger.exception("The erasure %s was interrupted", erasure.pk)
            _note(erasure.pk, error=type(error).__name__)
    return read(erasure.pk)


def erasure_of(account_id: UUID) -> AccountErasure | None:
    """Return the erasure of an account that is still there; inside the platform context.

    None also where it was withdrawn.
    """
    rows = AccountErasure.objects.filter(erased_id=account_id)
    return rows.exclude(step=WITHDRAWN).first()


def unfinished_of(slug: str) -> AccountErasure | None:
    """Return the newest erasure that goes on, of an account that had this slug."""
    with platform_context():
        rows = AccountErasure.objects.filter(slug=slug, finished_at=None).exclude(step=WITHDRAWN)
        return rows.first()


def read(erasure_id: UUID) -> AccountErasure:
    with platform_context():
        return AccountErasure.objects.get(pk=erasure_id)


def _steps(erasure_id: UUID) -> Iterator[None]:
    """Do all of it, one transaction a step; it ends early where something is in the way."""
    erasure = read(erasure_id)
    if erasure.finished_at is not None or erasure.step == WITHDRAWN:
        return
    account_id = erasure.erased_id
    with platform_context():
        account = Account.objects.filter(pk=account_id).first()
    if account is not None:
        if account.status != AccountStatus.DELETED:
            _note(erasure_id, step=WITHDRAWN, error="The account was resumed: order it again.")
            return
        if _running_turns(account_id):
            _note(erasure_id, step="waiting for running answers", error="")
            return
        if not erasure.rows:
            _note(erasure_id, step="counting rows")
            with platform_context(statement_seconds=LONG_SECONDS):
                rows = count_rows(account_id)
            _note(erasure_id, rows=rows)
            yield
        _note(erasure_id, step="erasing conversations", error="")
        while _erase_sessions(erasure_id, account_id):
            yield
        with platform_context():
            may_go_on = _locked(account_id) is not None
        if not may_go_on:
            _note(erasure_id, step="stopped", error="A legal hold forbids it, or it was resumed.")
            return
        _note(erasure_id, step="removing files")
        _remove_files(erasure_id, account_id)
        _note(erasure_id, step="erasing the account")
        _erase_account(erasure_id, account_id)
        yield
    _note(erasure_id, step="scanning all tables")
    _finish(erasure_id, account_id)


def _running_turns(account_id: UUID) -> int:
    """Ask for the end of the account's running turns; return how many run."""
    with platform_context():
        running = LLMRequest.objects.running().filter(account_id=account_id)
        turns = list(running.values_list("pk", flat=True))
        TurnCancellation.objects.bulk_create(
            [TurnCancellation(account_id=account_id, llm_request_id=pk) for pk in turns],
            ignore_conflicts=True,
        )
    return len(turns)


def _locked(account_id: UUID) -> Account | None:
    """Lock the account, in a context; None where it was resumed, or is held.

    Whoever resumes it or holds it at this moment comes before or after, never between.
    """
    await_placing(account_id)
    rows = Account.objects.filter(pk=account_id, status=AccountStatus.DELETED)
    account: Account | None = rows.select_for_update().first()
    return None if account is None or holds_of(account_id).exists() else account


def _erase_sessions(erasure_id: UUID, account_id: UUID) -> int:
    """Delete some sessions with all that hangs on them; 0 where none is left, or one is held."""
    with platform_context(statement_seconds=LONG_SECONDS):
        if _locked(account_id) is None:
            return 0
        rows = Session.objects.filter(account_id=account_id)
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        rows.filter(pk__in=ids).delete()
        erasure = AccountErasure.objects.get(pk=erasure_id)
        AccountErasure.objects.filter(pk=erasure_id).update(
            sessions_erased=erasure.sessions_erased + len(ids)
        )
    return len(ids)


def _remove_files(erasure_id: UUID, account_id: UUID) -> None:
    """Remove the account's folders of configuration files; what this server cannot is named."""
    with platform_context(statement_seconds=LONG_SECONDS):
        account = _locked(account_id)
        if account is None:
            return
        # Those of its other slugs hold what was copied before or after it was renamed.
        slugs = {account.folder, account.slug, *(each.slug for each in former_slugs_of(account_id))}
        places = [config_dir() / slug for slug in slugs if is_slug(slug)]
        places = [place for place in places if place.exists()]
        erasure = AccountErasure.objects.get(pk=erasure_id)
        found = [file for place in places for file in (place, *place.rglob("*"))]
        # What an interrupted run has removed before stands in the receipt as well.
        names = {str(file.relative_to(config_dir())) for file in found}
        erasure.files = sorted({*erasure.files, *names})
        erasure.save(update_fields=["files"])
    for place in places:
        if place.is_symlink():
            place.unlink()
        else:
            shutil.rmtree(place, ignore_errors=True)


def _erase_account(erasure_id: UUID, account_id: UUID) -> None:
    with platform_context(statement_seconds=LONG_SECONDS):
        account = _locked(account_id)
        if account is None:
            return
        # The log has grown by what the erasure itself did.
        erasure = AccountErasure.objects.get(pk=erasure_id)
        last = count_rows(account_id)
        rows = {table: max(many, erasure.rows.get(table, 0)) for table, many in last.items()}
        AccountErasure.objects.filter(pk=erasure_id).update(rows=erasure.rows | rows)
        totals.forget(account_id)
        Account.objects.filter(pk=account_id).delete()


def _finish(erasure_id: UUID, account_id: UUID) -> None:
    """Scan every table and the files; the receipt is finished and signed if nothing is left."""
    with platform_context(statement_seconds=LONG_SECONDS):
        erasure = AccountErasure.objects.get(pk=erasure_id)
        remaining = count_rows(account_id)
        if Account.objects.filter(pk=account_id).exists():
            remaining["accounts"] = 1
        left = [name for name in erasure.files if (config_dir() / name).exists()]
        if left:
            remaining[FILES] = len(left)
        erasure.remaining, erasure.step = remaining, "not complete"
        erasure.error = "Files are left: remove them by hand." if left else ""
        if not remaining:
            erasure.step, erasure.finished_at = "complete", timezone.now()
            erasure.signature = sign(of_account(erasure))
        erasure.save(update_fields=["remaining", "step", "error", "finished_at", "signature"])


def _note(erasure_id: UUID, **facts: object) -> None:
    with platform_context():
        AccountErasure.objects.filter(pk=erasure_id).update(**facts)
