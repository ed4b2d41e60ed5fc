from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Sessions have a title and can be closed; the audit log says who did so.

    A turn leaves the trigger's columns alone, so it costs nothing there.
    """

    dependencies = [("sessions_app", "0005_client_tools")]

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
        SQLFile("sessions_app", "0006_app_open_turns", before="0005_app_open_turns"),
        SQLFile("sessions_app", "0006_triggers", before="0006_triggers_back"),
    ]
