from django.db import migrations

FORMER = [
    "app_open_turn(jsonb)",
    "app_settle_turn(jsonb)",
    "app_open_turns(jsonb)",
    "app_settle_turns(jsonb)",
    "app_lock_sessions(uuid, jsonb)",
    "app_count_usage(uuid, uuid, date, jsonb)",
    "app_take_limits(uuid, uuid, text[], text[], integer[], integer, boolean, numeric, timestamptz)",
    "app_release_limits(uuid, uuid, numeric, numeric, timestamptz)",
]


class Migration(migrations.Migration):
    """Drop what only servers from before the first release called; a new database has none."""

    dependencies = [("sessions_app", "0003_keys_and_indexes")]

    operations = [
        migrations.RunSQL(f"DROP FUNCTION IF EXISTS {function}", migrations.RunSQL.noop)
        for function in FORMER
    ]
