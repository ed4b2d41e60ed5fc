"""A person in an account: which sessions are theirs, and how many rows hold something of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import replace
from dataclasses import dataclass
from itertools import batched
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Case, CharField, Exists, IntegerField, OuterRef, QuerySet, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Lower
from django.utils.crypto import salted_hmac

from accounts.models import User, WebhookDelivery
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import AgentInstance
from sessions_app.models import (
    Erasure,
    IdentifierKind,
    LLMRequest,
    Message,
    MessageFeedback,
    Profile,
    SavedChat,
    SavedChatRun,
    Session,
    TurnEventBatch,
)

LONGEST_IDENTIFIER = 255
# So many sessions are counted by one statement for each table.
COUNTED_AT_ONCE = 500

type Counts = dict[str, int]


class Known(NamedTuple):
    """How an address is spelled in the account's rows, and the users who have it."""

    spellings: Collection[str] = ()
    users: Collection[UUID] = ()


NOTHING_KNOWN = Known()


@dataclass(frozen=True, slots=True)
class Person:
    """One identifier in one account; an address is looked up first, by `found()`."""

    account_id: UUID
    kind: IdentifierKind
    value: str
    known: Known = NOTHING_KNOWN

    @classmethod
    def read(cls, account_id: UUID, kind: str, text: str) -> Self:
        """Read an identifier as people type it; raises ValidationError."""
        value = text.strip()
        # What a command line gives may hold bytes that are no text.
        is_text = "\0" not in value and value.encode(errors="ignore").decode() == value
        if not value or len(value) > LONGEST_IDENTIFIER or not is_text:
            raise ValidationError(f"Give 1 to {LONGEST_IDENTIFIER} characters.")
        if kind == IdentifierKind.EMAIL:
            validate_email(value)
            value = value.lower()
        elif kind == IdentifierKind.SESSION:
            try:
                value = str(UUID(value))
            except ValueError as error:
                raise ValidationError(f"“{value}” is no session's id.") from error
        return cls(account_id, IdentifierKind(kind), value)

    @property
    def hash(self) -> str:
        """What receipts hold in place of the identifier: 64 hex digits, keyed by SECRET_KEY."""
        text = f"{self.account_id}:{self.kind.value}:{self.value}"
        return salted_hmac("sessions_app.erasure", text, algorithm="sha256").hexdigest()

    def sessions(self) -> QuerySet[Session]:
        """Return the sessions of a `found()` person that are not deleted; inside a context.

        The one that is the identifier comes last: by it the others are found.
        """
        rows = Session.objects.filter(account_id=self.account_id, deleted_at=None)
        last = Case(
            When(pk=self.value if self.kind == IdentifierKind.SESSION else None, then=1),
            default=0,
            output_field=IntegerField(),
        )
        # Each part by its index: joined by OR, or as a subquery whose rows the planner guesses at,
        # they would read all of the account's sessions.
        ids = {pk for part in self._parts() for pk in part}
        return rows.filter(pk__in=ids).order_by(last, "pk")

    def _parts(self) -> Iterator[QuerySet[Any, Any]]:
        """Yield the ids of the person's sessions, by each way in which they are theirs."""
        sessions = (
            Session.objects.filter(account_id=self.account_id)
            .order_by()
            .values_list("pk", flat=True)
        )
        match self.kind:
            case IdentifierKind.EMAIL:
                yield sessions.filter(email__in=self.known.spellings)
                yield sessions.filter(user_id__in=self.known.users)
                profiles = Profile.objects.filter(account_id=self.account_id)
                profiles = profiles.filter(email__in=self.known.spellings)
                yield profiles.order_by().values_list("session_id", flat=True)
            case IdentifierKind.END_USER:
                # End users are indexed within their agent.
                agents = AgentInstance.objects.filter(account_id=self.account_id).order_by()
                yield sessions.filter(
                    agent_instance_id__in=agents.values("pk"), end_user=self.value
                )
            case _:
                yield sessions.filter(pk=self.value)
                yield from self._of_visitor()

    def _of_visitor(self) -> Iterator[QuerySet[Any, Any]]:
        """Yield the ids of the threads of the visitor whose session is named.

        Chat pages send each message with an Idempotency-Key, by which a caller's turns are indexed.
        """
        turns = LLMRequest.objects.filter(session_id=self.value, caller__startswith="visitor:")
        if callers := set(turns.values_list("caller", flat=True)):
            own = LLMRequest.objects.filter(
                account_id=self.account_id, caller__in=callers, idempotency_key__isnull=False
            )
            yield own.order_by().values_list("session_id", flat=True)

    def quiet_sessions(self) -> QuerySet[Session]:
        """Return those of the sessions in which no turn runs."""
        running = LLMRequest.objects.running().filter(
            account_id=OuterRef("account_id"), session_id=OuterRef("pk")
        )
        return self.sessions().filter(~Exists(running))


def found(person: Person) -> Person:
    """Return the person with what their address is found by; outside of any context.

    An address is compared in lower case. Under a tenant's policies no index does that, so its
    spellings in the account's rows are looked up as the platform. PostgreSQL's lower() turns the
    Kelvin sign into a “k”: whose address that is stays, as in upper case the two differ.
    """
    if person.kind != IdentifierKind.EMAIL:
        return person
    upper = person.value.upper()
    with platform_context():
        spellings: set[str] = set()
        for model in (Session, Profile):
            rows: Any = model._default_manager.order_by().alias(folded=Lower("email"))
            rows = rows.filter(folded=person.value).values_list("account_id", "email").distinct()
            # Few rows have the address in any account; the account's own rows are many.
            spellings.update(email for account_id, email in rows if account_id == person.account_id)
        users = User.objects.alias(folded=Lower("email")).filter(folded=person.value)
        people = {pk for pk, email in users.values_list("pk", "email") if email.upper() == upper}
    own = {email for email in spellings if email.upper() == upper}
    return replace(person, known=Known(own, people))


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is of a person: rows by table, turns that run, earlier receipts."""

    counts: Counts
    running: int
    receipts: list[Erasure]

    @property
    def is_empty(self) -> bool:
        return not self.counts


def survey(person: Person) -> Survey:
    """Look what would be erased, and change nothing."""
    person = found(person)
    with tenant_context(person.account_id):
        ids = list(person.sessions().values_list("pk", flat=True))
        running = LLMRequest.objects.running().filter(session_id__in=ids)
        earlier = Erasure.objects.filter(person_hash=person.hash).order_by("-created_at", "-id")
        return Survey(counts_of(with_copies(ids)), running.count(), list(earlier[:10]))


def with_copies(ids: Iterable[UUID]) -> list[UUID]:
    """Add the sessions of test chats in which these sessions' texts were sent again."""
    known = list(ids)
    added: Collection[UUID] = known
    while added:
        found = [
            pk
            for some in batched(added, COUNTED_AT_ONCE, strict=False)
            for pk in Session.objects.filter(copied_from__in=some, deleted_at=None).values_list(
                "pk", flat=True
            )
        ]
        known += found
        added = found
    return known


def counts_of(ids: Iterable[UUID]) -> Counts:
    """Count the rows by table that hold something of these sessions; those without are left out."""
    found: Counter[str] = Counter()
    for some in batched(ids, COUNTED_AT_ONCE, strict=False):
        found.update({table: rows.count() for table, rows in _rows_of(some)})
    return {table: many for table, many in found.items() if many}


def _rows_of(ids: Collection[UUID]) -> Iterator[tuple[str, QuerySet[Any]]]:
    yield "sessions", Session.objects.filter(pk__in=ids, deleted_at=None)
    yield "messages", Message.objects.filter(session_id__in=ids)
    yield "profiles", Profile.objects.filter(session_id__in=ids)
    yield "message_feedback", MessageFeedback.objects.filter(session_id__in=ids)
    requests = LLMRequest.objects.filter(session_id__in=ids)
    yield (
        "llm_requests",
        requests.exclude(request_body__isnull=True, response_body__isnull=True, caller=""),
    )
    yield (
        "turn_event_batches",
        TurnEventBatch.objects.filter(llm_request_id__in=requests.values("pk")),
    )
    yield "saved_chats", SavedChat.objects.filter(session_id__in=ids)
    yield "saved_chat_runs", SavedChatRun.objects.filter(saved_chat__session_id__in=ids)
    session = Cast(KeyTextTransform("session_id", "data"), CharField())
    sent = WebhookDelivery.objects.filter(data__has_key="end_user").alias(session=session)
    named = sent.filter(session__in=[str(pk) for pk in ids])
    yield "webhook_deliveries", named.exclude(data__end_user=None)


def added(one: Mapping[str, int], other: Mapping[str, int]) -> Counts:
    """Return the sums of two counts."""
    return dict(Counter(one) + Counter(other))
