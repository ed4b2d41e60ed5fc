from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Open and settle the turns that come together together, each by half the statements.

    The functions of 0012 stay: servers that still run while this is migrated call them, and settle
    by them what they have opened.
    """

    dependencies = [("sessions_app", "0013_list_indexes"), ("accounts", "0010_limits_together")]

    operations = [
        SQLFile(
            "sessions_app",
            "0014_app_lock_sessions",
            back="DROP FUNCTION app_lock_sessions(uuid, jsonb)",
        ),
        SQLFile("sessions_app", "0014_app_open_turns", back="DROP FUNCTION app_open_turns(jsonb)"),
        SQLFile(
            "sessions_app",
            "0014_app_count_usage",
            back="DROP FUNCTION app_count_usage(uuid, uuid, date, jsonb)",
        ),
        SQLFile("sessions_app", "0014_app_count_turn", before="0012_app_count_turn"),
        SQLFile(
            "sessions_app", "0014_app_settle_turns", back="DROP FUNCTION app_settle_turns(jsonb)"
        ),
    ]
