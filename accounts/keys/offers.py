"""Key offers: staff offer a key by e-mail, and its secret is made when the person takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.auth import key_text
from accounts.keys.services import ROTATION_OVERLAP, retire
from accounts.members.email_addresses import is_same
from accounts.members.members import SCOPES_OF
from accounts.members.one_time_links import (
    LIFETIME,
    LinkClosed,
    find_row,
    new_token,
    token_hash,
)
from accounts.models import AccountStatus, ApiKey, Invitation, MemberRole, Membership, User
from accounts.models.user import MANAGERS
from accounts.tenancy.context import platform_context, tenant_context
from salient.actors import Actor, acting


@dataclass(frozen=True, slots=True)
class Offer:
    """An offered key, with the token for its link, which is stored nowhere."""

    key: ApiKey
    token: str = field(repr=False)

    @property
    def path(self) -> str:
        return reverse("accounts:key-offer", args=[self.key.account.slug, self.token])


def takers(account_id: UUID) -> list[tuple[str, str]]:
    """Return whom a key may be offered to, as (e-mail address, role); in the platform context."""
    members = Membership.objects.managers().filter(account_id=account_id).order_by("created_at")
    found = dict(members.values_list("user__email", "role"))
    invited = Invitation.objects.pending().filter(account_id=account_id, role__in=MANAGERS)
    for email, role in invited.order_by("created_at").values_list("email", "role"):
        found.setdefault(email, f"{role}, invited")
    return list(found.items())


def offer(key: ApiKey, taker: str) -> Offer:
    """Turn the unsaved key into an offer to this person; the caller saves it."""
    token = new_token()
    # It gets another id when it is taken, so that this one is part of no key's text.
    key.key_id, key.secret_hash = key_text.new_key(key.prefix).key_id, ""
    key.taker, key.offer_hash = taker, token_hash(token)
    key.offer_expires_at = timezone.now() + LIFETIME
    return Offer(key, token)


def send(offered: Offer, site: str) -> None:
    """Write to the person; `site` is this installation's address without a slash."""
    key = offered.key
    name = " ".join(key.account.name.split())
    text = render_to_string(
        "key_offer.txt",
        {"account": name, "key": key, "days": LIFETIME.days, "link": site + offered.path},
    )
    send_mail(f"An API key of {name} for you", text, None, [key.taker])


def find(account_slug: str, hashed: str) -> ApiKey:
    """Return the key that waits, with its account; raises LinkClosed."""
    if not hashed:
        # The column's value where nothing is offered.
        raise LinkClosed
    return find_row(account_slug, lambda: ApiKey.objects.waiting().filter(offer_hash=hashed))


def role_of(user: User, key: ApiKey) -> str:
    """Return the person's role in the key's account, "" for none."""
    with tenant_context(key.account_id):
        return Membership.objects.role_of(user.pk)


def may_hold(role: str, key: ApiKey) -> bool:
    """Return whether the role makes keys, and such a key gives nobody more than the role has."""
    return role in MANAGERS and SCOPES_OF[MemberRole(role)].issuperset(key.scopes)


def take(offered: ApiKey, user: User, overlap: timedelta = ROTATION_OVERLAP) -> tuple[ApiKey, str]:
    """Give the offered key its secret, and return it with its text; raises LinkClosed.

    A key that it replaces works on for `overlap`. The person's role is read again, because they may
    have lost it meanwhile.
    """
    with acting(Actor("member", str(user.pk), user.email)), platform_context():
        waiting = ApiKey.objects.waiting().select_for_update(of=["self"])
        key: ApiKey | None = (
            waiting.filter(
                pk=offered.pk,
                offer_hash=offered.offer_hash,
                account__status=AccountStatus.ACTIVE,
            )
            .select_related("account")
            .first()
        )
        if key is None or not is_same(key.taker, user.email):
            raise LinkClosed
        members = Membership.objects.filter(account_id=key.account_id)
        if not may_hold(members.role_of(user.pk), key):
            raise LinkClosed
        _retire_predecessor(key, overlap)
        text = key.give_secret()
        key.offer_hash, key.offer_expires_at = "", None
        key.save(update_fields=["key_id", "secret_hash", "offer_hash", "offer_expires_at"])
    return key, text


def _retire_predecessor(key: ApiKey, overlap: timedelta) -> None:
    """Let the key that this one replaces end.

    Raises LinkClosed if it has a successor already, or is suspended: its rights would live on.
    """
    if not key.rotated_from:
        return
    replaced = ApiKey.objects.filter(key_id=key.rotated_from, revoked_at=None)
    if any(each.suspended_reason for each in replaced.select_for_update()):
        raise LinkClosed
    old = ApiKey.objects.active().filter(key_id=key.rotated_from).first()
    if old is not None and old.rotated_at is not None:
        raise LinkClosed
    if old is not None:
        retire(old, overlap)
