"""Accounts as a Django app; each migrate grants the database's roles their rights."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Tenants"

    def ready(self) -> None:
        """Register the checks, and what runs after each migrate."""
        from accounts.auth import route_checks  # noqa: F401, PLC0415 - models are not ready before
        from accounts.tenancy import checks  # noqa: F401, PLC0415 - models are not ready before

        post_migrate.connect(_grant_rights, sender=self, dispatch_uid="accounts.tenancy.roles")


def _grant_rights(*, using: str, **_more: Any) -> None:
    from accounts.tenancy.roles import grant_rights  # noqa: PLC0415 - models are not ready when this loads

    grant_rights(using)
