from django.db import migrations

from accounts.tenancy import rls


class Migration(migrations.Migration):
    """Row-level security on what belongs to accounts."""

    dependencies = [("agents", "0003_tables"), ("accounts", "0004_isolation")]

    operations = [
        *map(rls.isolated, ["agent_instances", "config_versions", "provider_connections"]),
    ]
