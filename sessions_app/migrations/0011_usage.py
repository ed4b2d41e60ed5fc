from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Count what happened before there were counters.

    The way back needs no step: what was counted stays true, and 0008's way back drops it.
    """

    dependencies = [("sessions_app", "0010_message_text")]
    operations = [
        SQLFile("sessions_app", "0011_counts", elidable=True),
    ]
