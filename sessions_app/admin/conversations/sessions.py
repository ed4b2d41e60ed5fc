"""Conversations in the admin: the list with its search for words, and a conversation's page."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.lists.bounded import in_time
from accounts.admin.lists.filters import FilterForm
from accounts.admin.lists.keyset import KeysetAdmin, KeysetChangeList
from accounts.admin.lists.private import opened
from salient.cursor import Cursor
from salient.formatting import spend
from salient.ids import parse_uuid
from sessions_app.admin.badges import feedback_badge, rating_badge, status_badge, with_origin
from sessions_app.admin.conversations.feedback import DECIDE
from sessions_app.admin.conversations.hits import AT, to_first_hit, way_through
from sessions_app.admin.conversations.texts import access_to, require_texts
from sessions_app.admin.filters import SessionFilters
from sessions_app.conversations import csv_columns, transcript
from sessions_app.conversations.origins import origin_of
from sessions_app.conversations.search import Snippet
from sessions_app.models import Session


class SessionChangeList(KeysetChangeList):
    """Adds the words that were found."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        form: Any = self.form
        searched = form.searched() if form.is_valid() else None
        shown = {session.pk for session in self.result_list}
        if "found" not in self.list_display or searched is None or not shown:
            return
        found = in_time(partial(searched.snippets, shown)) or {}
        for session in self.result_list:
            session.found = found.get(session.pk)


@admin.register(Session)
class SessionAdmin(KeysetAdmin[Session]):
    menu_group, menu_place = "Conversations", 1
    nothing_yet = "No conversations yet."
    changelist_class = SessionChangeList
    moment = "last_activity_at"
    filter_form = SessionFilters
    export_columns = csv_columns.SESSION_COLUMNS
    detail_template = "admin/session/page.html"
    list_display = [
        "last_activity_at",
        "agent",
        "person",
        "turn_count",
        "cost",
        "status",
        "rating",
        "created_at",
    ]

    list_numbers = ("cost",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        # The key identifies a visitor's cookie, and no page shows it.
        return super().get_queryset(request).defer("session_key")

    def list_annotations(self) -> dict[str, Any]:
        return {"origin": origin_of(session_id="pk")}

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown = list(self.list_display)
        # The words that were found take the place of `created_at`.
        return [*shown[:3], "found", *shown[3:-1]] if self._looks_for_words(request) else shown

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        if self._looks_for_words(request):
            refused = self.refuse_export(request, self.filters(request.GET))
            if refused is not None:
                return refused
        return super().changelist_view(request, extra_context)

    def _looks_for_words(self, request: HttpRequest) -> bool:
        return bool(opened(request.GET, self.filter_form.private).get("text"))

    def refuse_export(self, request: HttpRequest, form: Any) -> HttpResponse | None:
        """Ask for a reason before words are searched: the results reveal what people wrote."""
        if not form.is_valid() or form.account is None or not form.words():
            return None
        words = form.words()
        return require_texts(request, form.account.pk, "messages", words, f"search: {words}")

    def texts_of(self, form: FilterForm) -> UUID | None:
        """Return the account whose texts are searched."""
        words = isinstance(form, SessionFilters) and form.words()
        return form.account.pk if form.account and words else None

    def detail_rows(self, request: HttpRequest) -> QuerySet[Session]:
        rows = self.get_queryset(request).select_related("account", "agent_instance", "user")
        return rows.defer("session_key", "agent_instance__override", "user__password")

    def refuse_row(self, request: HttpRequest, row: Session) -> HttpResponse | None:
        """Lead on to the first hit of the search for words that led here."""
        return None if AT in request.GET else to_first_hit(self, request, row)

    def detail(self, request: HttpRequest, row: Session) -> dict[str, Any]:
        name = person_of(row)
        may_save = request.user.has_perm("sessions_app.add_savedchat") and not row.deleted_at
        query = f"?account__id__exact={row.account_id}&session__id__exact={row.pk}"
        save = reverse("admin:saved-chat-from-session", args=[row.pk])
        # Without the person: the log is kept when they are erased.
        access = access_to(request, row.account, "sessions", row.pk, str(row))
        page = transcript.read(row, cursor_of(request), parse_uuid(request.GET.get(AT, "")))
        for thumb in (each for entry in page.entries for each in entry.feedback):
            thumb.badge = feedback_badge(thumb)  # type: ignore[attr-defined]
        return {
            "title": "Session",
            "subtitle": str(row),
            "session": row,
            "person": name,
            "cost": spend(row.total_cost, row.unpriced_turns),
            "state": transcript.STATES.get(row.last_status, ""),  # type: ignore[call-overload]
            "page": page,
            "save_address": save if may_save else "",
            "may_decide": request.user.has_perm(DECIDE),
            "may_fix": request.user.has_perm("agents.change_agentinstance"),
            "may_see_versions": request.user.has_perm("agents.view_configversion"),
            "export_address": reverse("admin:sessions_app_message_export") + query,
            "requests_address": reverse("admin:sessions_app_llmrequest_changelist") + query,
            **access,
            **way_through(self, request, row, page, may_read=access["access"] is not None),
        }

    @admin.display(description="agent")
    def agent(self, session: Session) -> str:
        return f"{session.account_slug}/{session.agent_instance_slug}"

    @admin.display(description="who")
    def person(self, session: Session) -> SafeString:
        name = session.end_user or session.email or ("visitor" if session.is_anonymous else "")
        return with_origin("" if session.copied_from is not None else name, session)

    @admin.display(description="words")
    def found(self, session: Any) -> SafeString | str:
        found: Snippet | None = getattr(session, "found", None)
        if found is None:
            return ""
        said = '<span class="found"><span class="quiet">{}:</span> {}</span>'
        return format_html(said, found.said_by, found.text)

    @admin.display(description="cost")
    def cost(self, session: Session) -> str:
        return spend(session.total_cost, session.unpriced_turns)

    @admin.display(description="last turn")
    def status(self, session: Session) -> SafeString | str:
        return status_badge(session.last_status)

    @admin.display(description="feedback")
    def rating(self, session: Session) -> SafeString | str:
        return rating_badge(session.feedback)


def person_of(session: Session) -> str:
    """Name the person as the account does; a visitor has no name."""
    if session.user_id is not None and session.user is not None:
        return str(session.user.email)
    if session.copied_from is not None:
        return "test chat"
    return session.end_user or session.email or "anonymous visitor"


def cursor_of(request: HttpRequest) -> Cursor | None:
    """Read the place in the conversation from the address; a broken one is the newest page."""
    try:
        return Cursor.read(request.GET["before"])
    except (KeyError, ValueError):
        return None
