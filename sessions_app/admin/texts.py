"""Texts of accounts in lists: shown while a support access is open, else only that there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

from django.db.models.options import Options
from django.http import HttpRequest, HttpResponse

from accounts.admin.lists.keyset import KeysetChangeList
from accounts.members import support_access
from accounts.models import SupportAccess, User
from sessions_app.models import SavedChat, Session

HIDDEN = "hidden: needs support access"


def open_accounts(request: HttpRequest) -> set[UUID]:
    """The accounts whose texts this person may read now; asked for once in a request."""
    found: set[UUID] | None = getattr(request, "_open_accounts", None)
    if found is None:
        found = set()
        if isinstance(request.user, User) and support_access.may_open(request.user):
            mine = SupportAccess.objects.open().filter(user=request.user)
            found = set(mine.values_list("account_id", flat=True))
        request._open_accounts = found  # type: ignore[attr-defined]
    return found


def hidden_chats(request: HttpRequest, chats: Iterable[SavedChat]) -> set[UUID]:
    """The test chats that say an account's people's words, which this person may not read now.

    What staff wrote by hand, or said themselves in the playground, is theirs.
    """
    readable = open_accounts(request)
    copied = {
        chat.pk: chat.session_id
        for chat in chats
        if chat.session_id is not None and chat.account_id not in readable
    }
    if not copied:
        return set()
    own = Session.objects.filter(pk__in=copied.values(), user_id=cast(User, request.user).pk)
    said_themselves = set(own.filter(copied_from=None).values_list("pk", flat=True))
    return {chat for chat, session in copied.items() if session not in said_themselves}


class HidingChangeList(KeysetChangeList):
    """Marks the rows whose words this person may not read, and notes whose words are shown."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        readable = open_accounts(request)
        for row in self.result_list:
            row.is_hidden = row.account_id not in readable
        shown = {
            row.account_id for row in self.result_list if not row.is_hidden and self.has_words(row)
        }
        note_list(request, self.opts, shown)

    def has_words(self, row: Any) -> bool:
        return True


def note_list(request: HttpRequest, opts: Options[Any], accounts: Iterable[UUID]) -> None:
    """Note once for each access that a list of these texts was looked through."""
    for account_id in accounts:
        access = support_access.current_access(request.user, account_id)
        if access is not None:
            name = f"list of {opts.verbose_name_plural}"
            support_access.note_reading(access, opts.db_table, "list", name)


def note_chat(request: HttpRequest, chat: SavedChat) -> None:
    """Note once for each access that a test chat's copied words are shown."""
    access = support_access.current_access(request.user, chat.account_id)
    if access is not None:
        support_access.note_reading(access, "saved_chats", chat.pk, chat.name)


def ask_for_texts(
    request: HttpRequest, account_id: UUID, table: str, what: object, label: str
) -> HttpResponse | None:
    """Return the page that asks for a reason, or nothing: then the reading is noted."""
    return support_access.require_texts(
        request, account_id, object_type=table, object_id=str(what)[:100], label=label
    )
