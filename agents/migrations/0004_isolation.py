from django.db import migrations

from accounts import isolation


class Migration(migrations.Migration):
    """Row-level security on what belongs to accounts."""

    dependencies = [("agents", "0003_tables"), ("accounts", "0004_isolation")]

    operations = [
        *map(isolation.isolated, ["agent_instances", "config_versions", "provider_connections"]),
    ]
