"""Who there is: people, tenants and the keys that speak for them."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import keys
from accounts.amounts import exact_money
from accounts.audit import ActorKind, AuditAction, AuditEntry, SupportAccess
from accounts.networks import read_network
from accounts.people import Invitation, MemberRole, Membership, User
from accounts.slugs import SLUG_PATTERN, validate_slug
from accounts.tenancy import TenantManager, TenantModel, TenantQuerySet
from salient.constraints import CompositeForeignKey
from salient.ids import uuid7
from salient.origins import validate_origin

__all__ = [
    "Account",
    "AccountLimits",
    "AccountStatus",
    "ActorKind",
    "ApiKey",
    "AuditAction",
    "AuditEntry",
    "Budget",
    "BudgetPeriod",
    "Invitation",
    "KeyKind",
    "KeyMode",
    "MemberRole",
    "Membership",
    "RateState",
    "Scope",
    "SubscriptionTier",
    "SupportAccess",
    "User",
]


class AccountStatus(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class SubscriptionTier(models.TextChoices):
    FREE = "free"
    STANDARD = "standard"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


class Scope(models.TextChoices):
    """What a key may do."""

    CHAT = "chat", "talk to agents"
    HISTORY_READ = "history:read", "read conversations"
    HISTORY_DELETE = "history:delete", "delete conversations"
    AGENTS_READ = "agents:read", "list agents"
    USAGE_READ = "usage:read", "read usage and limits"
    MEMBERS_READ = "members:read", "list members"
    MEMBERS_WRITE = "members:write", "invite, change and remove members"
    VISITORS_WRITE = "visitors:write", "start visitors and name end users"
    CONNECTIONS_READ = "connections:read", "list model connections"
    CONNECTIONS_WRITE = "connections:write", "make, change and delete model connections"
    AUDIT_READ = "audit:read", "read who changed what"


class KeyKind(models.TextChoices):
    SECRET = "secret", "secret: for servers"
    PUBLISHABLE = "publishable", "publishable: for web pages, starts visitors only"


class KeyMode(models.TextChoices):
    LIVE = "live"
    TEST = "test", "test: always answered by the script"


class BudgetPeriod(models.TextChoices):
    DAY = "day"
    MONTH = "month"


def default_alert_percents() -> list[int]:
    return [80, 100]


class AccountQuerySet(models.QuerySet["Account"]):
    def active(self) -> AccountQuerySet:
        return self.filter(status=AccountStatus.ACTIVE)


class Account(models.Model):
    """A tenant: it owns agent instances, conversations and what they cost."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.CharField(
        max_length=63, validators=[validate_slug], help_text="Stands in every URL."
    )
    name = models.CharField(max_length=255)
    status = models.CharField(
        max_length=9,
        choices=AccountStatus,
        default=AccountStatus.ACTIVE,
        db_default=AccountStatus.ACTIVE,
    )
    subscription_tier = models.CharField(
        max_length=10, choices=SubscriptionTier, null=True, blank=True
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = AccountQuerySet.as_manager()

    class Meta:
        db_table = "accounts"
        ordering = ["slug"]
        constraints = [
            models.UniqueConstraint(fields=["slug"], name="uq_accounts_slug"),
            models.UniqueConstraint(fields=["id", "slug"], name="uq_accounts_id_slug"),
            models.CheckConstraint(
                condition=Q(slug__regex=f"^{SLUG_PATTERN}$"), name="ck_accounts_slug"
            ),
            models.CheckConstraint(
                condition=Q(status__in=AccountStatus.values), name="ck_accounts_status"
            ),
            models.CheckConstraint(
                condition=Q(subscription_tier=None)
                | Q(subscription_tier__in=SubscriptionTier.values),
                name="ck_accounts_subscription_tier",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class ApiKeyQuerySet(TenantQuerySet["ApiKey"]):
    def active(self) -> ApiKeyQuerySet:
        now = timezone.now()
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class ApiKey(TenantModel):
    """A secret that speaks for an account; only its keyed hash is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(
        Account, models.DB_CASCADE, related_name="api_keys", db_constraint=False, db_index=False
    )
    name = models.CharField(max_length=100)
    key_id = models.CharField(max_length=12, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    kind = models.CharField(max_length=11, choices=KeyKind, default=KeyKind.SECRET)
    mode = models.CharField(max_length=4, choices=KeyMode, default=KeyMode.LIVE)
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope))
    instance_ids = ArrayField(
        models.UUIDField(), default=list, blank=True, help_text="Empty: every agent instance."
    )
    origins = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        help_text="Where a publishable key may be used: https://shop.example",
    )
    networks = ArrayField(
        models.CharField(max_length=43), default=list, blank=True, help_text="Empty: from anywhere."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    # A successor was made; the key works on until it expires.
    rotated_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The key that this one succeeds: who revokes that one means this one too.
    rotated_from = models.CharField(max_length=12, blank=True, editable=False, db_default="")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TenantManager.from_queryset(ApiKeyQuerySet)()

    class Meta:
        db_table = "api_keys"
        ordering = ["-created_at"]
        verbose_name = "API key"
        constraints = [
            models.UniqueConstraint(fields=["key_id"], name="uq_api_keys_key_id"),
            CompositeForeignKey(
                fields=["account"],
                to="accounts.Account",
                to_fields=["id"],
                name="fk_api_keys_account_id",
            ),
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values), name="ck_api_keys_scopes"
            ),
            models.CheckConstraint(
                condition=Q(kind=KeyKind.SECRET, origins=[])
                | Q(
                    kind=KeyKind.PUBLISHABLE,
                    scopes=[Scope.VISITORS_WRITE],
                    origins__len__gte=1,
                    instance_ids__len=1,
                ),
                name="ck_api_keys_kind",
            ),
            models.CheckConstraint(condition=Q(mode__in=KeyMode.values), name="ck_api_keys_mode"),
        ]
        indexes = [
            models.Index(fields=["account", "created_at"], name="ix_api_keys_account_created")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}_{self.key_id}_…)"

    @property
    def prefix(self) -> str:
        """How the key's text begins: what it is can be seen without the server."""
        if self.kind == KeyKind.PUBLISHABLE:
            return keys.PUBLISHABLE
        return keys.TEST if self.mode == KeyMode.TEST else keys.SECRET

    def clean(self) -> None:
        """Write networks in one form; refuse a key that could never be used as it is meant."""
        self.networks = [str(read_network(text)) for text in self.networks]
        for origin in self.origins:
            validate_origin(origin)
        if self.kind == KeyKind.PUBLISHABLE:
            self._clean_publishable()
        elif self.origins:
            raise ValidationError("Only a publishable key has origins.")
        elif not self.scopes:
            raise ValidationError("A key needs at least one scope.")

    def _clean_publishable(self) -> None:
        if not self.origins:
            raise ValidationError("A publishable key needs the origins of its pages.")
        if len(self.instance_ids) != 1:
            raise ValidationError("A publishable key belongs to exactly one agent instance.")
        if self.scopes != [Scope.VISITORS_WRITE]:
            raise ValidationError("A publishable key has the scope “visitors:write” alone.")

    def refusal(self, now: datetime | None = None) -> str | None:
        """Say why the key is not accepted now, or nothing."""
        now = now or timezone.now()
        if self.revoked_at is not None and self.revoked_at <= now:
            return "The API key has been revoked."
        if self.expires_at is not None and self.expires_at <= now:
            return "The API key has expired."
        return None


class AccountLimitsQuerySet(TenantQuerySet["AccountLimits"]):
    pass


class AccountLimits(TenantModel):
    """What an account may take at once; null is the installation's default."""

    account = models.OneToOneField(
        Account,
        models.DB_CASCADE,
        primary_key=True,
        related_name="limits",
        db_constraint=False,
    )
    requests_per_minute = models.IntegerField(null=True, blank=True)
    requests_per_minute_per_key = models.IntegerField(null=True, blank=True)
    requests_per_minute_per_visitor = models.IntegerField(null=True, blank=True)
    requests_per_minute_per_network = models.IntegerField(null=True, blank=True)
    concurrent_turns = models.IntegerField(null=True, blank=True)
    message_bytes = models.IntegerField(null=True, blank=True)
    history_messages = models.IntegerField(null=True, blank=True)
    output_tokens = models.IntegerField(null=True, blank=True)
    # How many turns run now: the one number here that the platform writes.
    running = models.IntegerField(db_default=0, editable=False)

    objects = TenantManager.from_queryset(AccountLimitsQuerySet)()

    class Meta:
        db_table = "account_limits"
        verbose_name_plural = "account limits"
        constraints = [
            CompositeForeignKey(
                fields=["account"],
                to="accounts.Account",
                to_fields=["id"],
                name="fk_account_limits_account_id",
            ),
            models.CheckConstraint(condition=Q(running__gte=0), name="ck_account_limits_running"),
        ]

    def __str__(self) -> str:
        return f"limits of {self.account_id}"


class BudgetQuerySet(TenantQuerySet["Budget"]):
    pass


class Budget(TenantModel):
    """How many US dollars an account, or one of its instances, may spend in a day or a month (UTC).

    `spent` and `reserved` belong to the period that began at `period_start`. A turn reserves the
    most it may cost before it starts and settles what it did cost.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(
        Account, models.DB_CASCADE, related_name="budgets", db_constraint=False, db_index=False
    )
    agent_instance_id = models.UUIDField(
        null=True, blank=True, help_text="Empty: the budget of the whole account."
    )
    period = models.CharField(max_length=5, choices=BudgetPeriod)
    limit = models.DecimalField("limit (USD)", max_digits=14, decimal_places=8)
    period_start = models.DateTimeField(editable=False)
    spent = models.DecimalField(max_digits=14, decimal_places=8, db_default=0, editable=False)
    reserved = models.DecimalField(max_digits=14, decimal_places=8, db_default=0, editable=False)
    alert_percents = ArrayField(models.IntegerField(), default=default_alert_percents, blank=True)
    # The highest percentage that was told in this period.
    alerted_percent = models.IntegerField(db_default=0, editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager.from_queryset(BudgetQuerySet)()

    class Meta:
        db_table = "budgets"
        ordering = ["period"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "agent_instance_id", "period"],
                nulls_distinct=False,
                name="uq_budgets_account_instance_period",
            ),
            CompositeForeignKey(
                fields=["account"],
                to="accounts.Account",
                to_fields=["id"],
                name="fk_budgets_account_id",
            ),
            CompositeForeignKey(
                fields=["account", "agent_instance_id"],
                to="agents.AgentInstance",
                to_fields=["account", "id"],
                name="fk_budgets_agent_instance_id",
            ),
            models.CheckConstraint(
                condition=Q(period__in=BudgetPeriod.values), name="ck_budgets_period"
            ),
            models.CheckConstraint(
                condition=Q(limit__gte=0, spent__gte=0, reserved__gte=0), name="ck_budgets_amounts"
            ),
        ]

    def __str__(self) -> str:
        return f"{exact_money(self.limit)} a {self.period}"


class RateStateQuerySet(TenantQuerySet["RateState"]):
    pass


class RateState(TenantModel):
    """How much of a rate limit is used up: the theoretical arrival time of GCRA (ITU-T I.371).

    Each turn writes its rows, so no index has `arrival`: it would have an entry of each of them.
    """

    pk = models.CompositePrimaryKey("account_id", "subject")
    account = models.ForeignKey(
        Account, models.DB_CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    # "account", "key:<id>", "visitor:<hash>", "network:<prefix>"
    subject = models.CharField(max_length=100)
    arrival = models.DateTimeField()

    objects = TenantManager.from_queryset(RateStateQuerySet)()

    class Meta:
        db_table = "rate_states"
        constraints = [
            CompositeForeignKey(
                fields=["account"],
                to="accounts.Account",
                to_fields=["id"],
                name="fk_rate_states_account_id",
            ),
        ]

    def __str__(self) -> str:
        return self.subject
