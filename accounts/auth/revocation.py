"""Ends running turns whose caller may no longer call, or whose time is over.

Each event loop has one revocation watcher. It checks all its running turns together, once for each
key, member and account: a thousand streams of one caller are one look-up. The upper apps register
checks of what else a turn depends on; each runs once for all turns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Mapping
from http import HTTPStatus
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from accounts.auth.bearer import still_vouches
from accounts.auth.caller import Caller, CallerKind
from accounts.auth.staff_tokens import find_player
from accounts.members.members import SCOPES_OF
from accounts.models import AccountStatus, MemberRole, Membership, Scope
from accounts.tenancy.context import tenant_context
from accounts.tenancy.lookups import find_active_account, find_api_key
from salient.api.lifespan import in_rounds, when_stopping
from salient.api.problems import Problem
from salient.database import in_database

logger = logging.getLogger(__name__)
# When the database does not answer for so long, turns whose time is over still end.
CHECK_TIMEOUT_SECONDS = 10.0

# What the right to call depends on: kind, account, public part of the key, user; and the scope.
type Identity = tuple[CallerKind, UUID, str, UUID | None, Scope]


class Interrupted(Problem):
    """A turn was ended from outside; its answer so far is stored and settled."""

    extensions = {"session_id": UUID, "llm_request_id": UUID}


class Revoked(Interrupted):
    """What the turn depends on was revoked."""

    status = HTTPStatus.FORBIDDEN


class AccessEnded(Revoked):
    """The key, visitor or member lost its access while the answer ran; the received part is
    stored.

    What to do: nothing, if the access was ended on purpose; the audit log says who ended it.
    """

    code = "access_ended"
    detail = "The access of this caller has ended."


# Gets all requirements of one type; returns those that no longer hold, each with the error that
# ends its turns.
type Check = Callable[[Collection[Any]], Mapping[Any, type[Revoked]]]
_checks: dict[type, Check] = {}


def recheck[C: Check](requirement: type) -> Callable[[C], C]:
    """Register a check for requirements of this type; it opens its own tenant contexts."""

    def register(check: C) -> C:
        _checks[requirement] = check
        return check

    return register


class TimeOver(Interrupted):
    """The answer took longer than the server allows.

    What to do: choose a faster model, or raise STREAM_MAX_SECONDS on the server.
    """

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "time_limit"
    detail = "The answer took longer than the server allows."


class ServerStopping(Interrupted):
    """The server was stopped while the answer ran; the received part is stored.

    What to do: send the message again; deployments let running answers end first.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "server_stopping"

    def __init__(self, detail: str = "The server stops; the received part is stored.") -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class Watch:
    """A running turn under watch; `end` interrupts it, also while it waits for its model.

    `next` then raises the Revoked, TimeOver or ServerStopping. `scope` is the right that the caller
    uses. `requirements` are what the turn depends on besides its caller: values of types with a
    registered check.
    """

    __slots__ = ("_ended", "_waiting", "caller", "deadline", "requirements", "scope")

    def __init__(self, caller: Caller, *requirements: Hashable, scope: Scope = Scope.CHAT) -> None:
        self.caller, self.scope = caller, scope
        self.requirements = requirements
        self.deadline = asyncio.get_running_loop().time() + settings.STREAM_MAX_SECONDS
        self._ended: type[Interrupted] | None = None
        self._waiting: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if loop not in _watchers:
            _watchers[loop] = _Watcher()
        _watchers[loop].watches.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        watcher = _watchers.get(asyncio.get_running_loop())
        # A loop that is ending has cancelled it.
        if watcher is not None:
            watcher.watches.discard(self)

    @property
    def identity(self) -> Identity:
        caller = self.caller
        return caller.kind, caller.account_id, caller.key_id, caller.user_id, self.scope

    def end(self, error: type[Interrupted]) -> None:
        if self._ended is None:
            self._ended = error
            if self._waiting is not None:
                self._waiting.cancel()

    async def next[T](self, events: AsyncGenerator[T]) -> T | None:
        """Return the next of the events, None after the last."""
        if self._ended is not None:
            raise self._ended
        task = self._waiting = asyncio.current_task()
        try:
            return await anext(events, None)
        except asyncio.CancelledError:
            # As asyncio.timeout() does it: a cancellation that is not ours goes on.
            if self._ended is not None and task is not None and task.uncancel() == 0:
                raise self._ended from None
            raise
        finally:
            self._waiting = None


class _Watcher:
    """The watches of one event loop, and the task that checks them.

    It ends when a round finds none: a task for each turn that runs alone would cost more.
    """

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        in_rounds(self._run)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._check_in_rounds(loop)
        finally:
            del _watchers[loop]

    async def _check_in_rounds(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            await asyncio.sleep(settings.REVOCATION_CHECK_SECONDS)
            if not self.watches:
                return
            # Ended one round early rather than late.
            next_round = loop.time() + settings.REVOCATION_CHECK_SECONDS
            for watch in list(self.watches):
                if watch.deadline < next_round:
                    watch.end(TimeOver)
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                    await self._check()
            except (OperationalError, InterfaceError, TimeoutError) as error:
                logger.warning("The database did not say who may still call: %s", error)
            except Exception:
                logger.exception("Unexpected error while checking who may still call")

    async def _check(self) -> None:
        callers = {watch.identity: watch.caller for watch in self.watches}
        refused = await in_database(_refused, callers)
        for watch in list(self.watches):
            if _is_over(watch.caller) or watch.identity in refused:
                watch.end(AccessEnded)
        needed = {each for watch in self.watches for each in watch.requirements}
        unmet = await in_database(_unmet, needed)
        for watch in list(self.watches):
            for error in [unmet[each] for each in watch.requirements if each in unmet]:
                watch.end(error)


_watchers: dict[asyncio.AbstractEventLoop, _Watcher] = {}


@when_stopping
def _end_all() -> None:
    """Interrupt the turns that did not end in the time for stopping, so that they are settled."""
    watcher = _watchers.get(asyncio.get_running_loop())
    for watch in list(watcher.watches) if watcher else []:
        watch.end(ServerStopping)


def _is_over(caller: Caller) -> bool:
    """Return whether the token has expired; the expiry of a key is read with the key."""
    return (
        caller.kind in {CallerKind.VISITOR, CallerKind.END_USER, CallerKind.STAFF}
        and caller.expires_at is not None
        and caller.expires_at <= timezone.now()
    )


def _unmet(needed: Collection[Hashable]) -> dict[Hashable, type[Revoked]]:
    """Run each check once, with all requirements of its type."""
    unmet: dict[Hashable, type[Revoked]] = {}
    for kind in {type(each) for each in needed}:
        unmet |= _checks[kind]([each for each in needed if type(each) is kind])
    return unmet


def _refused(callers: Mapping[Identity, Caller]) -> set[Identity]:
    return {each for each, caller in callers.items() if not still_admitted(caller, each[-1])}


def still_admitted(caller: Caller, scope: Scope = Scope.CHAT) -> bool:
    """Return whether the caller still has the scope, read past every cache."""
    if caller.key_id:
        return _key_admits(caller, scope)
    account = find_active_account(caller.account_slug)
    if account is None or account.pk != caller.account_id:
        return False
    if caller.user_id is None:
        return True
    if caller.kind == CallerKind.STAFF:
        return find_player(caller.user_id) is not None
    with tenant_context(caller.account_id):
        role = Membership.objects.role_of(caller.user_id)
    return bool(role) and scope in SCOPES_OF[MemberRole(role)]


def _key_admits(caller: Caller, scope: Scope) -> bool:
    key = find_api_key(caller.key_id)
    if (
        key is None
        or key.account_id != caller.account_id
        or key.account.status != AccountStatus.ACTIVE
    ):
        return False
    if caller.kind == CallerKind.SECRET_KEY:
        return key.refusal() is None and scope in key.scopes
    return still_vouches(key)
