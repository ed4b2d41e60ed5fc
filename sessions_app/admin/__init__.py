"""The staff's pages for conversations, one module for each kind of row."""

from sessions_app.admin import (
    explain_page,
    feedback,
    messages,
    overview,
    profiles,
    requests,
    sessions,
)
from sessions_app.admin.evals import saved_chats
from sessions_app.admin.overview import account_figures, page

__all__ = [
    "account_figures",
    "explain_page",
    "feedback",
    "messages",
    "overview",
    "page",
    "profiles",
    "requests",
    "saved_chats",
    "sessions",
]
