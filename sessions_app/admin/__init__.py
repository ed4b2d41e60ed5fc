"""The admin's pages for conversations, and what they add to the pages of accounts and agents."""

from sessions_app.admin import (
    explain_page,
    feedback,
    links,
    messages,
    palette,
    profiles,
    requests,
    sessions,
)
from sessions_app.admin.evals import saved_chats
from sessions_app.admin.overview import account_figures

__all__ = [
    "account_figures",
    "explain_page",
    "feedback",
    "links",
    "messages",
    "palette",
    "profiles",
    "requests",
    "saved_chats",
    "sessions",
]
