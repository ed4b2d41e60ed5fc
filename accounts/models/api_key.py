"""API keys: what they may do, how long they work, and to whom they were offered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.auth import key_text
from accounts.auth.networks import read_network
from accounts.models.audit import SupportAccess
from accounts.models.foreign_keys import account_constraint, account_key
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.api.origins import validate_origin
from salient.ids import uuid7


class Scope(models.TextChoices):
    """What a key may do."""

    CHAT = "chat", "talk to agents"
    HISTORY_READ = "history:read", "read conversations"
    HISTORY_DELETE = "history:delete", "delete conversations"
    AGENTS_READ = "agents:read", "list agents"
    AGENTS_WRITE = "agents:write", "make, change and configure agents"
    CONFIG_READ = "config:read", "read how agents are configured, prompts included"
    USAGE_READ = "usage:read", "read usage"
    LIMITS_READ = "limits:read", "read limits and budgets"
    LIMITS_WRITE = "limits:write", "change limits and budgets"
    KEYS_READ = "keys:read", "list API keys"
    KEYS_WRITE = "keys:write", "make, rotate and revoke API keys"
    MEMBERS_READ = "members:read", "list members"
    MEMBERS_WRITE = "members:write", "invite, change and remove members"
    VISITORS_WRITE = "visitors:write", "start visitors and name end users"
    CONNECTIONS_READ = "connections:read", "list model connections"
    CONNECTIONS_WRITE = "connections:write", "make, change and delete model connections"
    AUDIT_READ = "audit:read", "read who changed what"
    WEBHOOKS_READ = "webhooks:read", "list webhooks and what was sent"
    WEBHOOKS_WRITE = "webhooks:write", "make, change and delete webhooks"


# These read what people wrote: directly, by continuing their session, or as their end user.
READING = frozenset({Scope.CHAT, Scope.HISTORY_READ, Scope.VISITORS_WRITE})
# These open the texts for longer than the key lives: to a new member, to another model server, to
# who holds another key, to where webhooks are sent.
LASTING = frozenset(
    {Scope.MEMBERS_WRITE, Scope.CONNECTIONS_WRITE, Scope.KEYS_WRITE, Scope.WEBHOOKS_WRITE}
)
# These change more than one agent: not by a key for tests, nor by one for single agents.
ACCOUNT_WIDE = LASTING | {Scope.LIMITS_WRITE}
# These change what real callers meet: not by a key for tests.
LIVE_ONLY = ACCOUNT_WIDE | {Scope.AGENTS_WRITE}
# What an application that talks to agents needs; other scopes must be named.
DEFAULT_SCOPES = (Scope.CHAT, Scope.HISTORY_READ, Scope.AGENTS_READ)


# What app_find_api_key says of a suspended key: that it was revoked then.
SUSPENDED = datetime(1970, 1, 1, tzinfo=UTC)


class KeyKind(models.TextChoices):
    SECRET = "secret", "secret: for servers"
    PUBLISHABLE = "publishable", "publishable: for web pages, starts visitors only"


class KeyMode(models.TextChoices):
    LIVE = "live"
    TEST = "test", "test: always answered by the script"


class KeyState(models.TextChoices):
    ACTIVE = "active", "active"
    ENDS_SOON = "ends_soon", "ends soon"
    # It has a successor, and works on for the overlap.
    ROTATED = "rotated", "rotated"
    # Offered to a person who has not taken it yet, or who did not take it in time.
    WAITING = "waiting", "waits"
    NOT_TAKEN = "not_taken", "not taken"
    EXPIRED = "expired", "expired"
    SUSPENDED = "suspended", "suspended"
    REVOKED = "revoked", "revoked"


# A key ends soon so long before it expires.
SOON = timedelta(days=14)


class ApiKeyQuerySet(TenantQuerySet["ApiKey"]):
    def active(self) -> ApiKeyQuerySet:
        now = timezone.now()
        alive = self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
        return alive.filter(suspended_reason="").exclude(secret_hash="")

    def waiting(self) -> ApiKeyQuerySet:
        """Return the offered keys that may still be taken."""
        now = timezone.now()
        alive = self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
        return alive.filter(secret_hash="", offer_expires_at__gt=now, suspended_reason="")


class ApiKey(TenantModel):
    """A secret that calls the API for an account; only its keyed hash is stored.

    An offered key has no secret yet: it is made when the person takes the key.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = account_key("api_keys")
    name = models.CharField(max_length=100)
    key_id = models.CharField(max_length=12, editable=False)
    # Empty until the key is taken: no key's text has this hash.
    secret_hash = models.CharField(max_length=64, editable=False)
    kind = models.CharField(max_length=11, choices=KeyKind, default=KeyKind.SECRET)
    mode = models.CharField(max_length=4, choices=KeyMode, default=KeyMode.LIVE)
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope))
    instance_ids = ArrayField(
        models.UUIDField(), default=list, blank=True, help_text="Empty: every agent."
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
    # The key_id of its predecessor: revoking that one revokes this one too.
    rotated_from = models.CharField(max_length=12, blank=True, editable=False, db_default="")
    # The key_id of the key that made or rotated it: revoking that one revokes this one too.
    issued_by = models.CharField(max_length=12, blank=True, editable=False, db_default="")
    # Why it is suspended; "": it is not.
    suspended_reason = models.TextField(default="", db_default="", editable=False, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Null also of a key that was used before this was recorded.
    first_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The support access under which staff were shown the key; it expires with the access and has
    # no successor.
    support_access_id = models.UUIDField(null=True, blank=True, editable=False)
    # The e-mail address of the person it is offered to, and until when they may take it.
    taker = models.EmailField(blank=True, editable=False, db_default="")
    offer_hash = models.CharField(max_length=64, blank=True, editable=False, db_default="")
    offer_expires_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TenantManager.from_queryset(ApiKeyQuerySet)()

    class Meta:
        db_table = "api_keys"
        ordering = ["-created_at"]
        verbose_name = "API key"
        constraints = [
            models.UniqueConstraint(fields=["key_id"], name="uq_api_keys_key_id"),
            account_constraint("api_keys"),
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
            models.CheckConstraint(
                condition=Q(support_access_id=None) | Q(expires_at__isnull=False),
                name="ck_api_keys_support_access",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "created_at"], name="ix_api_keys_account_created")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.shown_id})"

    @property
    def shown_id(self) -> str:
        """The public part of the key's text; an offered key has no text yet."""
        return f"{self.prefix}_…" if self.is_waiting else f"{self.prefix}_{self.key_id}_…"

    @property
    def prefix(self) -> str:
        """How the key's text begins; it shows kind and mode without a look-up."""
        if self.kind == KeyKind.PUBLISHABLE:
            return key_text.PUBLISHABLE
        return key_text.TEST if self.mode == KeyMode.TEST else key_text.SECRET

    @property
    def is_waiting(self) -> bool:
        """Whether it is offered and not taken yet, so that nobody has it."""
        return not self.secret_hash

    @property
    def is_lasting(self) -> bool:
        """Whether its holder can open the texts to somebody for longer than the key lives.

        A test key, and one of some agents only, changes nothing of the whole account.
        """
        is_confined = self.mode == KeyMode.TEST or bool(self.instance_ids)
        is_secret = self.kind == KeyKind.SECRET
        return is_secret and not is_confined and not LASTING.isdisjoint(self.scopes)

    @property
    def reads_texts(self) -> bool:
        """Whether its holder can come to read what people wrote.

        A test key can too: by the history, as an end user, and because the script repeats it.
        """
        is_secret = self.kind == KeyKind.SECRET
        return self.is_lasting or (is_secret and not READING.isdisjoint(self.scopes))

    def clean(self) -> None:
        """Bring networks into one form; raises ValidationError for a key that could not be used."""
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
            raise ValidationError("A publishable key belongs to exactly one agent.")
        if self.scopes != [Scope.VISITORS_WRITE]:
            raise ValidationError("A publishable key has the scope “visitors:write” alone.")

    def give_secret(self) -> str:
        """Give the unsaved row a new id and secret; return its text, which is stored nowhere."""
        text = key_text.new_key(self.prefix)
        self.key_id, self.secret_hash = text.key_id, text.secret_hash
        return text.text

    def bind_to(self, access: SupportAccess) -> None:
        """Let the unsaved key expire with the support access under which staff are shown it."""
        self.support_access_id = access.pk
        self.expires_at = min(self.expires_at or access.expires_at, access.expires_at)

    @property
    def state(self) -> KeyState:
        """In which state it is, in the words of the API and of the admin."""
        now = timezone.now()
        if self.suspended_reason and not self.revoked_at:
            return KeyState.SUSPENDED
        if self.is_waiting and not self.revoked_at:
            waits = (self.offer_expires_at or now) > now
            return KeyState.WAITING if waits else KeyState.NOT_TAKEN
        if self.refusal(now) is not None:
            return KeyState.REVOKED if self.revoked_at else KeyState.EXPIRED
        if self.rotated_at is not None:
            return KeyState.ROTATED
        ends_soon = self.expires_at is not None and self.expires_at < now + SOON
        return KeyState.ENDS_SOON if ends_soon else KeyState.ACTIVE

    def refusal(self, now: datetime | None = None) -> str | None:
        """Return why the key is not accepted now, None where it is."""
        now = now or datetime.now(UTC)
        # A row of app_find_api_key has no reason: the function gives a suspended key as one that
        # was revoked long ago.
        is_suspended = self.revoked_at == SUSPENDED or vars(self).get("suspended_reason")
        if is_suspended and self.revoked_at in {None, SUSPENDED}:
            return "The API key is suspended. Ask whoever runs this service."
        if self.revoked_at is not None and self.revoked_at <= now:
            return "The API key has been revoked."
        if self.expires_at is not None and self.expires_at <= now:
            return "The API key has expired."
        if self.is_waiting:
            return "The API key has not been taken yet."
        return None
