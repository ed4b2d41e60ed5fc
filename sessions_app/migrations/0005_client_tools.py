from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Keep calls and results of client tools with messages, and turns of which no text is kept.

    Servers from before do not send the new fields, and their turns are opened as they were.
    """

    dependencies = [("sessions_app", "0004_drop_former_functions")]

    operations = [
        SQLFile("sessions_app", "0005_app_open_turns", before="0002_app_open_turns"),
        SQLFile("sessions_app", "0005_app_settle_turns", before="0002_app_settle_turns"),
    ]
