import django.db.models.functions.datetime
from django.db import migrations, models

import salient.ids
from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Let each turn know the server process that works on it, and each process show that it lives.

    A server from before this migration opens turns without a process: their age tells, as before.
    """

    dependencies = [("sessions_app", "0021_turns_in_sets")]

    operations = [
        migrations.CreateModel(
            name="ServerProcess",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("host", models.CharField(blank=True, db_default="", max_length=255)),
                ("pid", models.IntegerField()),
                ("pid_started", models.BigIntegerField(db_default=0)),
                (
                    "started_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "seen_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
            options={"db_table": "server_processes"},
        ),
        migrations.AddField(
            model_name="llmrequest",
            name="server_process_id",
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        SQLFile("sessions_app", "0022_app_open_turns", before="0021_app_open_turns"),
    ]
