"""What is known about conversations besides their words: usage by day, feedback, prompts, tests."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.database.constraints import CompositeForeignKey
from salient.ids import uuid7
from sessions_app.models.keys import (
    account_constraint,
    account_key,
    instance_constraint,
    instance_key,
    session_constraint,
    version_constraint,
    version_key,
)

# Latencies are counted in buckets, each √2 wider than the one before; the last has no end.
LATENCY_BUCKETS = 34


class UsageSums(TenantModel):
    """What turns of a day (UTC) came to.

    `cost` is US dollars of the requests whose cost is known; `unpriced` counts the others.
    `latency_buckets[i]` counts answers of about 2^(i/2) ms (sessions_app/usage/queries.py).
    """

    day = models.DateField()
    # "provider:model"
    model = models.CharField(max_length=306)
    requests = models.IntegerField(db_default=0)
    # Those that ended as `error` or `partial`; and those whose client left.
    failed = models.IntegerField(db_default=0)
    cancelled = models.IntegerField(db_default=0)
    unpriced = models.IntegerField(db_default=0)
    input_tokens = models.BigIntegerField(db_default=0)
    cached_tokens = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)
    cost = models.DecimalField(max_digits=20, decimal_places=8, db_default=0)
    latency_ms = models.BigIntegerField(db_default=0)
    latency_buckets = ArrayField(models.IntegerField(), size=LATENCY_BUCKETS)

    class Meta:
        abstract = True


class UsageDayQuerySet(TenantQuerySet["UsageDay"]):
    pass


class UsageDay(UsageSums):
    """What one instance did with one model in a day: kept by the settling of each turn."""

    pk = models.CompositePrimaryKey("account_id", "agent_instance_id", "day", "model")
    account = account_key()
    agent_instance = instance_key()

    objects = TenantManager.from_queryset(UsageDayQuerySet)()

    class Meta:
        db_table = "usage_days"
        constraints = [account_constraint("usage_days"), instance_constraint("usage_days")]
        indexes = [
            models.Index(fields=["day"], name="ix_usage_days_day"),
            models.Index(fields=["agent_instance", "day"], name="ix_usage_days_instance"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"


class UsageTotalQuerySet(TenantQuerySet["UsageTotal"]):
    pass


class UsageTotal(UsageSums):
    """What a day that is over came to: of all accounts with a model, or of an account at all.

    Made of usage_days when somebody looks (sessions_app/usage/totals.py), and forgotten by the
    database when such a day changes after all. An account's rows have no model and no latencies.
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

    objects = TenantManager.from_queryset(UsageTotalQuerySet)()

    class Meta:
        db_table = "usage_totals"
        constraints = [
            account_constraint("usage_totals"),
            models.UniqueConstraint(
                fields=["day", "account", "model"],
                nulls_distinct=False,
                name="uq_usage_totals_day_account_model",
            ),
        ]
        indexes = [models.Index(fields=["account", "day"], name="ix_usage_totals_account")]

    def __str__(self) -> str:
        return f"{self.day} {self.model}".strip()


class PromptSectionQuerySet(TenantQuerySet["PromptSection"]):
    pass


class PromptSection(TenantModel):
    """A part of what models were told, stored once for all requests that had it (by SHA-256)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    digest = models.CharField(max_length=64, editable=False)
    text = models.TextField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(PromptSectionQuerySet)()

    class Meta:
        db_table = "prompt_sections"
        constraints = [
            account_constraint("prompt_sections"),
            models.UniqueConstraint(
                fields=["account", "digest"], name="uq_prompt_sections_account_digest"
            ),
        ]

    def __str__(self) -> str:
        return self.digest[:12]


class MessageFeedbackQuerySet(TenantQuerySet["MessageFeedback"]):
    pass


class MessageFeedback(TenantModel):
    """What somebody thinks of an answer: a thumb, and perhaps why."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    agent_instance = instance_key()
    session = models.ForeignKey(
        "sessions_app.Session",
        models.DB_CASCADE,
        related_name="feedback_given",
        db_constraint=False,
        db_index=False,
    )
    message = models.ForeignKey(
        "sessions_app.Message",
        models.DB_CASCADE,
        related_name="feedback",
        db_constraint=False,
        db_index=False,
    )
    rating = models.SmallIntegerField(choices=[(1, "good"), (-1, "bad")])
    comment = models.TextField(blank=True, db_default="")
    # Who gave it, as LLMRequest.caller.
    caller = models.CharField(max_length=100, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager.from_queryset(MessageFeedbackQuerySet)()

    class Meta:
        db_table = "message_feedback"
        ordering = ["-created_at"]
        verbose_name_plural = "message feedback"
        constraints = [
            account_constraint("message_feedback"),
            instance_constraint("message_feedback"),
            session_constraint("message_feedback"),
            CompositeForeignKey(
                fields=["account", "message"],
                to="sessions_app.Message",
                to_fields=["account", "id"],
                name="fk_message_feedback_message_id",
                on_update="NO ACTION",
            ),
            models.UniqueConstraint(
                fields=["message", "caller"], name="uq_message_feedback_message_caller"
            ),
            models.CheckConstraint(
                condition=Q(rating__in=[1, -1]), name="ck_message_feedback_rating"
            ),
        ]
        indexes = [
            models.Index(fields=["session"], name="ix_message_feedback_session"),
            models.Index(
                fields=["account", "-created_at", "-id"], name="ix_message_feedback_account"
            ),
            models.Index(fields=["-created_at", "-id"], name="ix_message_feedback_time"),
            models.Index(fields=["agent_instance"], name="ix_message_feedback_instance"),
        ]

    def __str__(self) -> str:
        return "good" if self.rating > 0 else "bad"


class SavedChatQuerySet(TenantQuerySet["SavedChat"]):
    pass


class SavedChat(TenantModel):
    """A test chat: what a user says, turn by turn, and what the answers must hold.

    `expected` is a list as long as `messages`: {"contains": [...], "excludes": [...]} for each
    answer. One that is a gate keeps a draft from being published when it fails.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    agent_instance = models.ForeignKey(
        "agents.AgentInstance",
        models.DO_NOTHING,
        related_name="saved_chats",
        db_constraint=False,
        db_index=False,
    )
    name = models.CharField(max_length=100)
    messages = models.JSONField()
    expected = models.JSONField(default=list, blank=True)
    is_gate = models.BooleanField("keeps from publishing when it fails", default=True)
    # The conversation it was made of.
    session_id = models.UUIDField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager.from_queryset(SavedChatQuerySet)()

    class Meta:
        db_table = "saved_chats"
        ordering = ["name"]
        verbose_name = "test chat"
        constraints = [
            account_constraint("saved_chats"),
            instance_constraint("saved_chats"),
            models.UniqueConstraint(
                fields=["account", "agent_instance", "name"], name="uq_saved_chats_instance_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SavedChatRunQuerySet(TenantQuerySet["SavedChatRun"]):
    pass


class SavedChatRun(TenantModel):
    """What came of a test chat with one configuration.

    `answers` has for each message: {"message", "answer", "status", "error", "cost", "latency_ms",
    "tools", "failures"}; costs are decimal strings in US dollars, null where unknown.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    agent_instance = instance_key()
    saved_chat = models.ForeignKey(
        SavedChat, models.DB_CASCADE, related_name="runs", db_constraint=False, db_index=False
    )
    config_version = version_key()
    passed = models.BooleanField()
    answers = models.JSONField()
    cost = models.DecimalField(max_digits=20, decimal_places=8, null=True)
    latency_ms = models.IntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(SavedChatRunQuerySet)()

    class Meta:
        db_table = "saved_chat_runs"
        ordering = ["-created_at"]
        verbose_name = "test chat run"
        constraints = [
            account_constraint("saved_chat_runs"),
            instance_constraint("saved_chat_runs"),
            version_constraint("saved_chat_runs"),
            CompositeForeignKey(
                fields=["account", "saved_chat"],
                to="sessions_app.SavedChat",
                to_fields=["account", "id"],
                name="fk_saved_chat_runs_saved_chat_id",
                on_update="NO ACTION",
            ),
        ]
        indexes = [
            models.Index(
                fields=["saved_chat", "config_version", "-created_at"],
                name="ix_saved_chat_runs_chat",
            ),
            models.Index(fields=["account", "agent_instance"], name="ix_saved_chat_runs_instance"),
        ]

    def __str__(self) -> str:
        return "passed" if self.passed else "failed"
