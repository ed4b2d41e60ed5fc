"""Finding people in the lists of staff: by how an address or a name begins, or by their account.

Each way has an index. A text without words narrows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.members.email_addresses import beginning_with, with_address
from accounts.models import Account, Invitation, Membership, User

# Of those who are called alike, so many are found: one more than a list counts, so that it says
# that there are others.
MOST = 5_001


def find_users(people: QuerySet[User], text: str, *, with_accounts: bool) -> QuerySet[User]:
    """Narrow to the people whom a text names; with accounts, also to those of one by its slug."""
    if not text.strip():
        return people
    ids = _users_named(text)
    if with_accounts and (account := _account(text)):
        members = Membership.objects.filter(account=account).order_by()
        ids |= set(members.values_list("user_id", flat=True)[:MOST])
    return people.filter(pk__in=ids)


def find_memberships(places: QuerySet[Membership], text: str) -> QuerySet[Membership]:
    """Narrow to the memberships of the people whom a text names, or of an account by its slug."""
    if not text.strip():
        return places
    return places.filter(Q(user_id__in=_users_named(text)) | Q(account_id=_account(text)))


def find_invitations(invited: QuerySet[Invitation], text: str) -> QuerySet[Invitation]:
    """Narrow to those of a whole address, or of an account by its slug."""
    if not text.strip():
        return invited
    if account := _account(text):
        return invited.filter(account_id=account)
    return with_address(invited, "email", text)


def _account(slug: str) -> UUID | None:
    return (
        Account.objects.filter(slug=slug.strip().lower())
        .order_by()
        .values_list("pk", flat=True)
        .first()
    )


def _users_named(text: str) -> set[UUID]:
    return {pk for part in _parts(text.split()) for pk in part.values_list("pk", flat=True)[:MOST]}


def _parts(words: list[str]) -> Iterator[QuerySet[User]]:
    if not words:
        return
    people: Any = User.objects.order_by()
    if len(words) == 1:
        yield beginning_with(people, "email", words[0])
        yield beginning_with(people, "last_name", words[0])
    yield beginning_with(people, "first_name", " ".join(words))
    if len(words) > 1:
        # “Ann Lee”, in either order; the first narrows by its index.
        for first, last in ((words[0], words[-1]), (words[-1], words[0])):
            yield beginning_with(people.filter(last_name__istartswith=last), "first_name", first)
