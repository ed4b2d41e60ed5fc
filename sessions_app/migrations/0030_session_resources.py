from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Sessions have a title and can be closed; the audit log says who did so.

    A turn leaves the trigger's columns alone, so it costs nothing there.
    """

    dependencies = [("sessions_app", "0029_account_in_keys")]

    operations = [
        migrations.AddField(
            model_name="session",
            name="title",
            field=models.CharField(blank=True, editable=False, max_length=200, null=True),
        ),
        migrations.AddField(
            model_name="session",
            name="closed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        SQLFile("sessions_app", "0030_app_open_turns", before="0028_app_open_turns"),
        SQLFile("sessions_app", "0030_triggers", before="0030_triggers_back"),
    ]
