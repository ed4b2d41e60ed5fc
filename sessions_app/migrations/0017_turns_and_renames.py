from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Let a turn and a rename wait for each other before either locks a row."""

    dependencies = [("sessions_app", "0016_addresses")]

    operations = [
        SQLFile("sessions_app", "0017_app_open_turns", before="0006_app_open_turns"),
        SQLFile("sessions_app", "0017_app_settle_turns", before="0010_app_settle_turns"),
    ]
