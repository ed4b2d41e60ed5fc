"""Finding conversations: by the words in them, within one account, or by the person."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchHeadline, SearchQuery
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from agents.models import AgentInstance
from sessions_app.models import SEARCHED, SEARCHED_TEXT, Message, Session

# A search looks at this many of the newest messages with the words, however common they are.
MOST_HITS = 1000
# So many hits of one conversation are walked through.
MOST_IN_SESSION = 200
# Put around the words that were found; no text that people write contains them.
_START, _STOP = "\x02", "\x03"


@dataclass(frozen=True, slots=True)
class Snippet:
    """The newest message of a conversation with the words: who said it, and its text around them.

    The words are in <mark>.
    """

    said_by: str
    text: SafeString


@dataclass(frozen=True, slots=True)
class MessageSearch:
    """Words that were said in an account: by whom, to which agent, by which person, and when.

    `text` is read as search engines do: "a phrase", or, -not. `who` is an e-mail address or an end
    user; `end` is the first moment that is not wanted. Everything here runs inside a context; the
    tenant's role finds words by time alone, because under its policies no index finds words.
    """

    account_id: UUID
    text: str
    role: str = ""
    instance_id: UUID | None = None
    who: str = ""
    begin: datetime | None = None
    end: datetime | None = None

    def hits(self) -> QuerySet[Message]:
        """Return the messages with the words, the newest first: a bounded walk of an index."""
        rows = messages_with(self.account_id, self.text)
        if self.role:
            rows = rows.filter(role=self.role)
        if self.instance_id is not None:
            rows = said_to(self.instance_id, rows)
        if self.who:
            rows = rows.filter(session_id__in=sessions_of(self.who))
        if self.begin is not None:
            rows = rows.filter(created_at__gte=self.begin)
        if self.end is not None:
            rows = rows.filter(created_at__lt=self.end)
        return rows.order_by("-created_at", "-id")

    def sessions(self) -> tuple[set[UUID], bool]:
        """Return the conversations of the newest hits, and whether there may be older ones."""
        found = list(self.hits().values_list("session_id", flat=True)[:MOST_HITS])
        return set(found), len(found) == MOST_HITS

    def snippets(self, sessions: Collection[UUID]) -> dict[UUID, Snippet]:
        """Return the newest hit of each of these conversations."""
        newest = self.hits().filter(session_id__in=sessions)
        newest = newest.order_by("session_id", "-created_at", "-id").distinct("session_id")
        headline = _headline(SEARCHED_TEXT, self.text, min_words=8, max_words=20)
        rows = newest.annotate(headline=headline).only("session_id", "role")
        return {row.session_id: Snippet(row.role_name, _marked(row.headline)) for row in rows}

    def hits_in(self, session: Session) -> list[Message]:
        """Return where the words stand in a conversation, the first hit first; without texts."""
        rows = self.hits().filter(
            session_id=session.pk, agent_instance_id=session.agent_instance_id
        )
        return list(rows.only("created_at", "session_id")[:MOST_IN_SESSION])[::-1]

    def marked(self, messages: Iterable[UUID]) -> dict[UUID, SafeString]:
        """Return the whole texts of those of the messages that are hits, with the words marked."""
        rows = self.hits().filter(pk__in=list(messages))
        whole = _headline("content", self.text, highlight_all=True)
        found = rows.annotate(headline=whole).values_list("pk", "headline")
        return {key: _marked(text) for key, text in found}


def messages_with(account_id: UUID, text: str) -> QuerySet[Message]:
    """Return the account's messages with the words in the indexed part of their text."""
    rows: QuerySet[Message] = Message.objects.filter(account_id=account_id)
    return rows.alias(searched=SEARCHED).filter(searched=_words_of(text))


def said_to(instance_id: UUID, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Return those of an agent.

    As text, so that the index of all of the agent's messages is not read beside the words'.
    """
    agent = Cast("agent_instance_id", TextField())
    return messages.alias(agent=agent).filter(agent=str(instance_id))


def sessions_of(who: str) -> QuerySet[Session, Any]:
    """Return the ids of the sessions of one e-mail address or end user, each by its index."""
    by_email = Session.objects.filter(email__in={who, who.lower()}).order_by()
    # End users are indexed within their instance.
    by_name = Session.objects.filter(
        agent_instance__in=AgentInstance.objects.order_by().values("pk"), end_user=who
    ).order_by()
    return by_email.values("pk").union(by_name.values("pk"))


def _words_of(text: str) -> SearchQuery:
    return SearchQuery(text, config="simple", search_type="websearch")


def _headline(of: Any, text: str, **options: Any) -> SearchHeadline:
    query = _words_of(text)
    return SearchHeadline(of, query, config="simple", start_sel=_START, stop_sel=_STOP, **options)


def _marked(headline: str) -> SafeString:
    text = escape(headline).replace(_START, "<mark>").replace(_STOP, "</mark>")
    return mark_safe(text)  # noqa: S308 - escaped above
