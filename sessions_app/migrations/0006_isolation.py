from django.db import migrations

from accounts.tenancy import rls


class Migration(migrations.Migration):
    """Row-level security on what belongs to accounts."""

    dependencies = [
        ("sessions_app", "0005_tables"),
        ("agents", "0004_isolation"),
    ]

    operations = [
        *map(rls.isolated, ["sessions", "messages", "llm_requests", "profiles"]),
    ]
