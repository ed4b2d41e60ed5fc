"""The keys that every row of a conversation has: its account, its instance, its session."""

from __future__ import annotations

from django.db import models

from accounts.models import Account
from agents.models import AgentInstance, ConfigVersion
from salient.database.constraints import CompositeForeignKey


def account_key() -> models.ForeignKey[Account]:
    return models.ForeignKey(
        Account, models.DB_CASCADE, related_name="+", db_constraint=False, db_index=False
    )


def instance_key() -> models.ForeignKey[AgentInstance]:
    """Instances with a history stay: the database refuses to delete them (archive them)."""
    return models.ForeignKey(
        AgentInstance, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )


def version_key() -> models.ForeignKey[ConfigVersion | None]:
    return models.ForeignKey(
        ConfigVersion,
        models.DO_NOTHING,
        related_name="+",
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
    )


def version_constraint(table: str) -> CompositeForeignKey:
    return CompositeForeignKey(
        fields=["account", "agent_instance", "config_version"],
        to="agents.ConfigVersion",
        to_fields=["account", "agent_instance", "id"],
        name=f"fk_{table}_config_version_id",
        on_delete="NO ACTION",
        on_update="NO ACTION",
    )


def slug_constraints(table: str) -> list[CompositeForeignKey]:
    """The keys that keep the denormalised slugs true, and foreign instances out."""
    return [
        CompositeForeignKey(
            fields=["account", "account_slug"],
            to="accounts.Account",
            to_fields=["id", "slug"],
            name=f"fk_{table}_account_id",
        ),
        CompositeForeignKey(
            fields=["account", "agent_instance", "agent_instance_slug"],
            to="agents.AgentInstance",
            to_fields=["account", "id", "instance_slug"],
            name=f"fk_{table}_agent_instance_id",
            on_delete="NO ACTION",
        ),
    ]


def session_constraint(table: str) -> CompositeForeignKey:
    return CompositeForeignKey(
        fields=["account", "session"],
        to="sessions_app.Session",
        to_fields=["account", "id"],
        name=f"fk_{table}_session_id",
        on_update="NO ACTION",
    )


def instance_constraint(table: str) -> CompositeForeignKey:
    return CompositeForeignKey(
        fields=["account", "agent_instance"],
        to="agents.AgentInstance",
        to_fields=["account", "id"],
        name=f"fk_{table}_agent_instance_id",
        on_delete="NO ACTION",
        on_update="NO ACTION",
    )


def account_constraint(table: str) -> CompositeForeignKey:
    """Direct, so that erasing an account removes the rows before instances are checked."""
    return CompositeForeignKey(
        fields=["account"],
        to="accounts.Account",
        to_fields=["id"],
        name=f"fk_{table}_account_id",
        on_update="NO ACTION",
    )
