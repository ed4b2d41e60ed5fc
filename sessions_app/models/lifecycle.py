"""How long an account's data are kept, what must not be erased, and which accounts were erased."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Account
from accounts.models.foreign_keys import account_constraint, account_key, tenant_constraint
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.formatting import moment
from salient.ids import uuid7

# Budgets count in the current month, and pages compare it with the month before.
FEWEST_DAYS_OF_FIGURES = 62


class Retention(TenantModel):
    """After how many days an account's texts are erased, and after how many its figures."""

    account = models.OneToOneField(
        Account, models.DB_CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    # Null: for ever. A conversation's days begin with its last message.
    texts_days = models.IntegerField("days of texts", null=True, blank=True)
    figures_days = models.IntegerField("days of figures", null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())
    # When the job came to its end last, what it has erased in all, and what a hold kept then.
    finished_at = models.DateTimeField(null=True, editable=False)
    erased_sessions = models.IntegerField(db_default=0, editable=False)
    erased_figures = models.IntegerField(db_default=0, editable=False)
    held_sessions = models.IntegerField(db_default=0, editable=False)

    objects = TenantManager["Retention"]()

    class Meta:
        db_table = "retentions"
        verbose_name = "retention"
        constraints = [
            account_constraint("retentions"),
            models.CheckConstraint(
                condition=Q(texts_days=None) | Q(texts_days__gte=1), name="ck_retentions_texts_days"
            ),
            models.CheckConstraint(
                condition=Q(figures_days=None) | Q(figures_days__gte=FEWEST_DAYS_OF_FIGURES),
                name="ck_retentions_figures_days",
            ),
            # What has no texts any more may still have figures, never the other way round.
            models.CheckConstraint(
                condition=Q(figures_days=None)
                | Q(texts_days__isnull=False, texts_days__lte=F("figures_days")),
                name="ck_retentions_order",
            ),
        ]

    def clean(self) -> None:
        """Say in words what the constraints forbid."""
        texts, figures = self.texts_days, self.figures_days
        if texts is not None and texts < 1:
            raise ValidationError({"texts_days": "Keep texts for 1 day or more."})
        if figures is None:
            return
        if figures < FEWEST_DAYS_OF_FIGURES:
            message = f"Keep figures for {FEWEST_DAYS_OF_FIGURES} days or more."
            raise ValidationError({"figures_days": message})
        if texts is None or texts > figures:
            message = "Figures cannot be erased before their texts: give texts as few days."
            raise ValidationError({"figures_days": message})

    def __str__(self) -> str:
        return f"retention of {self.account_id}"


class LegalHoldQuerySet(TenantQuerySet["LegalHold"]):
    def in_force(self) -> LegalHoldQuerySet:
        return self.filter(released_at=None)


class LegalHold(TenantModel):
    """Nothing of the account, of the agent or of the session is erased until it is released."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    # Neither: the whole account.
    agent_instance = models.ForeignKey(
        "agents.AgentInstance",
        models.DB_CASCADE,
        related_name="+",
        null=True,
        editable=False,
        db_constraint=False,
        db_index=False,
        verbose_name="agent",
    )
    session = models.ForeignKey(
        "sessions_app.Session",
        models.DB_CASCADE,
        related_name="+",
        null=True,
        editable=False,
        db_constraint=False,
        db_index=False,
    )
    reason = models.CharField(max_length=500, editable=False)
    actor = models.CharField(max_length=255, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    released_at = models.DateTimeField(null=True, editable=False)
    released_by = models.CharField(max_length=255, db_default="", editable=False)

    objects = TenantManager.from_queryset(LegalHoldQuerySet)()

    class Meta:
        db_table = "legal_holds"
        ordering = ["-created_at"]
        constraints = [
            account_constraint("legal_holds"),
            tenant_constraint("legal_holds", "agent_instance", "agents.AgentInstance"),
            tenant_constraint("legal_holds", "session", "sessions_app.Session"),
        ]
        indexes = [
            models.Index(
                fields=["account", "-created_at", "-id"],
                name="ix_legal_holds_account",
                condition=Q(released_at=None),
            )
        ]

    def __str__(self) -> str:
        return f"legal hold of {moment(self.created_at)}"

    @property
    def is_whole(self) -> bool:
        """Whether it holds the whole account."""
        return self.session_id is None and self.agent_instance_id is None

    @property
    def what(self) -> str:
        """What is held, in words; without a query where `holds_of` has read it."""
        if self.session_id is not None:
            return f"session {self.session_id}"
        if self.agent_instance_id is not None:
            return f"agent {self.agent_instance}"
        return "the whole account"


class AccountErasure(models.Model):
    """The erasure of a whole account: its receipt stays when every row of the account is gone.

    It is no tenant's data: the account does not exist any more when it is finished.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The id that the account had.
    erased_id = models.UUIDField(editable=False)
    slug = models.CharField(max_length=63, editable=False)
    reason = models.CharField(max_length=500, editable=False)
    actor = models.CharField(max_length=255, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # What is being done; what the admin shows of the progress.
    step = models.CharField(max_length=63, db_default="", editable=False)
    # Rows by table as they were before, and how many of the sessions are gone.
    rows = models.JSONField(default=dict, editable=False)
    sessions_erased = models.IntegerField(db_default=0, editable=False)
    files = models.JSONField(default=list, editable=False)
    # What the scan at the end found, by table, and files that could not be removed.
    remaining = models.JSONField(default=dict, editable=False)
    # Where an error stopped it; the worker tries again.
    error = models.CharField(max_length=500, db_default="", editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    signature = models.CharField(max_length=64, db_default="", editable=False)

    class Meta:
        db_table = "account_erasures"
        ordering = ["-created_at"]
        verbose_name = "erased account"
        constraints = [
            # Of two who begin at once, one continues what the other began.
            models.UniqueConstraint(fields=["erased_id"], name="uq_account_erasures_erased_id"),
        ]

    def __str__(self) -> str:
        return f"erasure of {self.slug}"
