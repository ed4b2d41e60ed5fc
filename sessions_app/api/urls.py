"""The API's addresses of turns, histories, feedback and usage, and the chat page."""

from django.urls import path

from sessions_app.api import chat_page, chat_run_views, feedback_views, usage_views, views

app_name = "sessions"

urlpatterns = [
    path("usage", usage_views.usage, name="usage"),
    # With a slash at the end: salient/api/routing.py knows pages by it.
    path("agents/<str:instance>/", chat_page.chat_page, name="page"),
    path("agents/<str:instance>/chat", views.chat, name="chat"),
    path("agents/<str:instance>/stream", views.stream, name="stream"),
    path("agents/<str:instance>/history", views.messages, name="history"),
    path("agents/<str:instance>/sessions", views.sessions, name="sessions"),
    path("agents/<str:instance>/sessions/<str:session_id>", views.session_delete, name="session"),
    path(
        "agents/<str:instance>/messages/<str:message_id>/feedback",
        feedback_views.message_feedback,
        name="feedback",
    ),
    path(
        "agents/<str:instance>/test-chats/<str:chat_id>/run",
        chat_run_views.run,
        name="test-chat-run",
    ),
]
