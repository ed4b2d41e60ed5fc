from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Open a turn in one statement, and settle it in one."""

    dependencies = [("sessions_app", "0011_usage"), ("accounts", "0005_limits")]

    operations = [
        # Each turn writes a row of it: as accounts' 0008_hot_rows.
        migrations.RunSQL(
            "ALTER TABLE usage_days SET (fillfactor = 50)",
            "ALTER TABLE usage_days RESET (fillfactor)",
        ),
        SQLFile("sessions_app", "0012_app_open_turn", back="DROP FUNCTION app_open_turn(jsonb)"),
        SQLFile(
            "sessions_app", "0012_app_count_turn", back="DROP FUNCTION app_count_turn(uuid, uuid)"
        ),
        SQLFile(
            "sessions_app", "0012_app_settle_turn", back="DROP FUNCTION app_settle_turn(jsonb)"
        ),
    ]
