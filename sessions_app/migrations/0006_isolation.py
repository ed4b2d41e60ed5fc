from django.db import migrations

from accounts import isolation


class Migration(migrations.Migration):
    """Row-level security on what belongs to accounts."""

    dependencies = [
        ("sessions_app", "0005_tables"),
        ("agents", "0004_isolation"),
    ]

    operations = [
        *map(isolation.isolated, ["sessions", "messages", "llm_requests", "profiles"]),
    ]
