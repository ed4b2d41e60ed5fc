"""Threads: conversations that clients name themselves, and send whole with each call.

A thread is a stored session, found by the caller and the thread's name: its first turn begins one,
the next go on in it. What is stored is the conversation as long as the client shows it as it is.
Where the client has cut or changed it, as to have something answered again, the model reads what
the client sends, and the turn is added to the session.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from uuid import UUID

import msgspec
from msgspec.structs import replace

from accounts.auth.caller import Caller, CallerKind
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from salient.api.problems import NotFound
from salient.database import in_database
from salient.ids import parse_uuid
from sessions_app.background.stored_turns import own_turn
from sessions_app.conversations.history import named_session
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import LLMRequest, Message, Role, Session

# Of a session, looked at to compare it with what the client shows.
MOST_COMPARED = 200
# Our own ids are of this version; clients make others.
_OUR_VERSION = 7


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a client shows of its thread before what is new.

    `answer_ids` and `request_ids` name stored answers, by message or by turn. `is_redone` says
    that the last answer is to be given again.
    """

    thread_id: str
    answer_ids: frozenset[UUID] = frozenset()
    request_ids: frozenset[UUID] = frozenset()
    user_messages: int = 0
    is_redone: bool = False


class Stored(msgspec.Struct, frozen=True):
    """A thread's session, and its newest messages: (role, id, turn)."""

    session_key: str
    messages: list[tuple[str, UUID, UUID]]

    def is_as(self, shown: Shown) -> bool:
        """Whether the client shows each answer and no more of the user's messages are stored."""
        said = [role for role, _, _ in self.messages if role == Role.HUMAN]
        return len(said) <= shown.user_messages and all(
            message_id in shown.answer_ids or request_id in shown.request_ids
            for role, message_id, request_id in self.messages
            if role == Role.ASSISTANT
        )


async def placed(
    caller: Caller, instance: AgentInstance, shown: Shown, asked: TurnInput
) -> TurnInput:
    """Return the turn in the session of its thread; `asked` has its key and what the client sent.

    A thread that has the id of a session goes on in that one, where the caller may see it. Nobody
    finds the threads of another: whatever the name, it is a new thread of their own.
    """
    key = str(asked.session_key)
    asked = replace(asked, keeps_conversation=True)
    session_id = _session_id(shown.thread_id)
    brings_more = bool(asked.conversation) or shown.is_redone
    if session_id is None and not brings_more:
        return replace(asked, conversation=None)
    found = await in_database(_find, caller, instance, session_id, key, with_messages=brings_more)
    if found is None:
        return asked
    if found.session_key != key:
        asked = replace(asked, session_id=session_id, session_key=found.session_key)
    goes_on = not shown.is_redone and found.is_as(shown)
    return replace(asked, conversation=None) if goes_on or not brings_more else asked


def running_turn(caller: Caller, instance: AgentInstance, thread_id: str) -> UUID | None:
    """Return the turn that runs in the thread now, if the caller may follow it."""
    key = thread_key(caller, instance, thread_id)
    with tenant_context(caller.account_id):
        session = _session(caller, instance, _session_id(thread_id), key)
        if session is None:
            return None
        running = LLMRequest.objects.running().filter(
            session_id=session.pk, account_id=caller.account_id
        )
        turn_id = running.values_list("pk", flat=True).first()
        with suppress(NotFound):
            return own_turn(caller, instance, turn_id).pk if turn_id is not None else None
    return None


def thread_key(caller: Caller, instance: AgentInstance, thread_id: str) -> str:
    """Return the stored form of a thread's name.

    The account's secret keys have their threads in common, so that a key can be rotated; those of
    test keys are apart. Everybody else has their own.
    """
    owner = caller.subject
    if caller.kind is CallerKind.SECRET_KEY:
        owner = "test-keys" if caller.is_test else "keys"
    name = f"thread/{caller.account_id}/{instance.pk}/{owner}/{thread_id}"
    return sha256(name.encode(errors="surrogatepass")).hexdigest()


def ids_of(texts: Iterable[str]) -> frozenset[UUID]:
    """Return those that are ids, of the texts that a client has as ids."""
    return frozenset(found for text in texts if (found := parse_uuid(text)) is not None)


def _session_id(thread_id: str) -> UUID | None:
    found = parse_uuid(thread_id)
    return found if found is not None and found.version == _OUR_VERSION else None


def _find(
    caller: Caller,
    instance: AgentInstance,
    session_id: UUID | None,
    key: str,
    *,
    with_messages: bool,
) -> Stored | None:
    with tenant_context(caller.account_id):
        session = _session(caller, instance, session_id, key)
        if session is None:
            return None
        # What a client brought when its thread began is no turn's.
        messages = Message.objects.of(session, instance).filter(
            llm_request_id__isnull=False, role__in=[Role.HUMAN, Role.ASSISTANT]
        )
        rows = messages.newest_first().values_list("role", "pk", "llm_request_id")
        return Stored(session.session_key, list(rows[:MOST_COMPARED]) if with_messages else [])


def _session(
    caller: Caller, instance: AgentInstance, session_id: UUID | None, key: str
) -> Session | None:
    """Return the session that has this id, where the caller may see it, or else this key."""
    found = None
    if session_id is not None:
        found = named_session(caller, instance, session_id).first()
    return found or Session.objects.of_instance(instance).filter(session_key=key).first()
