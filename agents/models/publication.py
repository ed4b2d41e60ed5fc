"""What staff change of a configuration: drafts, and all that was ever published over the files."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.foreign_keys import account_key, tenant_constraint, user_constraint
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.database.constraints import CompositeForeignKey
from salient.ids import uuid7


def _author_key() -> models.ForeignKey[models.Model | None]:
    return models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        related_name="+",
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
    )


class ConfigDraft(TenantModel):
    """What somebody is writing to be published: YAML, as typed; it may be wrong."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    agent_instance = models.ForeignKey(
        "agents.AgentInstance",
        models.DB_CASCADE,
        related_name="config_drafts",
        db_constraint=False,
        db_index=False,
        verbose_name="agent",
    )
    text = models.TextField(blank=True)
    # The number of the publication that it started from; 0: there was none.
    base = models.IntegerField(default=0, db_default=0)
    author = _author_key()
    author_name = models.CharField(max_length=255, db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager["ConfigDraft"]()

    class Meta:
        db_table = "config_drafts"
        ordering = ["-updated_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent_instance", "account"], name="uq_config_drafts_instance"
            ),
            tenant_constraint("config_drafts", "agent_instance", "agents.AgentInstance"),
            user_constraint("config_drafts", "author", on_delete="SET NULL"),
        ]
        indexes = [
            models.Index(
                fields=["author"],
                name="ix_config_drafts_author",
                condition=Q(author__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"draft of {self.agent_instance_id}"


class ConfigPublicationQuerySet(TenantQuerySet["ConfigPublication"]):
    def newest_first(self) -> ConfigPublicationQuerySet:
        return self.order_by("-number")


class ConfigPublication(TenantModel):
    """An override that was put over an instance's files, with the reason; never changed again.

    The one with the highest number is in force (AgentInstance.override). `restores` is the number
    that a roll-back went back to.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    agent_instance = models.ForeignKey(
        "agents.AgentInstance",
        models.DB_CASCADE,
        related_name="config_publications",
        db_constraint=False,
        db_index=False,
        verbose_name="agent",
    )
    number = models.IntegerField(editable=False)
    text = models.TextField(blank=True, editable=False)
    # The text as data; null: the files alone.
    override = models.JSONField(null=True, editable=False)
    note = models.TextField(editable=False)
    restores = models.IntegerField(null=True, editable=False)
    # Why it was published although a test chat failed; "" when none did.
    gate_reason = models.TextField(db_default="", editable=False)
    author = _author_key()
    author_name = models.CharField(max_length=255, db_default="", editable=False)
    config_version = models.ForeignKey(
        "agents.ConfigVersion",
        models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(ConfigPublicationQuerySet)()

    class Meta:
        db_table = "config_publications"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent_instance", "number", "account"], name="uq_config_publications_number"
            ),
            tenant_constraint("config_publications", "agent_instance", "agents.AgentInstance"),
            CompositeForeignKey(
                fields=["account", "agent_instance", "config_version"],
                to="agents.ConfigVersion",
                to_fields=["account", "agent_instance", "id"],
                name="fk_config_publications_config_version_id",
                on_delete="NO ACTION",
                on_update="NO ACTION",
            ),
            user_constraint("config_publications", "author", on_delete="SET NULL"),
            models.CheckConstraint(
                condition=Q(note__regex=r"\S"), name="ck_config_publications_note"
            ),
            models.CheckConstraint(
                condition=Q(number__gte=1), name="ck_config_publications_number"
            ),
        ]
        indexes = [
            models.Index(
                fields=["author"],
                name="ix_config_publications_author",
                condition=Q(author__isnull=False),
            ),
            models.Index(fields=["config_version"], name="ix_config_publications_version"),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.note}"
