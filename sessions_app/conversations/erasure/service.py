"""Erases a person in one account, in batches: what was interrupted is continued."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from functools import reduce
from itertools import batched
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.audit.notes import LONGEST_REASON, clean_reason
from accounts.tenancy.context import tenant_context
from sessions_app.background.stored_turns import CANCEL_SECONDS, LOOK_SECONDS
from sessions_app.conversations.erasure.mentions import (
    PLACES,
    Place,
    is_sought,
    look,
    mask,
    may_mask,
)
from sessions_app.conversations.erasure.persons import (
    Counts,
    Person,
    added,
    counts_of,
    found,
    with_copies,
)
from sessions_app.conversations.sessions import leave_tombstone
from sessions_app.models import (
    Erasure,
    IdentifierKind,
    LLMRequest,
    Profile,
    Session,
    TurnCancellation,
)
from sessions_app.operations.lifecycle.holds import (
    Held,
    await_placing,
    holds_of,
    note_refusal,
    with_hold,
)
from sessions_app.operations.lifecycle.receipts import of_person, sign
from sessions_app.turns.abandoned import settle_of_dead_processes
from sessions_app.turns.problems import TurnInProgress

# So many sessions are erased in one transaction.
BATCH = 20


def check_reason(person: Person, reason: str) -> str:
    """Return the reason as the receipt keeps it; raises ValidationError."""
    reason = clean_reason(reason, missing=f"Say why, in 1 to {LONGEST_REASON} characters.")
    if person.value.lower() in reason.lower():
        raise ValidationError("The receipt is kept: leave out the person, name the ticket instead.")
    return reason


def check_holds(person: Person) -> None:
    """Raise ValidationError where a legal hold forbids erasing the person; the log notes it."""
    person = found(person)
    with tenant_context(person.account_id):
        holds = holds_of(person.account_id)
        covered = with_hold(person.sessions()).count()
        if any(hold.is_whole for hold in holds):
            problem = "A legal hold on the whole account forbids it."
        elif covered:
            problem = f"A legal hold covers {covered} of the person's conversations."
        elif may_mask(person) and holds:
            problem = "A legal hold covers texts in which the address would be replaced."
        else:
            return
        note_refusal(person.account_id, "erasure of a person")
    raise ValidationError(f"{problem} Release it first.")


def erase(person: Person, *, reason: str, actor: str, seconds: float | None = None) -> Erasure:
    """Erase the person, and return the receipt; call it outside of any context.

    After `seconds` it stops: the receipt has no `finished_at` then, and the same call goes on. So
    it does after an interruption, and while turns do not end. The person's name stands neither in
    the receipt nor in the audit log, which has the acting person of the context. Raises
    ValidationError for the reason, and where a legal hold forbids it.
    """
    reason = check_reason(person, reason)
    check_holds(person)
    receipt_id = _begin(person, reason, actor)
    person = found(person)
    _cancel(person)
    end = None if seconds is None else time.monotonic() + seconds
    try:
        for _step in _steps(person, receipt_id):
            if end is not None and time.monotonic() > end:
                break
    except Held:
        # Placed since it began: what was erased before stays erased.
        check_holds(person)
        raise
    with tenant_context(person.account_id):
        return Erasure.objects.get(pk=receipt_id)


def _begin(person: Person, reason: str, actor: str) -> UUID:
    """Find the receipt of an erasure that has not come to its end, or make one."""
    with tenant_context(person.account_id):
        receipt, _ = Erasure.objects.get_or_create(
            account_id=person.account_id,
            person_hash=person.hash,
            finished_at=None,
            defaults={"kind": person.kind, "reason": reason, "actor": actor[:255]},
        )
        return receipt.pk


def _cancel(person: Person) -> None:
    """End the person's running turns, and wait until they are settled."""
    settle_of_dead_processes(may_trust_age=False)
    deadline, pause = time.monotonic() + CANCEL_SECONDS, LOOK_SECONDS
    while _ask_to_cancel(person) and time.monotonic() < deadline:
        time.sleep(pause)
        pause *= 1.5


def _ask_to_cancel(person: Person) -> int:
    """Ask for the end of every running turn; return how many run."""
    with tenant_context(person.account_id):
        sessions = with_copies(person.sessions().values_list("pk", flat=True))
        running = LLMRequest.objects.running().filter(session_id__in=sessions)
        turns = list(running.values_list("pk", flat=True))
        TurnCancellation.objects.bulk_create(
            [TurnCancellation(account_id=person.account_id, llm_request_id=pk) for pk in turns],
            ignore_conflicts=True,
        )
    return len(turns)


def _steps(person: Person, receipt_id: UUID) -> Iterator[None]:
    """Do all of it, one transaction a step."""
    is_erasing = True
    while is_erasing:
        is_erasing = False
        # Looked up once for all batches: each look-up reads all ids that are left.
        for some in batched(_quiet_ids(person), BATCH, strict=False):
            if _erase_some(person, receipt_id, some):
                is_erasing = True
                yield
    # Whoever was named by another spelling meanwhile is counted at the end.
    while _look_on(found(person), receipt_id):
        yield


def _quiet_ids(person: Person) -> list[UUID]:
    with tenant_context(person.account_id):
        return list(person.quiet_sessions().values_list("pk", flat=True))


def _erase_some(person: Person, receipt_id: UUID, wanted: Collection[UUID]) -> bool:
    """Erase these sessions; False where none is left of which no turn runs."""
    with tenant_context(person.account_id):
        receipt = Erasure.objects.select_for_update(no_key=True).get(pk=receipt_id)
        await_placing(person.account_id)
        # Locked by id, as everywhere; erased in the order in which they are found.
        rows = Session.objects.filter(pk__in=wanted, deleted_at=None).order_by("pk")
        locked = {each.pk: each for each in rows.select_for_update(no_key=True)}
        sessions = [locked[pk] for pk in wanted if pk in locked]
        erased = [counts for each in sessions if (counts := _erase_one(each)) is not None]
        if not erased:
            return False
        receipt.erased = reduce(added, erased, receipt.erased)
        # What was looked through before is looked through again.
        receipt.position = None
        receipt.save(update_fields=["erased", "position"])
    return True


def _erase_one(session: Session) -> Counts | None:
    """Erase one locked session with its copies; None where a turn of a copy runs."""
    counts = counts_of(with_copies([session.pk]))
    try:
        with transaction.atomic():
            leave_tombstone(session)
    except TurnInProgress:
        return None
    return counts


def _passes(person: Person) -> list[tuple[Place, bool]]:
    """Return what the scan looks at, in order, and whether it masks what it finds there."""
    if not is_sought(person):
        return []
    masked = [(place, True) for place in PLACES if may_mask(person) and not place.is_kept]
    return masked + [(place, False) for place in PLACES]


def _look_on(person: Person, receipt_id: UUID) -> bool:
    """Look through one page of one table; False at the end, where the receipt is finished."""
    with tenant_context(person.account_id):
        receipt = Erasure.objects.select_for_update(no_key=True).get(pk=receipt_id)
        if receipt.finished_at is not None:
            return False
        if receipt.position is None:
            receipt.remaining, receipt.kept = {}, {}
        position = receipt.position or {"place": 0, "after": None}
        passes = _passes(person)
        if position["place"] == len(passes):
            _finish(person, receipt)
            return False
        place, masks = passes[position["place"]]
        if masks:
            await_placing(person.account_id)
            if holds_of(person.account_id).exists():
                raise Held("A text that names the person")
        page = look(person, place, position["after"])
        if page.ids:
            _note(person, receipt, place, page.ids, masks=masks)
        at = position["place"] + (page.after is None)
        receipt.position = {"place": at, "after": page.after}
        receipt.save(update_fields=["masked", "remaining", "kept", "position"])
    return True


def _note(person: Person, receipt: Erasure, place: Place, ids: list[UUID], *, masks: bool) -> None:
    many = {place.table: len(ids)}
    if masks:
        mask(person, place, ids)
        receipt.masked = added(receipt.masked, many)
    elif place.is_kept or not may_mask(person):
        receipt.kept = added(receipt.kept, many)
    else:
        receipt.remaining = added(receipt.remaining, many)


def _finish(person: Person, receipt: Erasure) -> None:
    """Count what is left of the person's own rows; the receipt is finished if that is nothing."""
    left = counts_of(with_copies(person.sessions().values_list("pk", flat=True)))
    if person.kind == IdentifierKind.EMAIL:
        profiles = Profile.objects.filter(email__in=person.known.spellings).count()
        left["profiles"] = max(left.get("profiles", 0), profiles)
    elif person.kind == IdentifierKind.SESSION:
        left = left or counts_of([UUID(person.value)])
    changes: dict[str, Any] = {"position": None}
    receipt.remaining = added(receipt.remaining, left)
    if not receipt.remaining:
        changes["finished_at"] = timezone.now()
    for name, value in changes.items():
        setattr(receipt, name, value)
    if receipt.finished_at is not None:
        changes["signature"] = receipt.signature = sign(of_person(receipt))
    receipt.save(update_fields=["remaining", *changes])
