"""What accounts offer: named agents, and every configuration they ever had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.foreign_keys import account_constraint, account_key, tenant_constraint
from accounts.models.slugs import SLUG_PATTERN, validate_slug
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.api.origins import validate_origin
from salient.ids import uuid7


class InstanceStatus(models.TextChoices):
    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"


class AgentInstanceQuerySet(TenantQuerySet["AgentInstance"]):
    def active(self) -> AgentInstanceQuerySet:
        return self.filter(status=InstanceStatus.ACTIVE)

    def serving(self) -> AgentInstanceQuerySet:
        """Those that answer: active and not suspended."""
        return self.active().filter(suspended_reason="")


class AgentInstance(TenantModel):
    """A named, configured agent that an account offers."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key("agent_instances")
    instance_slug = models.CharField(max_length=63, validators=[validate_slug])
    agent_type = models.CharField(max_length=50, default="simple_chat")
    display_name = models.CharField(max_length=255)
    status = models.CharField(
        max_length=8,
        choices=InstanceStatus,
        default=InstanceStatus.ACTIVE,
        db_default=InstanceStatus.ACTIVE,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())
    # Why it is suspended; "": it is not.
    suspended_reason = models.TextField(default="", db_default="", editable=False, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    # What is published over the files, as ConfigPublication's newest row has it; null: nothing.
    override = models.JSONField(null=True, blank=True, editable=False)
    # "account/agent", where its configuration files lie, if these are not the slugs of today.
    config_folder = models.CharField(
        max_length=127, default="", db_default="", editable=False, blank=True
    )
    allowed_origins = ArrayField(
        models.CharField(max_length=255, validators=[validate_origin]),
        default=list,
        blank=True,
        help_text="Sites whose pages may call this agent from a browser: https://shop.example",
    )

    objects = TenantManager.from_queryset(AgentInstanceQuerySet)()

    class Meta:
        db_table = "agent_instances"
        verbose_name = "agent"
        ordering = ["account_id", "instance_slug"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "instance_slug"], name="uq_agent_instances_account_slug"
            ),
            models.UniqueConstraint(
                fields=["account", "id", "instance_slug"], name="uq_agent_instances_account_id_slug"
            ),
            account_constraint("agent_instances"),
            models.CheckConstraint(
                condition=Q(instance_slug__regex=f"^{SLUG_PATTERN}$"),
                name="ck_agent_instances_slug",
            ),
            models.CheckConstraint(
                condition=Q(status__in=InstanceStatus.values), name="ck_agent_instances_status"
            ),
        ]

    def __str__(self) -> str:
        return self.instance_slug

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding and not self.config_folder and self.account.config_folder:
            # The account was renamed; its folder has the old name.
            self.config_folder = f"{self.account.config_folder}/{self.instance_slug}"
        super().save(*args, **kwargs)

    @property
    def full_slug(self) -> str:
        """Its account's slug and its own: acme/bot."""
        return f"{self.account.slug}/{self.instance_slug}"

    @property
    def folder(self) -> tuple[str, str]:
        """The names of the folders of its files, the account's first; reads the account."""
        return self.folder_in(self.account.slug)

    def folder_in(self, account_slug: str) -> tuple[str, str]:
        """Return the same without the account's row, which the hot path does not read."""
        if not self.config_folder:
            return account_slug, self.instance_slug
        account, _, instance = self.config_folder.partition("/")
        return account, instance


# Its name on pages alone: as an argument it would have to stand in a migration, with the validator.
_slug: Any = AgentInstance._meta.get_field("instance_slug")
_slug.verbose_name = "slug"


class FormerAgentSlug(TenantModel):
    """A slug that an agent had before: its URLs lead to the new one until `expires_at`.

    No other agent of the account gets it before that; a trigger of `agent_instances` sees to it.
    """

    pk = models.CompositePrimaryKey("account_id", "agent_instance_id", "instance_slug")
    account = account_key()
    agent_instance = models.ForeignKey(
        AgentInstance,
        models.DB_CASCADE,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name="agent",
    )
    instance_slug = models.CharField(max_length=63)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    objects = TenantManager["FormerAgentSlug"]()

    class Meta:
        db_table = "former_agent_slugs"
        constraints = [
            tenant_constraint("former_agent_slugs", "agent_instance", "agents.AgentInstance")
        ]
        indexes = [
            models.Index(fields=["account", "instance_slug"], name="ix_former_agent_slugs_slug")
        ]

    def __str__(self) -> str:
        return self.instance_slug


class ConfigVersionQuerySet(TenantQuerySet["ConfigVersion"]):
    def ensure(
        self,
        instance: AgentInstance,
        *,
        digest: str,
        content: dict[str, Any],
        serves: bool = True,
    ) -> UUID:
        """Note that the version with this content serves now; make it when it is new.

        Two writers may meet: the unique digest lets one of them in and shows the other its row.
        What is only tried out (a draft) has a row as well, but does not count as served.
        """
        tried: dict[str, Any] = {} if serves else {"last_served_at": None}
        version, made = self.get_or_create(
            account_id=instance.account_id,
            agent_instance_id=instance.pk,
            digest=digest,
            defaults={"content": content, **tried},
        )
        if serves and not made:
            # Nothing else of a version may be written, not even by the way.
            self.filter(pk=version.pk).update(last_served_at=Now())
        return version.pk

    def served(self, instance: AgentInstance) -> ConfigVersionQuerySet:
        """Those that ever served, the latest first."""
        return self.filter(agent_instance_id=instance.pk, last_served_at__isnull=False).order_by(
            "-last_served_at"
        )

    def newest_served(self, instance_ids: Iterable[UUID]) -> ConfigVersionQuerySet:
        """The one of each of these instances that served last."""
        mine = self.filter(agent_instance_id__in=instance_ids, last_served_at__isnull=False)
        return mine.order_by("agent_instance_id", "-last_served_at").distinct("agent_instance_id")

    def last_served(self, instance: AgentInstance) -> ConfigVersion | None:
        return self.served(instance).first()


class ConfigVersion(TenantModel):
    """One effective configuration of an instance: known by its content, which never changes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    agent_instance = models.ForeignKey(
        AgentInstance,
        models.DB_CASCADE,
        related_name="config_versions",
        db_constraint=False,
        db_index=False,
        verbose_name="agent",
    )
    digest = models.CharField(max_length=64, editable=False)
    content = models.JSONField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # Null: it was only tried out, as a draft.
    last_served_at = models.DateTimeField(null=True, db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(ConfigVersionQuerySet)()

    class Meta:
        db_table = "config_versions"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent_instance", "digest", "account"],
                name="uq_config_versions_instance_digest",
            ),
            models.UniqueConstraint(
                fields=["account", "agent_instance", "id"], name="uq_config_versions_instance_id"
            ),
            tenant_constraint("config_versions", "agent_instance", "agents.AgentInstance"),
        ]
        indexes = [
            models.Index(
                fields=["agent_instance", "-last_served_at"], name="ix_config_versions_last_served"
            ),
        ]

    def __str__(self) -> str:
        return self.digest[:12]


class ProviderConnection(TenantModel):
    """An account's own model server: its address and, encrypted, its key.

    A config names it as provider: `model: connection/<name>:<model>`. The key is bound to the
    origin of `base_url`: a new host, port or scheme clears it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key("provider_connections")
    # "connection/" and the name fit in a request's column `provider`.
    name = models.CharField(max_length=39, validators=[validate_slug])
    base_url = models.URLField(max_length=500)
    secret = models.TextField(blank=True, editable=False, db_default="")
    secret_host = models.CharField(max_length=255, blank=True, editable=False, db_default="")
    # Why it is suspended; "": it is not.
    suspended_reason = models.TextField(default="", db_default="", editable=False, blank=True)
    secret_hint = models.CharField(max_length=8, blank=True, editable=False, db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager["ProviderConnection"]()

    class Meta:
        db_table = "provider_connections"
        verbose_name = "model connection"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"], name="uq_provider_connections_account_name"
            ),
            account_constraint("provider_connections"),
        ]

    def __str__(self) -> str:
        return self.name
