from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Date entries by the clock, so that they read in order, and name members by their person.

    The way back needs no step: 0007 makes the same function today, and its way back drops it.
    """

    dependencies = [("accounts", "0010_limits_together")]

    operations = [
        SQLFile("accounts", "0011_app_record_change"),
    ]
