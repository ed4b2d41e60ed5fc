"""The admin's pages for conversations, and what they add to the pages of accounts and agents."""

from sessions_app.admin import erasures, explain_page, lifecycle, links, palette, requests
from sessions_app.admin.conversations import feedback, messages, profiles, sessions
from sessions_app.admin.evals import saved_chats
from sessions_app.admin.overview import account_figures, key_figures, usage_page

__all__ = [
    "account_figures",
    "erasures",
    "explain_page",
    "feedback",
    "key_figures",
    "lifecycle",
    "links",
    "messages",
    "palette",
    "profiles",
    "requests",
    "saved_chats",
    "sessions",
    "usage_page",
]
