from django.db import migrations

from accounts.tenancy import audit_triggers
from accounts.tenancy import rls


class Migration(migrations.Migration):
    """Who sees the audit log, and what is written to it by the database itself."""

    dependencies = [("accounts", "0006_audit")]

    operations = [
        rls.isolated("audit_log"),
        rls.isolated("support_accesses"),
        audit_triggers.recorder(),
        audit_triggers.recorded(
            "accounts", columns=["slug", "name", "status", "subscription_tier"], label="slug"
        ),
        audit_triggers.recorded(
            "users",
            columns=[
                "email",
                "password",
                "is_active",
                "is_staff",
                "is_superuser",
                "is_auditor",
                "first_name",
                "last_name",
            ],
            label="email",
            ignored=["last_login", "date_joined"],
            secret=["password"],
        ),
        audit_triggers.recorded(
            "api_keys",
            columns=[
                "name",
                "scopes",
                "instance_ids",
                "origins",
                "networks",
                "expires_at",
                "revoked_at",
                "rotated_at",
                "secret_hash",
            ],
            label="name",
            ignored=["last_used_at"],
            secret=["secret_hash"],
        ),
        audit_triggers.recorded("memberships", columns=["role"], label="user_id"),
        audit_triggers.recorded(
            "invitations",
            columns=["role", "accepted_at", "revoked_at", "expires_at"],
            label="email",
            secret=["token_hash"],
        ),
        audit_triggers.recorded(
            "account_limits",
            columns=[
                "requests_per_minute",
                "requests_per_minute_per_key",
                "requests_per_minute_per_visitor",
                "requests_per_minute_per_network",
                "concurrent_turns",
                "message_bytes",
                "history_messages",
                "output_tokens",
            ],
            label="account_id",
            ignored=["running"],
        ),
        audit_triggers.recorded(
            "budgets",
            columns=["agent_instance_id", "period", "limit", "alert_percents"],
            label="period",
            ignored=["spent", "reserved", "period_start", "alerted_percent"],
        ),
        audit_triggers.recorded(
            "support_accesses", columns=["expires_at", "ended_at", "reason"], label="staff"
        ),
    ]
