"""The list of conversations, with the search for what was said in them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.lists.filters import FilterForm
from accounts.admin.lists.keyset import KeysetAdmin, KeysetChangeList
from salient.formatting import spend
from sessions_app.admin.badges import origin_of, status_badge, thumb, with_badge
from sessions_app.admin.filters import SessionFilters
from sessions_app.admin.texts import ask_for_texts
from sessions_app.admin.transcript import SessionPage
from sessions_app.conversations import csv_columns, search
from sessions_app.models import Session


class SessionChangeList(KeysetChangeList):
    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Model, Model]:
        rows = super().get_queryset(request)
        found: QuerySet[Model, Model] = rows.annotate(origin=origin_of(session_id="pk"))
        return found

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        form: Any = self.form
        if "found" not in self.list_display or not form.is_valid() or form.account is None:
            return
        shown = {session.pk for session in self.result_list}
        found = search.snippets(form.account.pk, form.words(), shown) if shown else {}
        for session in self.result_list:
            session.found = found.get(session.pk, "")


@admin.register(Session)
class SessionAdmin(KeysetAdmin[Session], SessionPage):
    moment = "last_activity_at"
    filter_form = SessionFilters
    export_columns = csv_columns.SESSION_COLUMNS
    list_display = [
        "last_activity_at",
        "agent",
        "person",
        "turn_count",
        "cost",
        "status",
        "thumb",
        "created_at",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        # The key is what a visitor's cookie is told by; no page needs it.
        rows: QuerySet[Session] = super().get_queryset(request).defer("session_key")
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return SessionChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown = list(self.list_display)
        # What was said takes the room of when it began.
        return [*shown[:3], "found", *shown[3:-1]] if request.GET.get("text") else shown

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        if request.GET.get("text"):
            refused = self._refuse_search(request, self.filters(request.GET))
            if refused is not None:
                return refused
        return super().changelist_view(request, extra_context)

    def refuse_export(self, request: HttpRequest, form: FilterForm) -> HttpResponse | None:
        return self._refuse_search(request, form)

    def _refuse_search(self, request: HttpRequest, form: Any) -> HttpResponse | None:
        """Ask for a reason first: what is found tells what was said."""
        if not form.is_valid() or form.account is None or not form.words():
            return None
        words = form.words()
        return ask_for_texts(request, form.account.pk, "messages", words, f"search: {words}")

    def texts_of(self, form: Any) -> UUID | None:
        """Which conversations hold the words tells what was said in them."""
        return form.account.pk if form.account and form.words() else None

    @admin.display(description="agent")
    def agent(self, session: Session) -> str:
        return f"{session.account_slug}/{session.agent_instance_slug}"

    @admin.display(description="who")
    def person(self, session: Session) -> SafeString:
        name = session.end_user or session.email or ("visitor" if session.is_anonymous else "")
        return with_badge("" if session.copied_from is not None else name, session)

    @admin.display(description="said")
    def found(self, session: Any) -> SafeString:
        return format_html('<span class="found">{}</span>', session.found)

    @admin.display(description="cost")
    def cost(self, session: Session) -> str:
        return spend(session.total_cost, session.unpriced_turns)

    @admin.display(description="last turn")
    def status(self, session: Session) -> SafeString | str:
        return status_badge(session.last_status)

    @admin.display(description="feedback")
    def thumb(self, session: Session) -> SafeString | str:
        return thumb(session.feedback)
