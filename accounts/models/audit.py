"""Who changed what, from which value to which; and which staff may read an account's texts."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models.foreign_keys import account_constraint, account_key, user_constraint
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.ids import uuid7

# The account of entries of no account on a cluster: what rows are distributed by is never null.
NOBODY: Final = UUID(int=0)
# The tables that entries are about: the database's triggers record changes of most, and what is
# read or exported of the others is noted. The apps above add theirs
# (accounts.tenancy.roles.register_tables).
OBJECT_TYPES = [
    "accounts",
    "users",
    "api_keys",
    "memberships",
    "invitations",
    "account_limits",
    "budgets",
    "support_accesses",
    "audit_log",
    "webhook_endpoints",
    "auth_group",
    "auth_group_permissions",
    "users_groups",
    "users_user_permissions",
]


class ActorKind(models.TextChoices):
    """Who made a change."""

    STAFF = "staff"
    MEMBER = "member"
    KEY = "key", "API key"
    VISITOR = "visitor"
    COMMAND = "command"
    SYSTEM = "system", "system: nobody was named"


class AuditAction(models.TextChoices):
    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    # What changes no row and is recorded all the same: an export, the reading of texts.
    NOTED = "noted"


def no_account() -> UUID | None:
    """Return what stands for the account in an entry of no account."""
    return NOBODY if settings.DATABASE_DISTRIBUTED else None


class AuditEntryQuerySet(TenantQuerySet["AuditEntry"]):
    def newest_first(self) -> AuditEntryQuerySet:
        return self.order_by("-created_at", "-id")


class AuditEntry(TenantModel):
    """One change of one row, written by a trigger; no role may change or delete it.

    `changes` maps a column to [before, after], without the values of secrets. An entry without an
    account is about the platform: people, and deleted accounts.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(
        "accounts.Account",
        models.DB_CASCADE,
        related_name="+",
        null=True,
        db_constraint=False,
        db_index=False,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    actor_kind = models.CharField(
        max_length=7, choices=ActorKind, db_default=ActorKind.SYSTEM.value, editable=False
    )
    # The user's or key's id; the command's name.
    actor_id = models.CharField(max_length=100, db_default="", editable=False)
    # For people: an e-mail address, a key's name.
    actor = models.CharField(max_length=255, db_default="", editable=False)
    action = models.CharField(max_length=7, choices=AuditAction, editable=False)
    # The table's name.
    object_type = models.CharField(max_length=63, editable=False)
    object_id = models.CharField(max_length=100, editable=False)
    object = models.CharField(max_length=255, db_default="", editable=False)
    changes = models.JSONField(default=dict, editable=False)
    reason = models.TextField(db_default="", editable=False)

    objects = TenantManager.from_queryset(AuditEntryQuerySet)()

    class Meta:
        db_table = "audit_log"
        ordering = ["-created_at", "-id"]
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        constraints = [
            account_constraint("audit_log"),
            models.CheckConstraint(
                condition=Q(actor_kind__in=ActorKind.values), name="ck_audit_log_actor_kind"
            ),
            models.CheckConstraint(
                condition=Q(action__in=AuditAction.values), name="ck_audit_log_action"
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "-created_at", "-id"], name="ix_audit_log_account_time"
            ),
            models.Index(fields=["-created_at", "-id"], name="ix_audit_log_time"),
            models.Index(
                fields=["object_type", "object_id", "-created_at"], name="ix_audit_log_object"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.object_type} {self.object} {self.action}"


class SupportAccessQuerySet(TenantQuerySet["SupportAccess"]):
    def open(self) -> SupportAccessQuerySet:
        return self.filter(ended_at=None, expires_at__gt=timezone.now())


class SupportAccess(TenantModel):
    """A time in which one of the staff may read an account's texts, for a reason they gave."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key("support_accesses")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # Copied, because the account cannot read the staff's own rows.
    staff = models.CharField(max_length=255, editable=False)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(SupportAccessQuerySet)()

    class Meta:
        db_table = "support_accesses"
        ordering = ["-created_at"]
        verbose_name_plural = "support accesses"
        constraints = [
            account_constraint("support_accesses"),
            user_constraint("support_accesses"),
            models.CheckConstraint(
                condition=Q(reason__regex=r"\S"), name="ck_support_accesses_reason"
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "user", "-expires_at"], name="ix_support_accesses_account"
            ),
            models.Index(fields=["user"], name="ix_support_accesses_user"),
        ]

    def __str__(self) -> str:
        return f"{self.staff}: {self.reason}"
