from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Open and settle turns by functions that take the account as an argument.

    Servers from before call the functions of one argument, which pass everything on.
    """

    dependencies = [("sessions_app", "0027_session_keys"), ("accounts", "0016_function_texts")]

    operations = [
        SQLFile(
            "sessions_app", "0028_app_open_turns", back="DROP FUNCTION app_open_turns(uuid, jsonb)"
        ),
        SQLFile(
            "sessions_app",
            "0028_app_settle_turns",
            back="DROP FUNCTION app_settle_turns(uuid, jsonb)",
        ),
        SQLFile("sessions_app", "0028_app_count_turns", before="0023_app_count_turns"),
        SQLFile("sessions_app", "0028_app_open_turns_superseded", before="0023_app_open_turns"),
        SQLFile("sessions_app", "0028_app_settle_turns_superseded", before="0023_app_settle_turns"),
        SQLFile("sessions_app", "0028_app_open_turn_superseded", before="0012_app_open_turn"),
        SQLFile("sessions_app", "0028_app_settle_turn_superseded", before="0012_app_settle_turn"),
    ]
