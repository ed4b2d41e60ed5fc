"""What server processes tell each other about running turns: events and cancellations."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from accounts.models.foreign_keys import account_key, tenant_constraint
from accounts.tenancy.context import TenantManager, TenantModel
from salient.ids import uuid7


class TurnEventBatch(TenantModel):
    """Events of one background turn, in the order in which they happened; written a few times a
    second, and deleted some time after the turn has ended.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    llm_request = models.ForeignKey(
        "sessions_app.LLMRequest",
        models.DB_CASCADE,
        related_name="event_batches",
        db_constraint=False,
        db_index=False,
    )
    # The place of the first event in the turn, from 0.
    first_number = models.IntegerField()
    # As sessions_app/background/event_log.py writes them.
    events = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager["TurnEventBatch"]()

    class Meta:
        db_table = "turn_event_batches"
        ordering = ["first_number"]
        verbose_name_plural = "turn event batches"
        constraints = [
            tenant_constraint("turn_event_batches", "llm_request", "sessions_app.LLMRequest"),
            models.UniqueConstraint(
                fields=["llm_request", "account", "first_number"],
                name="uq_turn_event_batches_first_number",
            ),
        ]
        indexes = [
            models.Index(fields=["account"], name="ix_turn_event_batches_account"),
            models.Index(fields=["created_at"], name="ix_turn_event_batches_time"),
        ]

    def __str__(self) -> str:
        return f"events of turn {self.llm_request_id}"


class TurnCancellation(TenantModel):
    """A running turn that is to end; the process that runs it reads this, and ends it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    llm_request = models.ForeignKey(
        "sessions_app.LLMRequest",
        models.DB_CASCADE,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager["TurnCancellation"]()

    class Meta:
        db_table = "turn_cancellations"
        constraints = [
            tenant_constraint("turn_cancellations", "llm_request", "sessions_app.LLMRequest"),
            models.UniqueConstraint(
                fields=["llm_request", "account"], name="uq_turn_cancellations_turn"
            ),
        ]
        indexes = [models.Index(fields=["account"], name="ix_turn_cancellations_account")]

    def __str__(self) -> str:
        return f"cancellation of turn {self.llm_request_id}"
