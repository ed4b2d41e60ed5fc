"""Webhooks: the URLs of an account that get its events, and what was sent there."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now

from accounts.models.foreign_keys import account_constraint, account_key, tenant_constraint
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.ids import uuid7


class WebhookEvent(models.TextChoices):
    """What an endpoint may ask to be told."""

    TURN_FINISHED = "turn.finished", "turn.finished: an answer ended, well or not"
    FEEDBACK_CREATED = "feedback.created", "feedback.created: an answer was rated"
    BUDGET_ALERT = "budget.alert", "budget.alert: a budget passed one of its percentages"
    SESSION_CLOSED = "session.closed", "session.closed: a session was closed or deleted"
    KEY_EXPIRING = "key.expiring", "key.expiring: an API key ends within a week"


class DisabledReason(models.TextChoices):
    """Why an endpoint is sent nothing."""

    BY_HAND = "by_hand", "by hand"
    GONE = "gone", "gone: it answered 410"
    FAILING = "failing", "failing: nothing was delivered for days"


class WebhookEndpoint(TenantModel):
    """An address of an account's own to which events are sent."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key("webhook_endpoints")
    url = models.CharField(max_length=500)
    description = models.CharField(max_length=200, blank=True, db_default="")
    events = ArrayField(models.CharField(max_length=32, choices=WebhookEvent))
    # Sealed for this account and row; the one before signs as well until its time is over.
    secret = models.TextField(editable=False)
    previous_secret = models.TextField(blank=True, editable=False, db_default="")
    previous_secret_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_enabled = models.BooleanField(db_default=True, default=True)
    # "" while it is enabled.
    disabled_reason = models.CharField(
        max_length=7, choices=DisabledReason, blank=True, editable=False, db_default=""
    )
    # Since when nothing was delivered; null after a success.
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager["WebhookEndpoint"]()

    class Meta:
        db_table = "webhook_endpoints"
        ordering = ["-created_at"]
        constraints = [
            account_constraint("webhook_endpoints"),
            models.CheckConstraint(
                condition=Q(events__contained_by=WebhookEvent.values),
                name="ck_webhook_endpoints_events",
            ),
            models.CheckConstraint(
                condition=Q(is_enabled=True, disabled_reason="")
                | Q(is_enabled=False, disabled_reason__in=DisabledReason.values),
                name="ck_webhook_endpoints_disabled",
            ),
        ]
        indexes = [
            # What every turn looks up; most accounts have no row in it.
            models.Index(
                fields=["account"],
                name="ix_webhook_endpoints_enabled",
                condition=Q(is_enabled=True),
            ),
        ]

    def __str__(self) -> str:
        return self.url


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookDeliveryQuerySet(TenantQuerySet["WebhookDelivery"]):
    def pending(self) -> WebhookDeliveryQuerySet:
        return self.filter(state=DeliveryState.PENDING)


class WebhookDelivery(TenantModel):
    """One event for one endpoint: the outbox before it is delivered, the log afterwards.

    The database writes it in the transaction of what happened (accounts/sql/app_publish.sql).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        models.DB_CASCADE,
        related_name="deliveries",
        db_constraint=False,
        db_index=False,
    )
    # The header webhook-id: the same in every try, and for every endpoint of the account.
    message_id = models.CharField(max_length=64, editable=False)
    event = models.CharField(max_length=32, editable=False)
    # What the body holds as `data`.
    data = models.JSONField(editable=False)
    state = models.CharField(
        max_length=9, choices=DeliveryState, db_default=DeliveryState.PENDING, editable=False
    )
    # Tries that began; one whose worker was killed counts too.
    tries = models.IntegerField(db_default=0, editable=False)
    # When it is tried next. While a worker sends it: when another one may.
    next_try_at = models.DateTimeField(null=True, blank=True, db_default=Now(), editable=False)
    last_tried_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Of the last try: the answer's status, or what went wrong, and how long it took.
    status = models.IntegerField(null=True, blank=True, editable=False)
    error = models.CharField(max_length=32, blank=True, db_default="", editable=False)
    duration_ms = models.IntegerField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    delivered_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TenantManager.from_queryset(WebhookDeliveryQuerySet)()

    class Meta:
        db_table = "webhook_deliveries"
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "webhook deliveries"
        constraints = [
            account_constraint("webhook_deliveries"),
            tenant_constraint("webhook_deliveries", "endpoint", "accounts.WebhookEndpoint"),
            models.UniqueConstraint(
                fields=["endpoint", "message_id", "account"], name="uq_webhook_deliveries_message"
            ),
            models.CheckConstraint(
                condition=Q(state__in=DeliveryState.values), name="ck_webhook_deliveries_state"
            ),
            models.CheckConstraint(
                condition=~Q(state=DeliveryState.PENDING) | Q(next_try_at__isnull=False),
                name="ck_webhook_deliveries_next_try",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                name="ix_webhook_deliveries_due",
                condition=Q(state=DeliveryState.PENDING),
            ),
            models.Index(
                fields=["account", "endpoint", "-created_at", "-id"],
                name="ix_webhook_deliveries_log",
            ),
            models.Index(fields=["-created_at", "-id"], name="ix_webhook_deliveries_time"),
            # What is known of a person, so that it can be deleted with the session.
            models.Index(
                models.F("account"),
                KeyTextTransform("session_id", "data"),
                name="ix_webhook_deliveries_person",
                condition=Q(data__has_key="end_user"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.message_id}"
