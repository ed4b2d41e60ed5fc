"""Makes accounts; issues, rotates and revokes API keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Required, TypedDict, Unpack
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.auth import bearer
from accounts.models import Account, ApiKey, KeyKind, KeyMode, Scope, SupportAccess
from accounts.models.slugs import title_of
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.suspensions import forgets
from salient.api.problems import Problem, first_or_404

ROTATION_OVERLAP = timedelta(hours=24)


def create_account(slug: str, *, name: str = "") -> Account:
    """Make an account; raises ValidationError for a bad or taken slug."""
    with platform_context():
        return add_account(slug, name=name)


def add_account(slug: str, *, name: str = "") -> Account:
    """Do as create_account inside the platform context."""
    account = Account(slug=slug, name=name or title_of(slug))
    account.full_clean()
    account.save(force_insert=True)
    return account


class KeyWanted(TypedDict, total=False):
    """What a new key is to be; by default a live secret key with every scope for API_KEY_DAYS."""

    name: Required[str]
    scopes: Iterable[str]
    kind: KeyKind
    mode: KeyMode
    instance_ids: Iterable[UUID]
    origins: Iterable[str]
    networks: Iterable[str]
    # None: it never expires.
    expires_at: datetime | None


def issue_api_key(account: Account, **wanted: Unpack[KeyWanted]) -> tuple[ApiKey, str]:
    """Make a key and return it with its text, which is shown only this once.

    Raises ValidationError for what cannot be a key.
    """
    key = wanted_key(account, **wanted)
    text = key.give_secret()
    with tenant_context(account.pk):
        agents = set(key.instance_ids)
        if agents and not agents <= agent_slugs(account.pk).keys():
            raise ValidationError("A key's agents are of its own account.")
        key.save(force_insert=True)
    return key, text


def wanted_key(account: Account, **wanted: Unpack[KeyWanted]) -> ApiKey:
    """Return a key that is not stored and opens nothing yet; raises ValidationError."""
    kind = wanted.get("kind", KeyKind.SECRET)
    all_scopes = [Scope.VISITORS_WRITE] if kind == KeyKind.PUBLISHABLE else Scope.values
    key = ApiKey(
        account=account,
        name=wanted["name"],
        kind=kind,
        mode=wanted.get("mode", KeyMode.LIVE),
        scopes=_known(wanted.get("scopes", all_scopes)),
        instance_ids=list(wanted.get("instance_ids", ())),
        origins=_once(wanted.get("origins", ())),
        networks=_once(wanted.get("networks", ())),
        expires_at=wanted.get("expires_at", default_expiry()),
    )
    key.clean_fields(exclude={"account", "key_id", "secret_hash"})
    key.clean()
    return key


def find_key(key_pk: UUID, account_id: UUID) -> ApiKey | None:
    """Return the account's key with its account, whatever its state; in a context."""
    rows = ApiKey.objects.select_related("account").filter(account_id=account_id)
    found: ApiKey | None = rows.filter(pk=key_pk).first()
    return found


def publishable_origins(instance_id: UUID) -> list[list[str]]:
    """List the origins of each publishable key that works at this instance now; in a context."""
    keys = ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=timezone.now()),
        kind=KeyKind.PUBLISHABLE,
        instance_ids__contains=[instance_id],
        revoked_at=None,
    )
    return list(keys.values_list("origins", flat=True))


def default_expiry() -> datetime:
    return timezone.now() + timedelta(days=settings.API_KEY_DAYS)


def _once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _known(scopes: Iterable[str]) -> list[str]:
    wanted = _once(scopes)
    if unknown := [scope for scope in wanted if scope not in Scope.values]:
        raise ValidationError(f"Unknown scope “{unknown[0]}”; use {', '.join(Scope.values)}.")
    if not wanted:
        raise ValidationError("A key needs at least one scope.")
    return wanted


class ShownToStaff(Problem):
    """The key was shown to staff: a successor would outlive their support access."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    detail = (
        "This API key was shown to the platform's staff: it ends with their support access "
        "and has no successor."
    )


class AlreadyRotated(Problem):
    """The key has a successor."""

    status = HTTPStatus.CONFLICT
    code = "key_already_rotated"
    detail = "This API key has been rotated before: use its successor, or revoke it."


@dataclass(frozen=True, slots=True)
class Rotated:
    """A key's successor with its text, which is shown only this once."""

    key: ApiKey
    text: str = field(repr=False)
    old_expires_at: datetime


def rotate_api_key(
    account_id: UUID, key_pk: UUID, overlap: timedelta = ROTATION_OVERLAP
) -> Rotated:
    """Make a key's successor, with its rights and as long a life; the old one ends after overlap.

    The row is locked, so that there is one successor, with the rights that the key has now. Raises
    NotFound for a key that has ended, AlreadyRotated, ShownToStaff.
    """
    with tenant_context(account_id):
        return rotate(key_pk, overlap)


def rotate(
    key_pk: UUID, overlap: timedelta = ROTATION_OVERLAP, *, shown_under: SupportAccess | None = None
) -> Rotated:
    """Do as rotate_api_key inside a context; a key shown to staff expires with their access."""
    old, now = rotatable(key_pk), timezone.now()
    successor = successor_of(old, now)
    if shown_under is not None:
        successor.bind_to(shown_under)
    return store_successor(old, successor, overlap)


def rotatable(key_pk: UUID) -> ApiKey:
    """Lock a key that may have a successor; raises NotFound, AlreadyRotated, ShownToStaff."""
    old = first_or_404(ApiKey.objects.active().select_for_update().filter(pk=key_pk), "key")
    if old.rotated_at is not None:
        raise AlreadyRotated
    if old.support_access_id is not None:
        raise ShownToStaff
    return old


def successor_of(old: ApiKey, now: datetime) -> ApiKey:
    """Return a successor without a secret, with the key's rights and as long a life.

    The successor of a key that another key made ends when its predecessor would have.
    """
    expires_at = old.expires_at
    if expires_at is not None and not old.issued_by:
        expires_at = now + (expires_at - old.created_at)
    names = ("account_id", "name", "kind", "mode", "scopes", "instance_ids", "origins", "networks")
    return ApiKey(
        **{name: getattr(old, name) for name in (*names, "issued_by")},
        rotated_from=old.key_id,
        expires_at=expires_at,
    )


def store_successor(old: ApiKey, successor: ApiKey, overlap: timedelta) -> Rotated:
    """Store the successor with its secret, and let the old key end after the overlap."""
    text = successor.give_secret()
    successor.save(force_insert=True)
    return Rotated(successor, text, retire(old, overlap))


def retire(old: ApiKey, overlap: timedelta) -> datetime:
    """Let a key that has a successor work on for `overlap`; return when it ends."""
    now = timezone.now()
    ends = min(old.expires_at or now + overlap, now + overlap)
    ApiKey.objects.filter(pk=old.pk).update(rotated_at=now, expires_at=ends)
    return ends


def replace_leaked(key_pk: UUID) -> tuple[ApiKey, list[str]]:
    """End a key and what came of it now; return its unsaved successor and the ended keys' ids.

    Call it inside a context. The key may have ended before. The successor lives on when the key is
    revoked once more, because it was made after the key's end. Raises NotFound, ShownToStaff.
    """
    rows = ApiKey.objects.exclude(secret_hash="").select_for_update()
    old = first_or_404(rows.filter(pk=key_pk), "key")
    if old.support_access_id is not None:
        raise ShownToStaff
    ended = end_keys([old])
    now = timezone.now()
    successor = successor_of(old, now)
    successor.created_at = now
    # Staff grant it, and not the key that once made the old one.
    successor.issued_by = ""
    is_life_unknown = old.rotated_at is not None or old.issued_by
    if old.expires_at is not None and is_life_unknown:
        successor.expires_at = default_expiry()
    return successor, ended


def living_successors(key: ApiKey) -> QuerySet[ApiKey]:
    """Return the keys that replace this one and have not ended; in a context."""
    return ApiKey.objects.filter(rotated_from=key.key_id, revoked_at=None)


def revoke_api_key(key: ApiKey) -> list[str]:
    """Revoke a key and its successors, and so their visitors; return the ids of the ended keys.

    The successors too, and what it has made, because whoever holds a leaked key may have.
    """
    with tenant_context(key.account_id):
        return end_keys([key])


def end_keys(chosen: Iterable[ApiKey], *, with_successors: bool = True) -> list[str]:
    """Revoke these keys, their successors and what they made, inside a context.

    A successor that was made after the end of its predecessor works on: whoever had found that key
    could not make one. Without `with_successors`, those of the chosen keys themselves work on too.
    Returns the ended keys' ids.
    """
    ended: list[str] = []
    generation = [key.key_id for key in chosen]
    while generation:
        alive = ApiKey.objects.filter(key_id__in=generation, revoked_at=None)
        alive_ids = list(alive.values_list("key_id", flat=True))
        came_of_it = Q(issued_by__in=generation)
        if with_successors or ended:
            came_of_it |= Q(rotated_from__in=alive_ids) | _of_ended(
                set(generation) - set(alive_ids)
            )
        alive.update(revoked_at=timezone.now())
        ended += alive_ids
        generation = list(ApiKey.objects.filter(came_of_it).values_list("key_id", flat=True))
    transaction.on_commit(partial(bearer.forget, *ended))
    return ended


@forgets(ApiKey)
def _forget(key: ApiKey) -> None:
    bearer.forget(key.key_id)


def _of_ended(key_ids: Iterable[str]) -> Q:
    """Find the successors that keys which have ended had before their end."""
    ended_first = ApiKey.objects.filter(
        account_id=OuterRef("account_id"),
        key_id=OuterRef("rotated_from"),
        revoked_at__lte=OuterRef("created_at"),
    )
    return Q(~Exists(ended_first), rotated_from__in=key_ids)


def keys_of(account_id: UUID) -> QuerySet[ApiKey]:
    """Return the account's keys, the newest first, whatever their state; in a context."""
    return ApiKey.objects.filter(account_id=account_id)


def keys_by_public_id(account_id: UUID, key_ids: Collection[str]) -> dict[str, ApiKey]:
    """Return the account's keys of these public ids, by them; without a query for none."""
    wanted = [key_id for key_id in key_ids if key_id]
    rows = keys_of(account_id).filter(key_id__in=wanted)
    return {key.key_id: key for key in rows} if wanted else {}


def keys_of_agent(account_id: UUID, instance_id: UUID) -> QuerySet[ApiKey]:
    """Return the keys that are for this agent, not for all of the account, whatever their state."""
    return keys_of(account_id).filter(instance_ids__contains=[instance_id])


def family_of(key: ApiKey) -> QuerySet[ApiKey]:
    """Return the keys that a key replaces and that replace it, one after the other; in a context.

    Not what they made: that are other keys.
    """
    known, fresh = {key.key_id}, {key.key_id}
    rows = keys_of(key.account_id)
    while fresh:
        near = rows.filter(Q(rotated_from__in=fresh) | Q(key_id__in=fresh))
        pairs = near.values_list("key_id", "rotated_from")
        fresh = {each for pair in pairs for each in pair if each} - known
        known |= fresh
    return rows.filter(key_id__in=known).exclude(pk=key.pk)


def keys_for_agent(account_id: UUID, instance_id: UUID, most: int) -> QuerySet[ApiKey]:
    """Return the newest keys that may call the agent; inside a tenant or platform context."""
    any_agent, this_agent = Q(instance_ids__len=0), Q(instance_ids__contains=[instance_id])
    rows = ApiKey.objects.active().filter(any_agent | this_agent, account_id=account_id)
    return rows.order_by("-created_at")[:most]
