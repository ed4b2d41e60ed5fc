"""The messages of one session by pages, each answer with how its turn ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db.models import F
from django.db.models.fields.json import KeyTextTransform, KeyTransform

from accounts.auth.decorators import Caller
from accounts.tenancy.context import tenant_context
from agents.config.shown import shown_to
from agents.models import AgentInstance
from salient.cursor import newer, older, page_of
from sessions_app.api.session_schemas import (
    MessagesIn,
    MessagesOut,
    Order,
    RatingOut,
    SessionMessageOut,
)
from sessions_app.conversations.history import own_session, sees_account, visible_messages
from sessions_app.models import Message, MessageFeedback, MessageQuerySet, Role

_LAST_CALL = KeyTransform("-1", KeyTransform("calls", "llm_request__response_body"))


def read_messages(
    caller: Caller, instance: AgentInstance, session_id: UUID, page: MessagesIn
) -> MessagesOut:
    """Return a page of the session's messages; raises NotFound."""
    with tenant_context(caller.account_id):
        session = own_session(caller, instance, session_id)
        rows = visible_messages(session, instance)
        if page.order is Order.OLDEST_FIRST:
            rows = rows if page.cursor is None else newer(rows, "created_at", page.cursor)
            rows = rows.order_by("created_at", "id")
        else:
            rows = rows if page.cursor is None else older(rows, "created_at", page.cursor)
            rows = rows.newest_first()
        found = list(_with_turns(rows[: page.limit + 1]))
        shown, cursor = page_of(found, page.limit, "created_at")
        data = messages_out(caller, instance, shown)
    return MessagesOut.of_page(data, cursor)


def messages_out(
    caller: Caller, instance: AgentInstance, messages: Collection[Message]
) -> list[SessionMessageOut]:
    """Return the messages, which have their turns' values, with their ratings."""
    ratings = _ratings(caller, [each.pk for each in messages if each.role == Role.ASSISTANT])
    with_model = shown_to(caller, instance).model
    return [
        SessionMessageOut.of(each, ratings.get(each.pk, ()), with_model=with_model)
        for each in messages
    ]


def _with_turns(messages: MessageQuerySet) -> MessageQuerySet:
    return messages.annotate(
        digest=F("config_version__digest"),
        turn_status=F("llm_request__completion_status"),
        turn_provider=F("llm_request__provider"),
        turn_model=F("llm_request__model"),
        turn_finish_reason=KeyTextTransform("finish_reason", _LAST_CALL),
    )


def _ratings(caller: Caller, answers: Iterable[UUID]) -> dict[UUID, list[RatingOut]]:
    rows = MessageFeedback.objects.filter(message_id__in=list(answers))
    if not sees_account(caller):
        rows = rows.filter(caller=caller.subject)
    found: dict[UUID, list[RatingOut]] = {}
    for row in rows.order_by("created_at", "id"):
        found.setdefault(row.message_id, []).append(RatingOut.of(row, caller.subject))
    return found
