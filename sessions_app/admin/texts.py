"""Texts of accounts in lists: shown while a support access is open, else only that there are."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse

from accounts import support
from accounts.keyset import KeysetChangeList
from accounts.models import SupportAccess, User

HIDDEN = "hidden: needs support access"


def open_accounts(request: HttpRequest) -> set[UUID]:
    """The accounts whose texts this person may read now; asked for once in a request."""
    found: set[UUID] | None = getattr(request, "_open_accounts", None)
    if found is None:
        found = set()
        if isinstance(request.user, User) and support.may_open(request.user):
            mine = SupportAccess.objects.open().filter(user=request.user)
            found = set(mine.values_list("account_id", flat=True))
        request._open_accounts = found  # type: ignore[attr-defined]
    return found


class HidingChangeList(KeysetChangeList):
    """Marks the rows whose words this person may not read."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        readable = open_accounts(request)
        for row in self.result_list:
            row.is_hidden = row.account_id not in readable


def ask_for_texts(
    request: HttpRequest, account_id: UUID, table: str, what: object, label: str
) -> HttpResponse | None:
    """Return the page that asks for a reason, or nothing: then the reading is noted."""
    return support.require_texts(
        request, account_id, object_type=table, object_id=str(what)[:100], label=label
    )
