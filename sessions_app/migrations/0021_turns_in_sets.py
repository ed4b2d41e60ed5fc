from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Write what several turns write to a table by one statement, and count them at once.

    The functions keep what they take and give, so servers that still run go on with these. A call
    that is under way ends with what it began with: app_lock_sessions and app_count_usage stay.
    """

    dependencies = [("sessions_app", "0020_mark_copies")]

    operations = [
        SQLFile(
            "sessions_app",
            "0021_app_count_turns",
            back="DROP FUNCTION app_count_turns(uuid, uuid, date, jsonb)",
        ),
        SQLFile("sessions_app", "0021_app_count_turn", before="0014_app_count_turn"),
        SQLFile("sessions_app", "0021_app_open_turns", before="0014_app_open_turns"),
        SQLFile("sessions_app", "0021_app_settle_turns", before="0014_app_settle_turns"),
    ]
