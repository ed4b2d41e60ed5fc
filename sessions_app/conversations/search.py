"""Finding conversations: by the words in them, within one account, or by the person."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchHeadline, SearchQuery
from django.db.models import QuerySet
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from agents.models import AgentInstance
from sessions_app.models import SEARCHED, SEARCHED_TEXT, Message, Session

# A search looks at this many of the newest messages with the words, however common they are.
MOST_HITS = 1000
# Put around the words that were found; no text that people write contains them.
_START, _STOP = "\x02", "\x03"


def words_of(text: str) -> SearchQuery:
    """Read the words of a search: "a phrase", or, -not."""
    return SearchQuery(text, config="simple", search_type="websearch")


def messages_with(account_id: UUID, text: str) -> QuerySet[Message]:
    """Return the account's messages with the words in the indexed part of their text."""
    rows: QuerySet[Message] = Message.objects.filter(account_id=account_id)
    return rows.alias(searched=SEARCHED).filter(searched=words_of(text))


def sessions_with(account_id: UUID, text: str) -> set[UUID]:
    """Return the ids of the sessions of the newest messages with the words."""
    hits = messages_with(account_id, text).order_by("-created_at", "-id")
    return set(hits.values_list("session_id", flat=True)[:MOST_HITS])


def snippets(account_id: UUID, text: str, sessions: Collection[UUID]) -> dict[UUID, SafeString]:
    """Return each session's newest text around the words, with the words in <mark>."""
    headline = SearchHeadline(
        SEARCHED_TEXT,
        words_of(text),
        config="simple",
        start_sel=_START,
        stop_sel=_STOP,
        min_words=8,
        max_words=20,
    )
    newest = messages_with(account_id, text).filter(session_id__in=sessions)
    newest = newest.order_by("session_id", "-created_at", "-id").distinct("session_id")
    found = newest.annotate(headline=headline).values_list("session_id", "headline")
    return {session: _marked(text) for session, text in found}


def _marked(headline: str) -> SafeString:
    text = escape(headline).replace(_START, "<mark>").replace(_STOP, "</mark>")
    return mark_safe(text)  # noqa: S308 - escaped above


def sessions_of(who: str) -> QuerySet[Session, Any]:
    """Return the ids of the sessions of one e-mail address or end user, each by its index."""
    by_email = Session.objects.filter(email=who).order_by()
    # End users are indexed within their instance.
    by_name = Session.objects.filter(
        agent_instance__in=AgentInstance.objects.order_by().values("pk"), end_user=who
    ).order_by()
    return by_email.values("pk").union(by_name.values("pk"))
