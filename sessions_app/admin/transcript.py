"""One session's page: what was said, as people read it, and what each answer took."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse

from accounts.admin.base import RecordAdmin
from accounts.members import support_access
from salient.api.cursor import Cursor
from salient.formatting import spend
from sessions_app.conversations import transcript
from sessions_app.models import Session


class SessionPage(RecordAdmin[Session]):
    """What the page of one session shows; its list is in sessions.py."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        session = self._session(request, object_id)
        if session is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined, no-any-return]
                request, self.opts, object_id
            )
        if not self.has_view_permission(request, session):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Session",
            "subtitle": str(session.pk),
            "opts": self.opts,
            "session": session,
            "whose": whose(session),
            "cost": spend(session.total_cost, session.unpriced_turns),
            "state": transcript.STATES.get(session.last_status, ""),  # type: ignore[call-overload]
            "page": transcript.read(session, cursor_of(request)),
            **self._texts(request, session),
            **self._doings(request, session),
            **(extra_context or {}),
        }
        return TemplateResponse(
            request, "admin/session/page.html", context, headers={"Cache-Control": "no-store"}
        )

    def _session(self, request: HttpRequest, object_id: str) -> Session | None:
        rows = (
            self.get_queryset(request)
            .select_related("account", "agent_instance", "user")
            .defer("session_key", "agent_instance__override", "user__password")
        )
        try:
            found: Session | None = rows.filter(pk=unquote(object_id)).first()
        except ValidationError:
            return None
        return found

    def get_queryset(self, request: HttpRequest) -> Any:
        # The key is what a visitor's cookie is told by; no page needs it.
        return super().get_queryset(request).defer("session_key")

    def _texts(self, request: HttpRequest, session: Session) -> dict[str, Any]:
        """Let the words be shown under a support access alone, and note who reads them."""
        access = support_access.current_access(request.user, session.account_id)
        if access is not None:
            support_access.note_reading(access, "sessions", session.pk, whose(session))
            return {"access": access}
        return {"access": None, "reason": support_access.inline_form(request, session.account)}

    def _doings(self, request: HttpRequest, session: Session) -> dict[str, str]:
        """What else can be done with a conversation; each by a page of its own."""
        may_save = request.user.has_perm("sessions_app.add_savedchat")
        saved = _address("saved-chat-from-session", session.pk) if may_save else ""
        messages = _address("sessions_app_message_export")
        which = f"?account__id__exact={session.account_id}&session__id__exact={session.pk}"
        return {
            "save_address": "" if session.deleted_at else saved,
            "export_address": messages + which if messages else "",
            "requests_address": reverse("admin:sessions_app_llmrequest_changelist") + which,
        }


def whose(session: Session) -> str:
    """Name the person as the account does; a visitor has no name."""
    if session.user_id is not None and session.user is not None:
        return str(session.user.email)
    if session.copied_from is not None:
        return "test chat"
    return session.end_user or session.email or "anonymous visitor"


def cursor_of(request: HttpRequest) -> Cursor | None:
    """Read the place that the address names; a broken one is the newest page."""
    try:
        return Cursor.read(request.GET["before"])
    except (KeyError, ValueError):
        return None


def _address(name: str, *args: Any) -> str:
    try:
        return reverse(f"admin:{name}", args=args)
    except NoReverseMatch:
        return ""
