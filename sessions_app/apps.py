"""Conversations as a Django app."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import pre_migrate


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Conversations"

    def ready(self) -> None:
        # Models can be imported only now.
        from agents.config.versions.publishing import register_publish_check  # noqa: PLC0415
        from sessions_app.adoption import checks  # noqa: F401, PLC0415
        from sessions_app.evals import saved_chats  # noqa: PLC0415

        register_publish_check(saved_chats.gate)
        pre_migrate.connect(_adopt, sender=self, dispatch_uid="sessions_app.adoption.survey")


def _adopt(*, using: str, plan: Sequence[tuple[Any, bool]], **_more: Any) -> None:
    """Look at a database from before tenancy before the first migration changes it."""
    from sessions_app.adoption.survey import adopt  # noqa: PLC0415 - models are not ready when this loads

    if any(not backwards for _, backwards in plan):
        adopt(using)
