from django.db import migrations

from accounts.tenancy import audit_triggers
from accounts.tenancy import rls


class Migration(migrations.Migration):
    """Row-level security on drafts and publications, and the audit of what agents are."""

    dependencies = [("agents", "0005_publications"), ("accounts", "0007_audit_triggers")]

    operations = [
        rls.isolated("config_drafts"),
        rls.isolated("config_publications"),
        audit_triggers.recorded(
            "agent_instances",
            columns=["instance_slug", "agent_type", "display_name", "status", "allowed_origins"],
            label="instance_slug",
            ignored=["last_used_at", "override"],
        ),
        audit_triggers.recorded(
            "provider_connections",
            columns=["name", "base_url", "secret", "secret_host"],
            label="name",
            ignored=["secret_hint"],
            secret=["secret"],
        ),
        audit_triggers.recorded(
            "config_publications",
            columns=["number"],
            label="note",
            ignored=["text", "author_id", "author_name", "config_version_id"],
        ),
    ]
