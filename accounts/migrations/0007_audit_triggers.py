from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Who sees the audit log, and what is written to it by the database itself."""

    dependencies = [("accounts", "0006_audit")]

    operations = [
        SQLFile("accounts", "0007_isolation", before="0007_isolation_back"),
        SQLFile("accounts", "0007_app_record_change", back="DROP FUNCTION app_record_change()"),
        SQLFile("accounts", "0007_triggers", before="0007_triggers_back"),
    ]
