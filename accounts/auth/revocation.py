"""Ends what a caller has running once the caller may no longer call, or when its time is over.

Each event loop has one task that asks about all its running turns together, once for each key,
member and account: a thousand streams of one account are one question. What else a turn depends on
is asked by checks that the upper apps register, once for all turns together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Iterable, Mapping
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
from accounts.tenancy.lookups import find_account, find_api_key
from salient.api.lifespan import when_stopping
from salient.api.problems import Problem
from salient.database import in_database

logger = logging.getLogger(__name__)
# The database may be silent; those whose time is over are ended all the same.
LONGEST_LOOK_SECONDS = 10.0

type Standing = tuple[CallerKind, UUID, str, UUID | None]


class Interrupted(Problem):
    """A turn that was ended from outside; what came of it is kept and settled."""


class Revoked(Interrupted):
    """Somebody took away what the turn depends on."""

    status = HTTPStatus.FORBIDDEN


class AccessEnded(Revoked):
    code = "access_ended"

    def __init__(self) -> None:
        super().__init__("The access of this caller has ended.")


# Of all requirements of one type, those that no longer hold, each with the error that ends its
# turns.
type Check = Callable[[Collection[Any]], Mapping[Any, type[Revoked]]]
_checks: dict[type, Check] = {}


def recheck[C: Check](requirement: type) -> Callable[[C], C]:
    """Register a check for requirements of this type; it opens its own tenant contexts."""

    def register(check: C) -> C:
        _checks[requirement] = check
        return check

    return register


class TimeOver(Interrupted):
    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "time_limit"

    def __init__(self) -> None:
        super().__init__("The answer took longer than one may take.")


class ServerStopping(Interrupted):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "server_stopping"

    def __init__(self, detail: str = "The server stops; what came until now is stored.") -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class Watch:
    """One running turn; `end` interrupts it, also while it waits for its model.

    Inside of it `next` raises a Revoked, TimeOver or ServerStopping as soon as it is due.
    `requirements` are what it depends on besides its caller: values with a registered check.
    """

    __slots__ = ("_ended", "_waiting", "caller", "deadline", "requirements")

    def __init__(self, caller: Caller, *requirements: Hashable) -> None:
        self.caller = caller
        self.requirements = requirements
        self.deadline = asyncio.get_running_loop().time() + settings.STREAM_MAX_SECONDS
        self._ended: type[Interrupted] | None = None
        self._waiting: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        _put_on_the_list(self)
        return self

    def __exit__(self, *_: object) -> None:
        _take_off_the_list(self)

    @property
    def standing(self) -> Standing:
        """What the caller's right to call hangs on; many callers may share it."""
        caller = self.caller
        return caller.kind, caller.account_id, caller.key_id, caller.user_id

    def end(self, why: type[Interrupted]) -> None:
        if self._ended is None:
            self._ended = why
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
            # As asyncio.timeout() does: another's cancellation is not ours to swallow.
            if self._ended is not None and task is not None and task.uncancel() == 0:
                raise self._ended from None
            raise
        finally:
            self._waiting = None


class _List:
    """The watches of one event loop, and the task that goes through them while there are any."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self.task = asyncio.create_task(self._go_round())

    async def _go_round(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(settings.REVOCATION_CHECK_SECONDS)
            # None may be over before the next round, which would be too late.
            next_round = loop.time() + settings.REVOCATION_CHECK_SECONDS
            for watch in list(self.watches):
                if watch.deadline < next_round:
                    watch.end(TimeOver)
            try:
                async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                    await self._look()
            except (OperationalError, InterfaceError, TimeoutError) as error:
                logger.warning("The database did not say who may still call: %s", error)
            except Exception:
                logger.exception("Unexpected error while asking who may still call")

    async def _look(self) -> None:
        callers = {watch.standing: watch.caller for watch in self.watches}
        gone = await in_database(_gone, callers.items())
        for watch in list(self.watches):
            if _is_over(watch.caller) or watch.standing in gone:
                watch.end(AccessEnded)
        needed = {each for watch in self.watches for each in watch.requirements}
        unmet = await in_database(_unmet, needed)
        for watch in list(self.watches):
            for why in [unmet[each] for each in watch.requirements if each in unmet]:
                watch.end(why)


_lists: dict[asyncio.AbstractEventLoop, _List] = {}


def _put_on_the_list(watch: Watch) -> None:
    loop = asyncio.get_running_loop()
    ours = _lists.get(loop)
    if ours is None:
        ours = _lists[loop] = _List()
    ours.watches.add(watch)


def _take_off_the_list(watch: Watch) -> None:
    loop = asyncio.get_running_loop()
    ours = _lists[loop]
    ours.watches.discard(watch)
    if not ours.watches:
        ours.task.cancel()
        del _lists[loop]


@when_stopping
def _end_all() -> None:
    """Interrupt what the time for stopping did not suffice for: so it is settled and told."""
    ours = _lists.get(asyncio.get_running_loop())
    for watch in list(ours.watches) if ours else []:
        watch.end(ServerStopping)


def _is_over(caller: Caller) -> bool:
    """Whether a token has run out; a key's own end is read with the key."""
    return (
        caller.kind in {CallerKind.VISITOR, CallerKind.END_USER, CallerKind.STAFF}
        and caller.expires_at is not None
        and caller.expires_at <= timezone.now()
    )


def _unmet(needed: Collection[Hashable]) -> dict[Hashable, type[Revoked]]:
    """Ask each check about all of its requirements at once."""
    unmet: dict[Hashable, type[Revoked]] = {}
    for kind in {type(each) for each in needed}:
        unmet |= _checks[kind]([each for each in needed if type(each) is kind])
    return unmet


def _gone(callers: Iterable[tuple[Standing, Caller]]) -> set[Standing]:
    return {standing for standing, caller in callers if not still_admitted(caller)}


def still_admitted(caller: Caller) -> bool:
    """Ask the database, past every cache, whether this caller may still talk to agents."""
    if caller.key_id:
        return _key_admits(caller)
    account = find_account(caller.account_slug)
    if account is None or account.pk != caller.account_id:
        return False
    if account.status != AccountStatus.ACTIVE:
        return False
    if caller.user_id is None:
        return True
    if caller.kind == CallerKind.STAFF:
        return find_player(caller.user_id) is not None
    return _is_member(caller.account_id, caller.user_id)


def _key_admits(caller: Caller) -> bool:
    key = find_api_key(caller.key_id)
    if key is None or key.account_id != caller.account_id:
        return False
    if key.account.status != AccountStatus.ACTIVE:
        return False
    if caller.kind == CallerKind.SECRET_KEY:
        return key.refusal() is None and Scope.CHAT in key.scopes
    return still_vouches(key)


def _is_member(account_id: UUID, user_id: UUID) -> bool:
    with tenant_context(account_id):
        roles = Membership.objects.filter(user_id=user_id, user__is_active=True)
        role = roles.values_list("role", flat=True).first()
    return role is not None and Scope.CHAT in SCOPES_OF[MemberRole(role)]
