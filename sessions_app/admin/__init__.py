"""The staff's pages for conversations, one module for each kind of row."""

from sessions_app import account_figures, overview
from sessions_app.admin import feedback, messages, profiles, requests, sessions
from sessions_app.studio import saved_chat_admin

__all__ = [
    "account_figures",
    "feedback",
    "messages",
    "overview",
    "profiles",
    "requests",
    "saved_chat_admin",
    "sessions",
]
