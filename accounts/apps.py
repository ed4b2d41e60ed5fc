"""Accounts as a Django app; each migrate grants the database's roles their rights."""

from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Tenants"

    def ready(self) -> None:
        """Register the checks, and what runs after each migrate."""
        from accounts.auth import route_checks  # noqa: F401, PLC0415 - models are not ready before
        from accounts.tenancy import checks  # noqa: F401, PLC0415 - models are not ready before
        from accounts.webhooks import log  # noqa: F401, PLC0415 - models are not ready before

        post_migrate.connect(_grant_rights, sender=self, dispatch_uid="accounts.tenancy.roles")
        # After each app: Django makes its permissions then.
        post_migrate.connect(_refresh_roles, dispatch_uid="accounts.members.staff_roles")


def _grant_rights(*, using: str, **_more: Any) -> None:
    from accounts.tenancy.roles import grant_rights  # noqa: PLC0415 - models are not ready when this loads

    grant_rights(using)


def _refresh_roles(*, using: str, **_more: Any) -> None:
    from accounts.members import staff_roles  # noqa: PLC0415 - models are not ready when this loads

    if using == DEFAULT_DB_ALIAS and staff_roles.has_tables():
        staff_roles.refresh()
