"""Texts of accounts in the admin: shown under a support access, and each reading is noted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.db.models import Model
from django.db.models.options import Options
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from accounts.admin.base import PlatformModelAdmin
from accounts.admin.formatting import quiet
from accounts.admin.lists.keyset import KeysetChangeList
from accounts.members import support_access
from accounts.models import Account, User
from sessions_app.evals.saved_chats import own_sessions
from sessions_app.models import SavedChat
from sessions_app.operations.lifecycle.holds import await_placing, is_held

HELD = "A legal hold covers the conversation: nothing of it can be changed or deleted."


def hidden() -> SafeString:
    return quiet("hidden: needs support access")


def open_accounts(request: HttpRequest) -> set[UUID]:
    """Return the accounts whose texts this person may read now; read once in a request."""
    found: set[UUID] | None = getattr(request, "_open_accounts", None)
    if found is None:
        found = support_access.open_accounts(request.user)
        request._open_accounts = found  # type: ignore[attr-defined]
    return found


def hidden_chats(request: HttpRequest, chats: Iterable[SavedChat]) -> set[UUID]:
    """Return the test chats whose words this person may not read now.

    These are copied from conversations of the account's people. Staff may read what they wrote
    themselves, in a test chat or in the playground.
    """
    readable = open_accounts(request)
    copied = {
        chat.pk: chat.session_id
        for chat in chats
        if chat.session_id is not None and chat.account_id not in readable
    }
    if not copied:
        return set()
    own = own_sessions(cast(User, request.user).pk, copied.values())
    return {chat for chat, session in copied.items() if session not in own}


class HeldRowsAdmin[M: Model](PlatformModelAdmin[M]):
    """Pages of rows with texts of a session (`session_id`): what a legal hold covers stays."""

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        may = super().has_change_permission(request, obj)
        return may and not self._is_held(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        may = super().has_delete_permission(request, obj)
        return may and not self._is_held(request, obj)

    def render_change_form(self, request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
        """Say why the fields cannot be changed."""
        if getattr(named.get("obj"), "is_held", False):
            self.message_user(request, HELD, messages.WARNING)
        return super().render_change_form(request, *args, **named)

    def _is_held(self, request: HttpRequest, row: Any) -> bool:
        """Ask once for a row; where it is to be changed, no hold is placed until that is done."""
        if row is None or row.session_id is None:
            return False
        if not hasattr(row, "is_held"):
            if request.method == "POST":
                await_placing(row.account_id)
            row.is_held = is_held(row.account_id, row.session_id)
        return bool(row.is_held)


class HidingChangeList(KeysetChangeList):
    """Marks the rows whose words this person may not read, and notes whose words are shown."""

    # The attribute with the words, where a row may have none.
    words = ""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        mark_hidden(request, self.opts, self.result_list, self.words)


def mark_hidden(
    request: HttpRequest, opts: Options[Any], rows: Iterable[Any], words: str = ""
) -> None:
    """Set `is_hidden` on each row, and note the accounts whose words the list shows."""
    readable, shown = open_accounts(request), set()
    for row in rows:
        row.is_hidden = row.account_id not in readable
        if not row.is_hidden and (not words or getattr(row, words)):
            shown.add(row.account_id)
    note_list(request, opts, shown)


def note_list(request: HttpRequest, opts: Options[Any], accounts: Iterable[UUID]) -> None:
    """Note that a list of these texts was looked through, once for each access."""
    for account_id in accounts:
        access = support_access.current_access(request.user, account_id)
        if access is not None:
            name = f"list of {opts.verbose_name_plural}"
            support_access.note_reading(access, opts.db_table, "list", name)


def note_chat(request: HttpRequest, chat: SavedChat) -> None:
    """Note that a test chat's copied words are shown, once for each access."""
    access = support_access.current_access(request.user, chat.account_id)
    if access is not None:
        support_access.note_reading(access, "saved_chats", chat.pk, chat.name)


def access_to(
    request: HttpRequest, account: Account, table: str, key: UUID, label: str
) -> dict[str, Any]:
    """Return a page's context: the `access`, or the form `reason` that asks for one.

    Under an access the reading is noted.
    """
    access = support_access.current_access(request.user, account.pk)
    if access is None:
        return {"access": None, "reason": support_access.inline_form(request, account)}
    support_access.note_reading(access, table, key, label)
    return {"access": access}


def require_texts(
    request: HttpRequest, account_id: UUID, table: str, what: object, label: str
) -> HttpResponse | None:
    """Return the page that asks for a reason; under an access none, and the reading is noted."""
    return support_access.require_texts(
        request, account_id, object_type=table, object_id=str(what)[:100], label=label
    )
