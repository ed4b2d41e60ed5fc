"""The staff's pages for conversations, one module for each kind of row."""

from sessions_app import overview
from sessions_app.admin import feedback, messages, profiles, requests, sessions

__all__ = ["feedback", "messages", "overview", "profiles", "requests", "sessions"]
