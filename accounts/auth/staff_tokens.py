"""The playground's tokens: with one, staff call one agent through the API for some minutes.

A token works for the account, the agent and the draft that it names, while its holder may use the
playground.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.auth.caller import Caller
from accounts.auth.networks import client_network
from accounts.auth.signed_tokens import SignedTokens
from accounts.models import Scope, User
from accounts.tenancy.context import platform_context
from accounts.tenancy.lookups import cached_account
from accounts.tenancy.renames.moved import require_name
from accounts.tenancy.suspensions import require_active
from salient.api.problems import NotFound, Unauthenticated
from salient.ttl import TTLCache

PREFIX: Final = "sal_pt_"
LIFETIME = timedelta(minutes=15)
SCOPES = frozenset({Scope.CHAT, Scope.HISTORY_READ})
# Of one whose person may not use the playground any more; it was right once.
ENDED = "The playground's token ended when its person lost access."
UNKNOWN = "The playground's token is unknown."
_tokens = SignedTokens(
    PREFIX,
    salt="salient.playground-token",
    unknown=UNKNOWN,
    expired="The playground's token has expired; reload the page.",
)

_people: TTLCache[tuple[UUID], User] = TTLCache()


@dataclass(frozen=True, slots=True)
class StaffToken:
    """Who calls which agent; without a draft it is the published one."""

    user_id: UUID
    account_id: UUID
    instance_id: UUID
    expires_at: datetime
    draft_id: UUID | None = None


def new_token(
    user: User, account_id: UUID, instance_id: UUID, *, draft_id: UUID | None = None
) -> StaffToken:
    expires_at = timezone.now().replace(microsecond=0) + LIFETIME
    return StaffToken(user.pk, account_id, instance_id, expires_at, draft_id)


def write_token(token: StaffToken) -> str:
    facts = {
        "u": token.user_id.hex,
        "a": token.account_id.hex,
        "i": token.instance_id.hex,
        "d": token.draft_id.hex if token.draft_id else "",
    }
    return _tokens.write(facts, token.expires_at)


def read_token(text: str) -> StaffToken:
    """Return what the token says; raises Unauthenticated when it is forged or has expired."""
    facts, expires_at = _tokens.read(text)
    return StaffToken(
        user_id=UUID(facts["u"]),
        account_id=UUID(facts["a"]),
        instance_id=UUID(facts["i"]),
        expires_at=expires_at,
        draft_id=UUID(facts["d"]) if facts["d"] else None,
    )


async def token_caller(request: HttpRequest, text: str, account: str) -> Caller:
    """Return the person of the staff who holds the token; raises a Problem for anyone else."""
    token = read_token(text)
    user = await _people.get_or_load(find_player, token.user_id)
    if user is None:
        raise Unauthenticated(ENDED)
    try:
        known = await cached_account(account)
    except NotFound:
        await require_name(token.account_id, account)
        raise
    if known.pk != token.account_id:
        raise NotFound
    require_active(known)
    return Caller(
        account_id=token.account_id,
        account_slug=account,
        scopes=SCOPES,
        subject=f"staff:{token.user_id}",
        instance_ids=frozenset({token.instance_id}),
        network=client_network(request),
        user_id=token.user_id,
        draft_id=token.draft_id,
        name=user.email,
        expires_at=token.expires_at,
    )


def may_play(user: object) -> bool:
    """Return whether the person may use the playground; auditors may not, as they only read."""
    if not isinstance(user, User) or not user.is_active or not user.is_staff:
        return False
    return not user.is_auditor and user.has_perm(settings.PLAYGROUND_PERMISSION)


def find_player(user_id: UUID) -> User | None:
    """Read the person past every cache; None where they may not use the playground."""
    with platform_context():
        user = User.objects.filter(pk=user_id).first()
        return user if may_play(user) else None
