from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Settle and count a turn alone with less work."""

    dependencies = [("sessions_app", "0009_turn_events"), ("accounts", "0009_lean_limits")]

    operations = [
        SQLFile("sessions_app", "0010_app_count_turns", before="0002_app_count_turns"),
        SQLFile("sessions_app", "0010_app_settle_turns", before="0008_app_settle_turns"),
    ]
