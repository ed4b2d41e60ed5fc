from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Sum the days that are over, so that no page has to do it for all of them.

    The way back needs no step: 0015's way back drops the sums.
    """

    dependencies = [("sessions_app", "0015_usage_totals")]
    operations = [
        SQLFile("sessions_app", "0016_totals", elidable=True),
    ]
