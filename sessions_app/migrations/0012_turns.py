from django.db import migrations

from sessions_app.turn_functions import COUNT, OPEN, SETTLE


class Migration(migrations.Migration):
    """Open a turn in one statement, and settle it in one."""

    dependencies = [("sessions_app", "0011_usage"), ("accounts", "0005_limits")]

    operations = [
        # Each turn writes a row of it: as accounts' 0008_hot_rows.
        migrations.RunSQL(
            "ALTER TABLE usage_days SET (fillfactor = 50)",
            "ALTER TABLE usage_days RESET (fillfactor)",
        ),
        migrations.RunSQL(OPEN, "DROP FUNCTION app_open_turn(jsonb)"),
        migrations.RunSQL(COUNT, "DROP FUNCTION app_count_turn(uuid, uuid)"),
        migrations.RunSQL(SETTLE, "DROP FUNCTION app_settle_turn(jsonb)"),
    ]
