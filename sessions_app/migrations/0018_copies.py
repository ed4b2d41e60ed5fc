from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Sessions know whose words they say again, and the audit log who changes profiles."""

    dependencies = [
        ("sessions_app", "0017_instance_activity"),
        ("accounts", "0012_key_offers"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="copied_from",
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        SQLFile("sessions_app", "0018_triggers", before="0018_triggers_back"),
    ]
