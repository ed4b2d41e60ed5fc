"""The API for an account itself: its slug and its name."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from accounts.auth.decorators import ApiRequest, api_view
from accounts.models import Account, FormerSlug, Scope
from accounts.tenancy.context import tenant_context
from accounts.tenancy.renames import SlugTaken, change_account, former_slugs_of
from salient.api.schemas import In, Out, Printable
from salient.database import in_database


class AccountChangeIn(In):
    """What is to change of an account. Its old URLs answer 308 for 90 days after a new slug."""

    slug: Annotated[Printable, Field(min_length=1, max_length=63)] = ""
    name: Annotated[Printable, Field(min_length=1, max_length=255)] = ""


class FormerSlugOut(Out):
    """A slug that leads to the account until `expires_at`."""

    slug: str
    expires_at: datetime


class AccountOut(Out):
    """An account, and the slugs that still lead to it."""

    id: UUID
    slug: str
    name: str
    created_at: datetime
    updated_at: datetime
    former_slugs: list[FormerSlugOut]

    @classmethod
    def of(cls, account: Account, former: list[FormerSlug]) -> Self:
        return cls(
            id=account.pk,
            slug=account.slug,
            name=account.name,
            created_at=account.created_at,
            updated_at=account.updated_at,
            former_slugs=[
                FormerSlugOut(slug=each.slug, expires_at=each.expires_at) for each in former
            ],
        )


@api_view(
    "PATCH",
    scope=Scope.MEMBERS_WRITE,
    body=AccountChangeIn,
    answer=AccountOut,
    problems=(SlugTaken,),
)
async def account_change(request: ApiRequest, *, body: AccountChangeIn) -> AccountOut:
    """Rename the account, or change how people call it."""
    return await in_database(_change, request.caller.account_id, body)


def _change(account_id: UUID, wanted: AccountChangeIn) -> AccountOut:
    changed = change_account(account_id, **wanted.model_dump(exclude_unset=True))
    with tenant_context(account_id):
        return AccountOut.of(changed, former_slugs_of(account_id))
