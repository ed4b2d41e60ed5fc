"""The keys of an account as its own people and keys manage them: nobody gives more than they have.

A key that another key makes or rotates has no more scopes, networks or time than that one, also
after its own rotation, and it is revoked with it. So whoever finds a key with `keys:write` gets
nothing that outlives its revocation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.auth.caller import Caller
from accounts.auth.networks import read_network
from accounts.keys import services
from accounts.keys.services import Rotated
from accounts.members.members import SCOPES_OF, current_role
from accounts.models import Account, ApiKey, Scope
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context
from accounts.tenancy.locks import lock_rows
from salient.api.problems import Forbidden, Invalid, NotFound, Problem, Unauthenticated
from salient.cursor import Cursor, newest_page

# Of those that may still be used.
MOST_KEYS = 1_000


class ExceedsCaller(Forbidden):
    """The key would have a right that the caller lacks."""

    code = "exceeds_caller"


class KeyEnded(Problem):
    """The key has ended or was never taken, so it has no successor."""

    status = HTTPStatus.CONFLICT
    code = "key_ended"
    detail = "This API key has ended, or nobody has taken it yet: make a new one."


class TooManyKeys(Problem):
    """The account has 1,000 keys that work."""

    status = HTTPStatus.CONFLICT
    code = "too_many_keys"
    detail = f"The account has {MOST_KEYS} API keys that work; revoke some."


@dataclass(frozen=True, slots=True)
class Grantor:
    """What the caller may give now. `networks` empty: anywhere; `expires_at` None: for ever."""

    scopes: frozenset[str]
    networks: tuple[str, ...] = ()
    expires_at: datetime | None = None
    # The public part of the key that calls, "" for a person.
    key_id: str = ""

    def earliest(self, end: datetime | None) -> datetime | None:
        """Return that end, or the caller's own if it comes before."""
        return min(filter(None, [end, self.expires_at]), default=None)

    def require(self, key: ApiKey) -> None:
        """Raise ExceedsCaller unless the key has no more rights than the caller."""
        if beyond := sorted(set(key.scopes) - self.scopes):
            raise ExceedsCaller(f"The caller lacks these rights of the key: {', '.join(beyond)}.")
        if self.networks and not _are_within(key.networks, self.networks):
            raise ExceedsCaller(f"The caller's own key works from {', '.join(self.networks)} only.")
        if self.earliest(key.expires_at) != key.expires_at:
            raise ExceedsCaller(f"The key must expire by {self.expires_at:%Y-%m-%dT%H:%M:%SZ}.")


def _are_within(networks: Iterable[str], outer: Iterable[str]) -> bool:
    wide, narrow = list(map(read_network, outer)), list(map(read_network, networks))
    return bool(narrow) and all(
        any(each.version == net.version and each.subnet_of(net) for net in wide)  # type: ignore[arg-type]
        for each in narrow
    )


def keys_page(
    account_id: UUID, cursor: Cursor | None, limit: int
) -> tuple[Sequence[ApiKey], str | None, dict[UUID, str]]:
    """Return a page of keys, the newest first, its next cursor, and the agents' slugs by id."""
    with tenant_context(account_id):
        keys = services.keys_of(account_id)
        rows, following = newest_page(keys, "created_at", cursor, limit)
        return rows, following, agent_slugs(account_id)


def one_key(account_id: UUID, key_pk: UUID) -> tuple[ApiKey, dict[UUID, str]]:
    """Return the key and the agents' slugs by id; raises NotFound."""
    with tenant_context(account_id):
        return _find(account_id, key_pk), agent_slugs(account_id)


def make_key(
    caller: Caller, *, agents: Iterable[str], **wanted: Any
) -> tuple[ApiKey, str, dict[UUID, str]]:
    """Make a key with at most the caller's rights; return it, its text and the agents' slugs.

    `agents` are slugs, `wanted` is a KeyWanted without what the caller left out: an end and
    networks are then the caller's own. Raises Invalid, ExceedsCaller, TooManyKeys.
    """
    with tenant_context(caller.account_id):
        grantor, slugs = _grantor(caller), agent_slugs(caller.account_id)
        wanted["instance_ids"] = _ids_of(agents, slugs)
        wanted.setdefault("networks", grantor.networks)
        wanted.setdefault("expires_at", grantor.earliest(services.default_expiry()))
        try:
            account = Account.objects.get(pk=caller.account_id)
            key = services.wanted_key(account, **wanted)
        except ValidationError as error:
            raise Invalid.of_rules(error) from error
        grantor.require(key)
        if ApiKey.objects.active().count() >= MOST_KEYS:
            raise TooManyKeys
        key.issued_by = grantor.key_id
        text = key.give_secret()
        key.save(force_insert=True)
    return key, text, slugs


def rotate_key(caller: Caller, key_pk: UUID, overlap: timedelta) -> tuple[Rotated, dict[UUID, str]]:
    """Make a key's successor for a caller who has its rights; a key may always replace itself.

    Raises NotFound, KeyEnded, AlreadyRotated, ShownToStaff, ExceedsCaller.
    """
    with tenant_context(caller.account_id):
        slugs = agent_slugs(caller.account_id)
        if key_pk == caller.api_key_id:
            return services.rotate(key_pk, overlap), slugs
        grantor = _grantor(caller)
        if _find(caller.account_id, key_pk).refusal() is not None:
            raise KeyEnded
        old = services.rotatable(key_pk)
        successor = services.successor_of(old, timezone.now())
        if grantor.key_id:
            successor.issued_by = grantor.key_id
        successor.expires_at = grantor.earliest(successor.expires_at)
        grantor.require(successor)
        return services.store_successor(old, successor, overlap), slugs


def revoke_key(caller: Caller, key_pk: UUID) -> list[str]:
    """Revoke a key, its successors and the keys that it made; return the public parts of them all.

    Also a key with more rights than the caller: ending one is never too early. Raises NotFound.
    """
    with tenant_context(caller.account_id):
        _grantor(caller)
        return services.end_keys([_find(caller.account_id, key_pk)])


def _find(account_id: UUID, key_pk: UUID) -> ApiKey:
    found = services.find_key(key_pk, account_id)
    if found is None:
        raise NotFound("key")
    return found


def _ids_of(agents: Iterable[str], slugs: dict[UUID, str]) -> list[UUID]:
    known = {slug: pk for pk, slug in slugs.items()}
    if unknown := [slug for slug in agents if slug not in known]:
        raise Invalid.field("agents", f"the account has no agent “{unknown[0]}”")
    return [known[slug] for slug in dict.fromkeys(agents)]


def _grantor(caller: Caller) -> Grantor:
    """Read again what the caller may do, and hold it until the transaction ends.

    Else a key that is revoked at this moment could leave another one behind. Raises
    Unauthenticated, Forbidden.
    """
    # Two keys that rotate each other would wait for each other.
    lock_rows("keys", caller.account_id)
    if caller.api_key_id is None:
        return Grantor(SCOPES_OF[current_role(caller, Scope.KEYS_WRITE)])
    mine = ApiKey.objects.active().select_for_update()
    key: ApiKey | None = mine.filter(pk=caller.api_key_id).first()
    if key is None:
        raise Unauthenticated("The API key has ended.")
    return Grantor(frozenset(key.scopes), tuple(key.networks), key.expires_at, key.key_id)
