"""One search for everything: account, agent, key, person, session or LLM request.

A text is read once for what it can be: an id, a key's text, an e-mail address, or a name. Each
kind is one query of a few rows, and ids, keys and e-mail addresses are found by indexes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from accounts.members.email_addresses import beginning_with, with_address
from accounts.models import Account, ApiKey, Invitation, Membership, User
from agents.models import AgentInstance
from salient.formatting import moment
from salient.ids import parse_uuid
from sessions_app.conversations.search import sessions_of
from sessions_app.models import LLMRequest, Session

MOST_OF_A_KIND, MOST = 5, 20
LONGEST, SHORTEST_NAME = 300, 2
# A key as it is shown or whole; its id alone.
KEY = re.compile(r"(?:sal_[a-z]{2}_)?([0-9A-Za-z]{12})(?:_\S*)?")
# The beginning of a key, while it is typed; it is looked for as names are.
BEGUN_KEY = re.compile(r"sal_[a-z]{2}_([0-9A-Za-z]{3,11})")
# Responses of OpenAI's API are named by their turns.
RESPONSE = re.compile(r"resp_([0-9a-f]{32})")
# The words of each kind, in the order in which they are shown.
WORDS: dict[type[Model], str] = {
    Account: "Account",
    AgentInstance: "Agent",
    ApiKey: "API key",
    User: "Person",
    Membership: "Member",
    Invitation: "Invitation",
    Session: "Session",
    LLMRequest: "LLM request",
}

# Says whether rows of a model may be shown to who asks.
type May = Callable[[type[Model]], bool]


@dataclass(frozen=True, slots=True)
class Found:
    """A row that was found, what it is called, and what tells it from others of that name."""

    row: Model
    name: str
    more: str = ""

    @property
    def kind(self) -> str:
        return WORDS[type(self.row)]


def look_up(text: str, may: May) -> list[Found]:
    """Find what a text names, of the kinds that may be shown; inside a context.

    In a tenant's context it finds what is the account's own.
    """
    text = " ".join(text[:LONGEST].split()).replace("\x00", "")
    wanted = [each for each in _queries(text) if may(each.model)]
    found = chain.from_iterable(map(_read, wanted))
    return list(islice(found, MOST))


def _queries(text: str) -> Iterator[QuerySet[Any]]:
    response = RESPONSE.fullmatch(text)
    if key := parse_uuid(response[1] if response else text):
        yield from _by_id(key)
    elif "@" in text:
        yield from _by_person(text)
    elif text.startswith("sal_"):
        yield from _by_key(text)
    elif len(text) >= SHORTEST_NAME:
        yield from _by_name(text)


def _by_id(key: UUID) -> Iterator[QuerySet[Any]]:
    for model in (Session, LLMRequest, Account, AgentInstance, ApiKey, User):
        yield _rows(model).filter(pk=key)


def _by_key(text: str) -> Iterator[QuerySet[Any]]:
    if (found := KEY.fullmatch(text)) is not None:
        yield _rows(ApiKey).filter(key_id=found[1])
    elif (begun := BEGUN_KEY.fullmatch(text)) is not None:
        yield _rows(ApiKey).filter(key_id__startswith=begun[1]).order_by("key_id")


def _by_person(text: str) -> Iterator[QuerySet[Any]]:
    """Find staff and members, the invited, and the conversations of end users."""
    yield beginning_with(_rows(User), "email", text)
    yield with_address(_rows(Membership), "user__email", text).order_by("created_at")
    yield with_address(_rows(Invitation), "email", text).order_by("-created_at")
    yield _sessions_of(text)


def _sessions_of(who: str) -> QuerySet[Any]:
    return _rows(Session).filter(pk__in=sessions_of(who)).order_by("-last_activity_at")


def _by_name(text: str) -> Iterator[QuerySet[Any]]:
    yield _rows(Account).filter(Q(slug__icontains=text) | Q(name__icontains=text)).order_by("slug")
    named = Q(instance_slug__icontains=text) | Q(display_name__icontains=text)
    account, slash, agent = text.partition("/")
    if slash:
        named = Q(account__slug=account, instance_slug__startswith=agent)
    yield _rows(AgentInstance).filter(named).order_by("instance_slug")
    keys = Q(name__icontains=text)
    if KEY.fullmatch(text):
        keys |= Q(key_id=text[:12])
    yield _rows(ApiKey).filter(keys).order_by("-created_at")
    yield beginning_with(_rows(User), "email", text)
    yield _sessions_of(text)


def _rows(model: type[Model]) -> QuerySet[Any]:
    rows: QuerySet[Any] = model._default_manager.order_by()
    joined: dict[type[Model], tuple[str, ...]] = {
        AgentInstance: ("account",),
        ApiKey: ("account",),
        Membership: ("account", "user"),
        Invitation: ("account",),
        Session: ("account", "agent_instance"),
        LLMRequest: ("account", "agent_instance"),
    }
    if model in joined:
        rows = rows.select_related(*joined[model])
    if model in {User, Membership}:
        # The columns of people that an account may read.
        before = "user__" if model is Membership else ""
        people = [f"{before}{name}" for name in ("email", "first_name", "last_name")]
        return rows.only(*people, *(["role", "account__slug"] if before else []))
    # Texts, and the key of a visitor's cookie, are not needed.
    if model is LLMRequest:
        return rows.defer("request_body", "response_body")
    return rows.defer("session_key") if model is Session else rows


def _read(rows: QuerySet[Any]) -> Iterator[Found]:
    for row in rows[:MOST_OF_A_KIND]:
        yield found_row(row)


def found_row(row: Any) -> Found:
    """Name a row as the results show it."""
    name, more = str(row), ""
    match row:
        case Account():
            name, more = row.name, row.slug
        case AgentInstance():
            name, more = row.display_name, row.full_slug
        case ApiKey():
            name, more = row.name, f"{row.shown_id} of {row.account.slug}"
        case User():
            more = row.get_full_name()
        case Membership():
            name, more = row.user.email, f"{row.role} of {row.account.slug}"
        case Invitation():
            name, more = row.email, f"{row.role} of {row.account.slug}"
        case Session():
            name, more = _agent_of(row), moment(row.last_activity_at)
        case LLMRequest():
            name, more = _agent_of(row), f"{row.completion_status}, {moment(row.created_at)}"
    return Found(row, name, more)


def _agent_of(row: Any) -> str:
    return f"{row.account.slug}/{row.agent_instance.instance_slug}"
