"""Sessions with their messages, model requests and profiles."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan
from django.db.models.functions import Left, Lower, Now

from accounts.models.foreign_keys import (
    account_constraint,
    account_key,
    tenant_constraint,
    user_constraint,
)
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from agents.costs.pricing import CostSource
from agents.models import AgentInstance
from salient.formatting import moment
from salient.ids import uuid7
from sessions_app.models.insights import MessageFeedback
from sessions_app.models.keys import (
    instance_constraint,
    instance_key,
    session_constraint,
    slug_constraints,
    version_constraint,
    version_key,
)


class Role(models.TextChoices):
    HUMAN = "human"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"
    DEVELOPER = "developer"


class CompletionStatus(models.TextChoices):
    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial", "partial: the model was cut off"
    ERROR = "error"
    CANCELLED = "cancelled", "cancelled: the client left"


class SessionQuerySet(TenantQuerySet["Session"]):
    def of_instance(self, instance: AgentInstance) -> SessionQuerySet:
        """The instance's conversations; a deleted one is a tombstone that keeps its costs."""
        return self.filter(agent_instance_id=instance.pk, deleted_at=None)


class Session(TenantModel):
    """One conversation of one visitor or API consumer with one agent instance."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    account_slug = models.CharField(max_length=63, editable=False)
    agent_instance = instance_key()
    agent_instance_slug = models.CharField(max_length=63, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        related_name="+",
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
    )
    session_key = models.CharField(max_length=255, editable=False)
    # How the account names its own end user (a visitor token's `sub`).
    end_user = models.CharField(max_length=255, null=True, blank=True, editable=False)
    email = models.CharField(max_length=255, null=True, blank=True)
    is_anonymous = models.BooleanField(default=True)
    # What people call it.
    title = models.CharField(max_length=200, null=True, blank=True, editable=False)
    # The account's own notes, as its keys and members write them.
    meta = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())
    last_activity_at = models.DateTimeField(db_default=Now(), editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    # A closed conversation has no further turn.
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Settling a turn updates these, so that lists need not sum.
    turn_count = models.IntegerField("turns", db_default=0, editable=False)
    # US dollars of the turns whose cost is known, and the number of the other turns.
    total_cost = models.DecimalField(
        "cost (USD)", max_digits=20, decimal_places=8, db_default=0, editable=False
    )
    unpriced_turns = models.IntegerField(db_default=0, editable=False)
    # The last turn's CompletionStatus; "" before the first turn.
    last_status = models.CharField(max_length=9, db_default="", editable=False)
    # The latest rating: 1 or -1.
    feedback = models.SmallIntegerField(null=True, blank=True, editable=False)
    # The conversation whose texts a test chat sent again here; this one is deleted with it.
    copied_from = models.UUIDField(null=True, blank=True, editable=False)

    objects = TenantManager.from_queryset(SessionQuerySet)()

    class Meta:
        db_table = "sessions"
        ordering = ["-last_activity_at"]
        constraints = [
            models.UniqueConstraint(
                F("session_key"), F("account"), name="uq_sessions_session_key_account"
            ),
            *slug_constraints("sessions"),
            user_constraint("sessions", on_delete="SET NULL"),
        ]
        indexes = [
            models.Index(fields=["email"], name="ix_sessions_email"),
            models.Index(
                Lower("email"), name="ix_sessions_address", condition=Q(email__isnull=False)
            ),
            models.Index(
                fields=["copied_from"],
                name="ix_sessions_copied_from",
                condition=Q(copied_from__isnull=False),
            ),
            models.Index(
                fields=["account", "-last_activity_at", "-id"], name="ix_sessions_account_activity"
            ),
            models.Index(fields=["-last_activity_at", "-id"], name="ix_sessions_activity"),
            models.Index(
                fields=["account", "agent_instance", "-last_activity_at", "-id"],
                name="ix_sessions_instance_activity",
            ),
            # Costs nothing for a conversation that is open.
            models.Index(
                fields=["account", "agent_instance", "-last_activity_at", "-id"],
                name="ix_sessions_closed",
                condition=Q(closed_at__isnull=False),
            ),
            models.Index(fields=["user"], name="ix_sessions_user", condition=Q(user__isnull=False)),
            models.Index(
                fields=["agent_instance", "end_user", "-last_activity_at"],
                name="ix_sessions_end_user",
                condition=Q(end_user__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        # Without its title: this is part of page titles, which all staff see.
        return f"session of {moment(self.created_at)}"


class LLMRequestQuerySet(TenantQuerySet["LLMRequest"]):
    def running(self) -> LLMRequestQuerySet:
        return self.filter(completion_status=CompletionStatus.RUNNING)


class LLMRequest(TenantModel):
    """The work of one turn: the sums of the model calls that one user message caused.

    `response_body["calls"]` lists the calls. Costs are US dollars; null is unknown.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    account_slug = models.CharField(max_length=63, editable=False)
    agent_instance = instance_key()
    agent_instance_slug = models.CharField(max_length=63, editable=False)
    agent_type = models.CharField(max_length=50, editable=False)
    session = models.ForeignKey(
        Session, models.DB_CASCADE, related_name="llm_requests", db_constraint=False, db_index=False
    )
    config_version = version_key()
    provider = models.CharField(max_length=50)
    model = models.CharField(max_length=255)
    request_body = models.JSONField(null=True, blank=True)
    response_body = models.JSONField(null=True, blank=True)
    completion_status = models.CharField(
        max_length=9, choices=CompletionStatus, db_default=CompletionStatus.RUNNING
    )
    error_code = models.CharField(max_length=50, blank=True, db_default="")
    requests = models.IntegerField("model calls", db_default=0)
    prompt_tokens = models.IntegerField(null=True, blank=True)
    cached_tokens = models.IntegerField(null=True, blank=True)
    completion_tokens = models.IntegerField(null=True, blank=True)
    total_tokens = models.IntegerField(null=True, blank=True)
    tokens_estimated = models.BooleanField(db_default=False)
    prompt_cost = models.DecimalField(max_digits=20, decimal_places=8, null=True, blank=True)
    completion_cost = models.DecimalField(max_digits=20, decimal_places=8, null=True, blank=True)
    total_cost = models.DecimalField(max_digits=20, decimal_places=8, null=True, blank=True)
    cost_source = models.CharField(
        max_length=12,
        choices=[(source.value, source.value) for source in CostSource],
        db_default=CostSource.UNKNOWN.value,
    )
    latency_ms = models.IntegerField(null=True, blank=True)
    time_to_first_token_ms = models.IntegerField(null=True, blank=True)
    # "key:<id>", "visitor:<hash>" …; the client's Idempotency-Key, and a hash of what it sent.
    caller = models.CharField(max_length=100, editable=False, db_default="")
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, editable=False)
    idempotency_hash = models.CharField(max_length=64, editable=False, db_default="")
    is_test = models.BooleanField(db_default=False, editable=False)
    # The process that runs it. Without a constraint: an ended process has no row.
    server_process_id = models.UUIDField(null=True, blank=True, editable=False)
    reserved_cost = models.DecimalField(
        max_digits=20, decimal_places=8, null=True, blank=True, editable=False
    )
    # The billable cost, which counts against budgets: an estimate where the cost is unknown.
    charged_cost = models.DecimalField(
        max_digits=20, decimal_places=8, null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    settled_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TenantManager.from_queryset(LLMRequestQuerySet)()

    class Meta:
        db_table = "llm_requests"
        ordering = ["-created_at"]
        verbose_name = "LLM request"
        constraints = [
            *slug_constraints("llm_requests"),
            session_constraint("llm_requests"),
            version_constraint("llm_requests"),
            # A session has at most one running turn.
            models.UniqueConstraint(
                fields=["session", "account"],
                name="uq_llm_requests_running_in_session",
                condition=Q(completion_status=CompletionStatus.RUNNING),
            ),
            models.UniqueConstraint(
                fields=["account", "caller", "idempotency_key"],
                name="uq_llm_requests_idempotency",
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(completion_status__in=CompletionStatus.values),
                name="ck_llm_requests_completion_status",
            ),
            models.CheckConstraint(
                condition=Q(cost_source__in=[source.value for source in CostSource]),
                name="ck_llm_requests_cost_source",
            ),
        ]
        indexes = [
            models.Index(fields=["session"], name="ix_llm_requests_session_id"),
            models.Index(
                fields=["account", "-created_at", "-id"], name="ix_llm_requests_account_time"
            ),
            models.Index(
                fields=["agent_instance", "-created_at"], name="ix_llm_requests_instance_time"
            ),
            # For the staff's lists of all accounts.
            models.Index(fields=["-created_at", "-id"], name="ix_llm_requests_time"),
            models.Index(
                fields=["-created_at", "-id"],
                name="ix_llm_requests_failed",
                condition=Q(completion_status="partial")
                | Q(completion_status="error")
                | Q(completion_status="cancelled"),
            ),
            models.Index(
                fields=["created_at"],
                name="ix_llm_requests_running",
                condition=Q(completion_status=CompletionStatus.RUNNING),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model} {self.completion_status}"


class MessageQuerySet(TenantQuerySet["Message"]):
    def of(self, session: Session, instance: AgentInstance) -> MessageQuerySet:
        return self.filter(session_id=session.pk, agent_instance_id=instance.pk)

    def before(self, message: Message) -> MessageQuerySet:
        """Return the messages before this one, as one range of the history's index."""
        place = Tuple(F("created_at"), F("id"))
        return self.filter(TupleLessThan(place, (message.created_at, message.pk)))

    def newest_first(self) -> MessageQuerySet:
        return self.order_by("-created_at", "-id")

    def with_rating_of(self, caller: str) -> MessageQuerySet:
        """Add this caller's rating of each message as `own_rating`: 1, -1 or None."""
        mine = Q(account_id=OuterRef("account_id"), message_id=OuterRef("pk"), caller=caller)
        rating = MessageFeedback.objects.filter(mine).values("rating")[:1]
        return self.annotate(own_rating=Subquery(rating))


# A search vector holds a megabyte, at up to 15 bytes a character: of more the beginning is found.
SEARCHED_CHARACTERS = 50_000
SEARCHED_TEXT = Left("content", SEARCHED_CHARACTERS)
SEARCHED = SearchVector(SEARCHED_TEXT, config="simple")


class Message(TenantModel):
    """A message of the user, the agent or the system in a session."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    agent_instance = instance_key()
    session = models.ForeignKey(
        Session, models.DB_CASCADE, related_name="messages", db_constraint=False, db_index=False
    )
    llm_request = models.ForeignKey(
        LLMRequest,
        models.DB_SET_NULL,
        related_name="messages",
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
    )
    config_version = version_key()
    role = models.CharField(max_length=20, choices=Role)
    content = models.TextField()
    meta = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TenantManager.from_queryset(MessageQuerySet)()

    class Meta:
        db_table = "messages"
        ordering = ["created_at", "id"]
        constraints = [
            account_constraint("messages"),
            session_constraint("messages"),
            instance_constraint("messages"),
            tenant_constraint(
                "messages",
                "llm_request",
                "sessions_app.LLMRequest",
                on_delete="SET NULL (llm_request_id)",
            ),
            version_constraint("messages"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="ck_messages_role"),
        ]
        indexes = [
            models.Index(
                fields=["session", "agent_instance", "-created_at", "-id"],
                name="ix_messages_history",
            ),
            models.Index(fields=["account", "-created_at", "-id"], name="ix_messages_account_time"),
            models.Index(fields=["agent_instance"], name="ix_messages_agent_instance"),
            models.Index(
                fields=["llm_request"],
                name="ix_messages_llm_request",
                condition=Q(llm_request__isnull=False),
            ),
            GinIndex(SEARCHED, name="ix_messages_text_start"),
        ]

    @property
    def role_name(self) -> str:
        """What people read, as in the chat and in the playground."""
        return "User" if self.role == Role.HUMAN else self.role.capitalize()

    def __str__(self) -> str:
        # Without the text: this is part of page titles, which all staff see.
        return f"{self.role} message of {moment(self.created_at)}"


class Profile(TenantModel):
    """What a conversation has revealed about the person in it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key()
    session = models.ForeignKey(
        Session, models.DB_CASCADE, related_name="profiles", db_constraint=False, db_index=False
    )
    customer_name = models.CharField(max_length=255, null=True, blank=True)
    phone = models.CharField(max_length=50, null=True, blank=True)
    email = models.CharField(max_length=255, null=True, blank=True)
    address_street = models.CharField(max_length=500, null=True, blank=True)
    address_city = models.CharField(max_length=100, null=True, blank=True)
    address_state = models.CharField(max_length=50, null=True, blank=True)
    address_zip = models.CharField(max_length=20, null=True, blank=True)
    products_of_interest = ArrayField(models.CharField(), null=True, blank=True)
    services_of_interest = ArrayField(models.CharField(), null=True, blank=True)
    preferences = models.JSONField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantManager["Profile"]()

    class Meta:
        db_table = "profiles"
        constraints = [
            models.UniqueConstraint(F("session"), F("account"), name="ix_profiles_session_id"),
            session_constraint("profiles"),
        ]
        indexes = [
            models.Index(fields=["email"], name="ix_profiles_email"),
            models.Index(Lower("email"), name="ix_profiles_address"),
            models.Index(fields=["account"], name="ix_profiles_account"),
        ]

    def __str__(self) -> str:
        return "profile"
