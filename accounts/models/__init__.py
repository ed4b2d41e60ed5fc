"""The tables of accounts, people, keys, limits and the audit log."""

from accounts.auth.attempts import AttemptRate
from accounts.models.account import (
    Account,
    AccountLimits,
    AccountStatus,
    Budget,
    BudgetPeriod,
    FormerSlug,
    RateState,
    SubscriptionTier,
    default_alert_percents,
)
from accounts.models.api_key import (
    ApiKey,
    KeyKind,
    KeyMode,
    Scope,
)
from accounts.models.audit import (
    ActorKind,
    AuditAction,
    AuditEntry,
    SupportAccess,
)
from accounts.models.refusal import RefusalDay
from accounts.models.sent_form import SentForm
from accounts.models.user import (
    Invitation,
    MemberRole,
    Membership,
    User,
)
from accounts.models.webhook import (
    DeliveryState,
    DisabledReason,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)

__all__ = [
    "Account",
    "AccountLimits",
    "AccountStatus",
    "ActorKind",
    "ApiKey",
    "AttemptRate",
    "AuditAction",
    "AuditEntry",
    "Budget",
    "BudgetPeriod",
    "DeliveryState",
    "DisabledReason",
    "FormerSlug",
    "Invitation",
    "KeyKind",
    "KeyMode",
    "MemberRole",
    "Membership",
    "RateState",
    "RefusalDay",
    "Scope",
    "SentForm",
    "SubscriptionTier",
    "SupportAccess",
    "User",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "default_alert_percents",
]
