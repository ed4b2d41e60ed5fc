"""Conversations as a Django app."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Conversations"

    def ready(self) -> None:
        # Models can be imported only now.
        from agents.publishing import register_gate  # noqa: PLC0415
        from sessions_app import refusal_page, saved_chats  # noqa: PLC0415

        register_gate(saved_chats.gate)
        refusal_page.register()
