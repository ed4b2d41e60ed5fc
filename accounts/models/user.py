"""People, their memberships and invitations, and what auditors may do."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils import timezone

from accounts.members.email_addresses import AddressField, by_letters, normal_email, with_address
from accounts.models.foreign_keys import (
    account_constraint,
    account_key,
    name_of_read,
    user_constraint,
)
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.ids import uuid7


class MemberRole(models.TextChoices):
    """What a person may do in an account, from most to least."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


MANAGERS = (MemberRole.OWNER, MemberRole.ADMIN)


class UserManager(DjangoUserManager["User"]):
    """Makes people by e-mail address: it is the login."""

    use_in_migrations = False

    def get_by_natural_key(self, username: str | None) -> User:
        return with_address(self.all(), "email", username).get()

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return the one form of an address; raises ValueError."""
        return normal_email(email or "")

    async def aget_by_natural_key(self, username: str | None) -> User:
        return await with_address(self.all(), "email", username).aget()

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
    """A person, known by e-mail address.

    A Membership says what they may do in an account. The flags here are for the admin alone: staff
    do what their permissions allow; an auditor (who is staff too) sees everything and changes
    nothing, whatever groups and permissions say.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = None  # type: ignore[assignment]
    email = AddressField("e-mail address")
    is_auditor = models.BooleanField(
        "auditor", default=False, help_text="Sees everything in the admin and changes nothing."
    )

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
            models.CheckConstraint(
                condition=~Q(is_superuser=True, is_auditor=True),
                name="ck_users_auditor",
                violation_error_message="An auditor changes nothing, so cannot be a superuser.",
            ),
        ]

        indexes = [
            models.Index(by_letters("email"), name="ix_users_email_start"),
            models.Index(by_letters("first_name"), name="ix_users_first_name_start"),
            models.Index(by_letters("last_name"), name="ix_users_last_name_start"),
        ]

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        """Do not normalise the address as Django does: its field has done so."""

    def has_perm(self, perm: str, obj: models.Model | None = None) -> bool:
        return self._audits(perm) if self.is_auditor else super().has_perm(perm, obj)

    async def ahas_perm(self, perm: str, obj: models.Model | None = None) -> bool:
        return self._audits(perm) if self.is_auditor else await super().ahas_perm(perm, obj)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active if self.is_auditor else super().has_module_perms(app_label)

    async def ahas_module_perms(self, app_label: str) -> bool:
        return self.is_active if self.is_auditor else await super().ahas_module_perms(app_label)

    def _audits(self, perm: str) -> bool:
        return self.is_active and perm.partition(".")[2].startswith("view_")


class MembershipQuerySet(TenantQuerySet["Membership"]):
    def owners(self) -> MembershipQuerySet:
        return self.filter(role=MemberRole.OWNER)

    def managers(self) -> MembershipQuerySet:
        """Select owners and admins who may log in: they make keys and get the account's alerts."""
        return self.filter(role__in=MANAGERS, user__is_active=True)

    def role_of(self, user_id: UUID) -> str:
        """Return the person's role in the one account of these rows, "" where they have none."""
        mine = self.filter(user_id=user_id, user__is_active=True)
        return mine.values_list("role", flat=True).first() or ""

    def addresses(self) -> list[str]:
        return list(self.order_by("user__email").values_list("user__email", flat=True))

    def with_people(self) -> MembershipQuerySet:
        """Select what an account may know of its members; the tenant's role may read no more."""
        people = ("user__email", "user__first_name", "user__last_name")
        return self.select_related("user").only("account_id", "role", "created_at", *people)


class Membership(TenantModel):
    """A person's place in an account."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key("memberships")
    user = models.ForeignKey(
        User, models.DO_NOTHING, related_name="memberships", db_constraint=False, db_index=False
    )
    role = models.CharField(max_length=6, choices=MemberRole)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = TenantManager.from_queryset(MembershipQuerySet)()

    class Meta:
        db_table = "memberships"
        verbose_name = "member"
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(fields=["account", "user"], name="uq_memberships_account_user"),
            account_constraint("memberships"),
            user_constraint("memberships"),
            models.CheckConstraint(
                condition=Q(role__in=MemberRole.values), name="ck_memberships_role"
            ),
        ]
        indexes = [models.Index(fields=["user"], name="ix_memberships_user")]

    def __str__(self) -> str:
        return f"{name_of_read(self, 'user')}: {self.role}".removeprefix(": ")


class InvitationQuerySet(TenantQuerySet["Invitation"]):
    def pending(self) -> InvitationQuerySet:
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())


class Invitation(TenantModel):
    """An offer of a place in an account, sent by e-mail; the token is stored as a hash."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key("invitations")
    email = AddressField()
    role = models.CharField(max_length=6, choices=MemberRole)
    # The inviter's address; "" when a key or a command invited.
    invited_by = models.EmailField(blank=True, default="")
    token_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(InvitationQuerySet)()

    class Meta:
        db_table = "invitations"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["token_hash"], name="uq_invitations_token_hash"),
            models.UniqueConstraint(
                "account",
                Lower("email"),
                name="uq_invitations_open",
                condition=Q(accepted_at=None, revoked_at=None),
            ),
            account_constraint("invitations"),
            models.CheckConstraint(
                condition=Q(role__in=MemberRole.values), name="ck_invitations_role"
            ),
        ]
        indexes = [models.Index(Lower("email"), name="ix_invitations_email")]

    def __str__(self) -> str:
        return f"{self.email}: {self.role}"
