"""Lists a caller's sessions, with filters; a page costs little, whatever is filtered."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from uuid import UUID

from django.db.models import F, Q
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThanOrEqual

from accounts.auth.decorators import Caller
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import AgentInstance
from salient.cursor import Cursor, older, page_of
from sessions_app.api.session_schemas import SessionsIn, SessionsOut, SessionStatus
from sessions_app.conversations.history import own_sessions, sees_account, session_out
from sessions_app.conversations.search import MOST_HITS, messages_with, said_to
from sessions_app.models import SessionQuerySet

# Where no index finds what is filtered, a page looks at so many sessions and then ends.
MOST_LOOKED_AT = 2_000


def list_sessions(caller: Caller, instance: AgentInstance, page: SessionsIn) -> SessionsOut:
    """List one page: of a visitor the one session, of an end user their own, of a key all.

    A page may hold fewer than were asked for, or none, before the last one.
    """
    found = None if page.q is None else _with_words(caller, instance, page.q)
    with tenant_context(caller.account_id):
        sessions = _indexed(own_sessions(caller, instance), page)
        if page.place is not None:
            sessions = older(sessions, "last_activity_at", page.place)
        newest, end = sessions.order_by("-last_activity_at", "-id"), None
        rest = _unindexed(page)
        if found is not None:
            newest = newest.filter(pk__in=found)
        elif rest is not None:
            end = _end_of_look(newest)
            if end is not None:
                place = Tuple(F("last_activity_at"), F("id"))
                newest = newest.filter(TupleGreaterThanOrEqual(place, (end.moment, end.id)))
        # One more than the page holds: if it is there, there is another page.
        rows = list((newest if rest is None else newest.filter(rest))[: page.limit + 1])
    shown, cursor = page_of(rows, page.limit, "last_activity_at")
    cursor = cursor or (None if end is None else str(end))
    data = [session_out(caller, each) for each in shown]
    return SessionsOut.of_page(data, cursor, sessions=data, before=cursor)


def _with_words(caller: Caller, instance: AgentInstance, words: str) -> set[UUID]:
    """Return the sessions of the newest messages with the words.

    In the platform's context, because under row-level security no index finds words. What it gives
    is ids; the sessions are read in the account's own context.
    """
    with platform_context():
        hits = messages_with(caller.account_id, words)
        hits = said_to(instance.pk, hits)
        if not sees_account(caller):
            own = own_sessions(caller, instance).filter(account_id=caller.account_id)
            hits = hits.filter(session_id__in=own.order_by().values("pk"))
        newest = hits.order_by("-created_at", "-id")
        return set(newest.values_list("session_id", flat=True)[:MOST_HITS])


def _indexed(sessions: SessionQuerySet, page: SessionsIn) -> SessionQuerySet:
    """Apply the filters whose sessions an index of the lists has side by side."""
    _, (first, last) = page.days()
    # Nothing is active before it is there.
    for day in filter(None, (first, page.created_from)):
        sessions = sessions.filter(last_activity_at__gte=_begin(day))
    if last is not None:
        sessions = sessions.filter(last_activity_at__lte=_end(last))
    if page.end_user is not None:
        sessions = sessions.filter(end_user=page.end_user)
    if page.status is SessionStatus.CLOSED:
        sessions = sessions.filter(closed_at__isnull=False)
    return sessions


def _unindexed(page: SessionsIn) -> Q | None:
    """Return the condition of the other filters, None where there is none of them."""
    (first, last), _ = page.days()
    rest = Q()
    if first is not None:
        rest &= Q(created_at__gte=_begin(first))
    if last is not None:
        rest &= Q(created_at__lte=_end(last))
    if page.status is SessionStatus.OPEN:
        rest &= Q(closed_at=None)
    return rest or None


def _end_of_look(newest: SessionQuerySet) -> Cursor | None:
    """Return the place of the last session that a page looks at; None where it looks at all."""
    last = slice(MOST_LOOKED_AT - 1, MOST_LOOKED_AT)
    places = [Cursor(*place) for place in newest.values_list("last_activity_at", "pk")[last]]
    return places[0] if places else None


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _end(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)
