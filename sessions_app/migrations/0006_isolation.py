from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Row-level security on what belongs to accounts."""

    dependencies = [
        ("sessions_app", "0005_tables"),
        ("agents", "0004_isolation"),
    ]

    operations = [
        SQLFile("sessions_app", "0006_isolation", before="0006_isolation_back"),
    ]
