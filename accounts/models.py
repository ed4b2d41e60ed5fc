"""Who there is: people, tenants and the keys that speak for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils import timezone

from accounts.slugs import SLUG_PATTERN, validate_slug
from accounts.tenancy import TenantManager, TenantModel, TenantQuerySet
from salient.constraints import CompositeForeignKey
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


class Scope(models.TextChoices):
    """What a key may do."""

    CHAT = "chat", "talk to agents"
    HISTORY_READ = "history:read", "read conversations"
    AGENTS_READ = "agents:read", "list agents"


class UserManager(DjangoUserManager["User"]):
    """Makes people by e-mail address: it is the login."""

    use_in_migrations = False

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)

    async def aget_by_natural_key(self, username: str | None) -> User:
        return await self.aget(email__iexact=username)

    def _create_user_object(
        self, username: str, email: str | None, password: str | None, **fields: Any
    ) -> User:
        address = email or username
        if not address:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=self.normalize_email(address), **fields)
        user.set_password(password)
        return user

    def create_user(  # type: ignore[override]
        self, email: str, password: str | None = None, **fields: Any
    ) -> User:
        return super().create_user(email, email, password, **fields)

    def create_superuser(  # type: ignore[override]
        self, email: str, password: str | None = None, **fields: Any
    ) -> User:
        return super().create_superuser(email, email, password, **fields)


class User(AbstractUser):
    """A person, known by e-mail address."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = None  # type: ignore[assignment]
    email = models.EmailField("e-mail address")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()  # type: ignore[misc]

    class Meta:
        db_table = "users"
        constraints = [
            models.UniqueConstraint(fields=["email"], name="uq_users_email"),
            models.UniqueConstraint(
                Lower("email"),
                name="uq_users_email_lower",
                violation_error_message="There is a user with this e-mail address.",
            ),
        ]

    def __str__(self) -> str:
        return self.email


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
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope))
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
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
        ]
        indexes = [
            models.Index(fields=["account", "created_at"], name="ix_api_keys_account_created")
        ]

    def __str__(self) -> str:
        return f"{self.name} (sal_sk_{self.key_id}_…)"

    def refusal(self, now: datetime | None = None) -> str | None:
        """Say why the key is not accepted now, or nothing."""
        now = now or timezone.now()
        if self.revoked_at is not None and self.revoked_at <= now:
            return "The API key has been revoked."
        if self.expires_at is not None and self.expires_at <= now:
            return "The API key has expired."
        return None
