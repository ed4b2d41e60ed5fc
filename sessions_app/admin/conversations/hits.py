"""A conversation that a search found: it opens at the hit, with the way to the others."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.admin.formatting import row_address
from accounts.admin.lists.bounded import in_time
from accounts.admin.lists.keyset import KeysetAdmin
from accounts.admin.lists.neighbours import KEPT, Way, kept_filters
from sessions_app.admin.conversations.texts import open_accounts
from sessions_app.admin.filters import SessionFilters
from sessions_app.conversations.search import MessageSearch
from sessions_app.conversations.transcript import Page
from sessions_app.models import Message, Session

# The message at which the page is opened.
AT = "at"


def searched_words(form: object) -> MessageSearch | None:
    return form.searched() if isinstance(form, SessionFilters) else None


def to_first_hit(
    page: KeysetAdmin[Session], request: HttpRequest, session: Session
) -> HttpResponse | None:
    """Return the way to the newest hit, for who may read the texts; None where there is none."""
    if KEPT not in request.GET or session.account_id not in open_accounts(request):
        return None
    searched = searched_words(kept_filters(page, request))
    hits = in_time(partial(searched.hits_in, session)) if searched else None
    return HttpResponseRedirect(address(request, hits[-1])) if hits else None


def message_address(session_id: UUID, message_id: UUID, **kept: str) -> str:
    """Return the address of a message in its conversation."""
    query = urlencode(kept | {AT: str(message_id)})
    return f"{row_address(Session, session_id)}?{query}#m-{message_id}"


def address(request: HttpRequest, message: Message) -> str:
    """Return the address of a message in the conversation, within the same search."""
    kept = {KEPT: request.GET[KEPT]} if KEPT in request.GET else {}
    return message_address(message.session_id, message.pk, **kept)


def way_through(
    page: KeysetAdmin[Session],
    request: HttpRequest,
    session: Session,
    shown: Page,
    *,
    may_read: bool,
) -> dict[str, Any]:
    """Return the conversation's place in the search, its hits, and mark the words in the texts.

    The place among conversations with words tells what people wrote: it needs an access, too.
    """
    words = searched_words(kept_filters(page, request))
    if words is not None and words.account_id not in open_accounts(request):
        return {}
    way = Way.of(page, request, session)
    if way is None:
        return {}
    searched = searched_words(way.form) if may_read else None
    if searched is None or searched.account_id != session.account_id:
        return {"way": way}
    hits = in_time(partial(searched.hits_in, session)) or []
    marked = in_time(partial(searched.marked, [each.message.pk for each in shown.entries])) or {}
    for entry in shown.entries:
        entry.marked = marked.get(entry.message.pk, "")
    return {"way": way, **_among(request, hits)}


def _among(request: HttpRequest, hits: list[Message]) -> dict[str, Any]:
    """Return the number of this hit, and the addresses of the one before and the one after."""
    keys = [str(hit.pk) for hit in hits]
    at = request.GET.get(AT, "")
    place = keys.index(at) if at in keys else None
    found: dict[str, Any] = {"hits": len(hits), "hit": None if place is None else place + 1}
    if place is None:
        return found | ({"next_hit": address(request, hits[0])} if hits else {})
    if place:
        found["previous_hit"] = address(request, hits[place - 1])
    if place + 1 < len(hits):
        found["next_hit"] = address(request, hits[place + 1])
    return found
