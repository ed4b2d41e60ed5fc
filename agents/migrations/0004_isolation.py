from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Row-level security on what belongs to accounts."""

    dependencies = [("agents", "0003_tables"), ("accounts", "0004_isolation")]

    operations = [
        SQLFile("agents", "0004_isolation", before="0004_isolation_back"),
    ]
