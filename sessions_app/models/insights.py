"""Figures and feedback of conversations, prompt sections, and test chats."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.foreign_keys import account_constraint, account_key, tenant_constraint
from accounts.tenancy.context import TenantManager, TenantModel
from salient.ids import uuid7
from sessions_app.models.keys import (
    instance_constraint,
    instance_key,
    session_constraint,
    version_constraint,
    version_key,
)

# Latencies are counted in buckets, each √2 times as wide as the one before; the last has no end.
LATENCY_BUCKETS = 34


class UsageSums(TenantModel):
    """The sums of turns of one day (UTC).

    `cost` is US dollars of the requests whose cost is known; `unpriced` counts the others.
    `latency_buckets[i]` counts answers of about 2^(i/2) ms (sessions_app/usage/queries.py).
    """

    day = models.DateField()
    # "provider:model"
    model = models.CharField(max_length=306)
    requests = models.IntegerField(db_default=0)
    # Requests that ended as `error` or `partial`, and those whose client disconnected.
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


class UsageDay(UsageSums):
    """The usage of one instance and model in a day; settling a turn adds to it."""

    pk = models.CompositePrimaryKey("account_id", "agent_instance_id", "day", "model")
    account = account_key()
    agent_instance = instance_key()

    objects = TenantManager["UsageDay"]()

    class Meta:
        db_table = "usage_days"
        constraints = [account_constraint("usage_days"), instance_constraint("usage_days")]
        indexes = [
            models.Index(fields=["day"], name="ix_usage_days_day"),
            models.Index(fields=["agent_instance", "day"], name="ix_usage_days_instance"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"


class UsageTotal(UsageSums):
    """The sums of a past day: of all accounts by model, or of one account.

    sessions_app/usage/totals.py makes them of usage_days when a page needs them; a trigger deletes
    them if such a day changes. An account's rows have no model and no latencies.
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

    objects = TenantManager["UsageTotal"]()

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


class PromptSection(TenantModel):
    """A part of prompts, stored once (by its SHA-256) for all requests that had it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    digest = models.CharField(max_length=64, editable=False)
    text = models.TextField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager["PromptSection"]()

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


class FeedbackStatus(models.TextChoices):
    """What came of feedback; "" in the database is open."""

    FIXED = "fixed", "fixed"
    NO_FAULT = "no_fault", "no fault"


# Feedback that somebody should look at: a bad rating that nobody has decided on.
OPEN_FEEDBACK = Q(rating=-1, status="")


class MessageFeedback(TenantModel):
    """A caller's rating of an answer, with a comment or without; and what came of it."""

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
    # As LLMRequest.caller.
    caller = models.CharField(max_length=100, editable=False)
    status = models.CharField(
        max_length=8, choices=FeedbackStatus, blank=True, db_default="", editable=False
    )
    # Who decided on the status, by e-mail address, and when; of open feedback "" and null.
    handled_by = models.CharField(max_length=255, blank=True, db_default="", editable=False)
    handled_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager["MessageFeedback"]()

    class Meta:
        db_table = "message_feedback"
        ordering = ["-created_at"]
        verbose_name_plural = "message feedback"
        constraints = [
            account_constraint("message_feedback"),
            instance_constraint("message_feedback"),
            session_constraint("message_feedback"),
            tenant_constraint("message_feedback", "message", "sessions_app.Message"),
            models.UniqueConstraint(
                fields=["message", "caller"], name="uq_message_feedback_message_caller"
            ),
            models.CheckConstraint(
                condition=Q(rating__in=[1, -1]), name="ck_message_feedback_rating"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["", *FeedbackStatus.values]),
                name="ck_message_feedback_status",
            ),
        ]
        indexes = [
            models.Index(fields=["session"], name="ix_message_feedback_session"),
            models.Index(
                fields=["account", "-created_at", "-id"], name="ix_message_feedback_account"
            ),
            models.Index(fields=["-created_at", "-id"], name="ix_message_feedback_time"),
            models.Index(fields=["agent_instance"], name="ix_message_feedback_instance"),
            # Counts what is open of an account, and of its agents, without reading the rows.
            models.Index(
                fields=["account", "-created_at", "-id"],
                include=["agent_instance"],
                name="ix_message_feedback_open",
                condition=OPEN_FEEDBACK,
            ),
        ]

    def __str__(self) -> str:
        return "good" if self.rating > 0 else "bad"


class SavedChat(TenantModel):
    """A test chat: a user's messages, and what the answers to them must contain.

    `expected` is a list as long as `messages`: {"contains": [...], "excludes": [...]} for each
    answer. `better_answers`, a list as long or empty, has what staff would have answered, or "";
    it is shown beside the answers. With `is_gate`, a draft is published only if the test chat has
    passed with it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    agent_instance = models.ForeignKey(
        "agents.AgentInstance",
        models.DO_NOTHING,
        related_name="saved_chats",
        db_constraint=False,
        db_index=False,
        verbose_name="agent",
    )
    name = models.CharField(max_length=100)
    messages = models.JSONField()
    expected = models.JSONField(default=list, blank=True)
    better_answers = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField()), blank=True
    )
    is_gate = models.BooleanField("keeps from publishing when it fails", default=True)
    # The conversation from which it was made.
    session_id = models.UUIDField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager["SavedChat"]()

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


class SavedChatRun(TenantModel):
    """A run of a test chat with one configuration.

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

    objects = TenantManager["SavedChatRun"]()

    class Meta:
        db_table = "saved_chat_runs"
        ordering = ["-created_at"]
        verbose_name = "test chat run"
        constraints = [
            account_constraint("saved_chat_runs"),
            instance_constraint("saved_chat_runs"),
            version_constraint("saved_chat_runs"),
            tenant_constraint("saved_chat_runs", "saved_chat", "sessions_app.SavedChat"),
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
