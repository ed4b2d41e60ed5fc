"""The API's addresses of turns, histories, feedback and usage, and the chat page."""

from django.urls import path

from sessions_app.api import chat_page, eval_views, session_views, turn_views, views

app_name = "sessions"

urlpatterns = [
    path("usage", views.usage, name="usage"),
    # The slash at the end tells salient/api/routing.py that this is a page.
    path("agents/<str:instance>/", chat_page.chat_page, name="page"),
    path("agents/<str:instance>/chat", views.chat, name="chat"),
    path("agents/<str:instance>/stream", views.stream, name="stream"),
    path("agents/<str:instance>/history", views.messages, name="history"),
    path("agents/<str:instance>/sessions", session_views.all_sessions, name="sessions"),
    path(
        "agents/<str:instance>/sessions/<str:session_id>",
        session_views.one_session,
        name="session",
    ),
    path(
        "agents/<str:instance>/sessions/<str:session_id>/messages",
        session_views.session_messages,
        name="session-messages",
    ),
    path(
        "agents/<str:instance>/sessions/<str:session_id>/export",
        session_views.session_export,
        name="session-export",
    ),
    path("agents/<str:instance>/turns/<str:turn_id>", turn_views.turn, name="turn"),
    path(
        "agents/<str:instance>/turns/<str:turn_id>/events",
        turn_views.read_events,
        name="turn-events",
    ),
    path("agents/<str:instance>/turns/<str:turn_id>/cancel", turn_views.cancel, name="turn-cancel"),
    path(
        "agents/<str:instance>/messages/<str:message_id>/feedback",
        views.message_feedback,
        name="feedback",
    ),
    path(
        "agents/<str:instance>/test-chats/<str:chat_id>/run",
        eval_views.test_chat_run,
        name="test-chat-run",
    ),
]
