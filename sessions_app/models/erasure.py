"""The receipts of erased persons."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.foreign_keys import account_constraint, account_key
from accounts.tenancy.context import TenantManager, TenantModel
from salient.formatting import moment
from salient.ids import uuid7


class IdentifierKind(models.TextChoices):
    """What names a person in an account."""

    EMAIL = "email", "E-mail address"
    END_USER = "end_user", "End user (the account's own id)"
    SESSION = "session", "Visitor (the id of one of their sessions)"


class Erasure(TenantModel):
    """The erasure of one person's texts: what was found, by whom, and what a scan found afterwards.

    It names the person by a keyed hash only. The numbers are rows by table.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    kind = models.CharField(max_length=8, choices=IdentifierKind, editable=False)
    person_hash = models.CharField(max_length=64, editable=False)
    reason = models.CharField(max_length=500, editable=False)
    # Who began it, as people know them.
    actor = models.CharField(max_length=255, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # Null while it has not come to its end; it is then continued.
    finished_at = models.DateTimeField(null=True, editable=False)
    erased = models.JSONField(default=dict, editable=False)
    # Where the identifier stood in texts of others, and was replaced.
    masked = models.JSONField(default=dict, editable=False)
    # What the scan found at the end, and where it found the identifier in what is kept.
    remaining = models.JSONField(default=dict, editable=False)
    kept = models.JSONField(default=dict, editable=False)
    # Of the finished receipt; `manage.py verify_receipt` checks it.
    signature = models.CharField(max_length=64, db_default="", editable=False)
    # Where the scan stands: {"place", "after"}; null before it and after it.
    position = models.JSONField(null=True, editable=False)

    objects = TenantManager["Erasure"]()

    class Meta:
        db_table = "erasures"
        ordering = ["-created_at"]
        verbose_name = "erased person"
        constraints = [
            account_constraint("erasures"),
            models.CheckConstraint(
                condition=Q(kind__in=IdentifierKind.values), name="ck_erasures_kind"
            ),
            # Of two who begin at once, one continues what the other began.
            models.UniqueConstraint(
                fields=["account", "person_hash"],
                name="uq_erasures_open",
                condition=Q(finished_at=None),
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-created_at", "-id"], name="ix_erasures_account"),
            models.Index(fields=["-created_at", "-id"], name="ix_erasures_time"),
        ]

    def __str__(self) -> str:
        return f"erasure of {moment(self.created_at)}"
