"""The keys that every row of a conversation has: its instance, its version, its session."""

from __future__ import annotations

from django.db import models

from accounts.models.foreign_keys import tenant_constraint
from agents.models import AgentInstance, ConfigVersion
from salient.database.constraints import CompositeForeignKey


def instance_key() -> models.ForeignKey[AgentInstance]:
    """The database refuses to delete an instance with a history; it can be archived."""
    return models.ForeignKey(
        AgentInstance,
        models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name="agent",
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
    return tenant_constraint(table, "session", "sessions_app.Session")


def instance_constraint(table: str) -> CompositeForeignKey:
    return tenant_constraint(table, "agent_instance", "agents.AgentInstance", on_delete="NO ACTION")
