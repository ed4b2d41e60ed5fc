"""The project as a Django app: its start-up checks and its admin site."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin import apps as django_admin
from django.db.models.signals import pre_migrate


class SalientConfig(AppConfig):
    name = "salient"
    default = True

    def ready(self) -> None:
        # Registers the checks; nothing may be imported before the apps are there.
        from salient.api.lifespan import on_start, on_stop  # noqa: PLC0415
        from salient.database import indexes, limit_replies  # noqa: F401, PLC0415
        from salient.observability import metrics, snapshots, tracing  # noqa: PLC0415
        from salient.security import checks  # noqa: F401, PLC0415
        from salient.tasks import queue  # noqa: F401, PLC0415

        on_start(limit_replies)
        on_start(metrics.start)
        on_start(snapshots.start)
        on_start(tracing.start)
        on_stop(tracing.stop)
        on_stop(snapshots.stop)
        # Sent for each app that has models, of which this is none.
        pre_migrate.connect(_look_first, dispatch_uid="salient.upgrades")


def _look_first(*, using: str, plan: Sequence[tuple[Any, bool]], **_more: Any) -> None:
    """Raise before the first migration changes a database that is not for migrations to change."""
    from salient.database.upgrades.lock import require_migratable  # noqa: PLC0415 - models are not ready when this loads

    require_migratable(using, plan)


class SalientAdminConfig(django_admin.AdminConfig):
    default = False
    default_site = "accounts.admin.site.SalientAdminSite"

    def ready(self) -> None:
        """Import the admin of accounts before Django makes the site.

        Making the site imports that package. Its pages would make a second site, register with it
        and be lost with it.
        """
        from accounts import admin  # noqa: F401, PLC0415 - models are not ready when this loads

        super().ready()
