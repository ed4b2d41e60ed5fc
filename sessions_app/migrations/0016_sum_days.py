from django.db import migrations

from sessions_app.usage.totals import EVERY_DAY_OVER, INSERT


class Migration(migrations.Migration):
    """Sum the days that are over, so that no page has to do it for all of them.

    The way back needs no step: 0015's way back drops the sums.
    """

    dependencies = [("sessions_app", "0015_usage_totals")]
    operations = [
        migrations.RunSQL(
            ["DELETE FROM usage_totals", INSERT.format(which=EVERY_DAY_OVER)],
            migrations.RunSQL.noop,
            elidable=True,
        ),
    ]
