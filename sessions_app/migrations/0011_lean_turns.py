from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Open, settle and count turns with less work for each."""

    dependencies = [("sessions_app", "0008_webhook_events"), ("accounts", "0008_lean_limits")]

    operations = [
        SQLFile("sessions_app", "0011_app_count_turns", before="0002_app_count_turns"),
        SQLFile("sessions_app", "0011_app_open_turns", before="0006_app_open_turns"),
        SQLFile("sessions_app", "0011_app_settle_turns", before="0008_app_settle_turns"),
    ]
