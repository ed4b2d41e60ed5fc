"""Accounts (tenants), their limits, budgets and rates."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Now

from accounts.models.foreign_keys import account_constraint, account_key, name_of_read
from accounts.models.slugs import SLUG_PATTERN, validate_slug
from accounts.tenancy.context import TenantManager, TenantModel
from salient.database.constraints import CompositeForeignKey
from salient.formatting import exact_money
from salient.ids import uuid7


class AccountStatus(models.TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class SubscriptionTier(models.TextChoices):
    FREE = "free"
    STANDARD = "standard"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


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
    # Why it is suspended, for staff; "" where it is not, or where nobody said.
    suspended_reason = models.TextField(default="", db_default="", editable=False, blank=True)
    # Where its configuration files lie, if that is not the slug: a renamed account keeps them.
    config_folder = models.CharField(
        max_length=63, default="", db_default="", editable=False, blank=True
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

    @property
    def folder(self) -> str:
        """The name of the folder of its configuration files."""
        return self.config_folder or self.slug


class FormerSlug(TenantModel):
    """A slug that an account had before: its URLs lead to the new one until `expires_at`.

    No other account gets it before that; a trigger of `accounts` sees to it.
    """

    pk = models.CompositePrimaryKey("account_id", "slug")
    account = account_key()
    slug = models.CharField(max_length=63)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    objects = TenantManager["FormerSlug"]()

    class Meta:
        db_table = "former_slugs"
        constraints = [account_constraint("former_slugs")]
        indexes = [models.Index(fields=["slug"], name="ix_former_slugs_slug")]

    def __str__(self) -> str:
        return self.slug


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
    reads_per_minute = models.IntegerField(null=True, blank=True)
    writes_per_minute = models.IntegerField(null=True, blank=True)
    heavy_calls_per_minute = models.IntegerField(null=True, blank=True)
    visitor_tokens_per_minute = models.IntegerField(null=True, blank=True)
    new_secrets_per_minute = models.IntegerField(null=True, blank=True)
    sends_per_minute = models.IntegerField(null=True, blank=True)
    concurrent_turns = models.IntegerField(null=True, blank=True)
    message_bytes = models.IntegerField(null=True, blank=True)
    history_messages = models.IntegerField(null=True, blank=True)
    output_tokens = models.IntegerField(null=True, blank=True)
    # What the platform's staff allow, by the limit's name: the account's owners stay within it.
    granted = models.JSONField(
        default=dict, db_default=Value({}, models.JSONField()), editable=False
    )
    # How many turns run now; the only column here that the platform writes.
    running = models.IntegerField(db_default=0, editable=False)

    objects = TenantManager["AccountLimits"]()

    class Meta:
        db_table = "account_limits"
        verbose_name_plural = "account limits"
        constraints = [
            account_constraint("account_limits"),
            models.CheckConstraint(condition=Q(running__gte=0), name="ck_account_limits_running"),
        ]

    def __str__(self) -> str:
        return f"limits of {name_of_read(self, 'account')}".removesuffix(" of ")


class Budget(TenantModel):
    """How many US dollars an account, or one of its instances, may spend in a day or a month (UTC).

    `spent` and `reserved` belong to the period that began at `period_start`. A turn reserves the
    most it may cost before it starts and settles what it did cost.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key("budgets")
    agent_instance_id = models.UUIDField(
        null=True, blank=True, help_text="Empty: the budget of the whole account."
    )
    period = models.CharField(max_length=5, choices=BudgetPeriod)
    limit = models.DecimalField("limit (USD)", max_digits=14, decimal_places=8)
    # What the platform's staff have set: the account's owners stay within it. Null: their own.
    granted = models.DecimalField(
        max_digits=14, decimal_places=8, null=True, blank=True, editable=False
    )
    period_start = models.DateTimeField(editable=False)
    spent = models.DecimalField(max_digits=20, decimal_places=8, db_default=0, editable=False)
    reserved = models.DecimalField(max_digits=20, decimal_places=8, db_default=0, editable=False)
    alert_percents = ArrayField(models.IntegerField(), default=default_alert_percents, blank=True)
    # The highest percentage of which an alert was sent in this period.
    alerted_percent = models.IntegerField(db_default=0, editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager["Budget"]()

    class Meta:
        db_table = "budgets"
        ordering = ["period"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "agent_instance_id", "period"],
                nulls_distinct=False,
                name="uq_budgets_account_instance_period",
            ),
            account_constraint("budgets"),
            CompositeForeignKey(
                fields=["account", "agent_instance_id"],
                to="agents.AgentInstance",
                to_fields=["account", "id"],
                name="fk_budgets_agent_instance_id",
                on_update="NO ACTION",
            ),
            models.CheckConstraint(
                condition=Q(period__in=BudgetPeriod.values), name="ck_budgets_period"
            ),
            models.CheckConstraint(
                condition=Q(limit__gte=0, spent__gte=0, reserved__gte=0), name="ck_budgets_amounts"
            ),
            models.CheckConstraint(
                condition=Q(granted=None) | Q(limit__lte=F("granted")), name="ck_budgets_granted"
            ),
        ]

    def __str__(self) -> str:
        whose = f" for {name_of_read(self, 'account')}".removesuffix(" for ")
        return f"{exact_money(self.limit)} a {self.period}{whose}"


class RateState(TenantModel):
    """How much of a rate limit is used up: the theoretical arrival time of GCRA (ITU-T I.371).

    Each turn updates its rows, so no index holds `arrival`.
    """

    pk = models.CompositePrimaryKey("account_id", "subject")
    account = account_key()
    # "account", "key:<id>", "visitor:<hash>", "network:<prefix>"; for calls that are no turns after
    # their kind, as in "writes:account".
    subject = models.CharField(max_length=100)
    arrival = models.DateTimeField()

    objects = TenantManager["RateState"]()

    class Meta:
        db_table = "rate_states"
        constraints = [
            account_constraint("rate_states"),
        ]

    def __str__(self) -> str:
        return self.subject
