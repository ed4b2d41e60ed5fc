from importlib import import_module

import django.db.models.functions.datetime
from django.db import migrations, models

import salient.ids

BEFORE = import_module("sessions_app.migrations.0021_turns_in_sets")

# Each request knows the process that works on it: three lines of its INSERT.
_MORE = {
    "idempotency_hash, is_test, reserved_cost)": (
        "idempotency_hash, is_test, server_process_id,\n            reserved_cost)"
    ),
    "is_test, reserved[ordinality]": "is_test, server_process_id, reserved[ordinality]",
    "idempotency_hash text, is_test boolean\n": (
        "idempotency_hash text, is_test boolean, server_process_id uuid\n"
    ),
}


def with_process(function: str) -> str:
    """Let the function that opens turns store their process."""
    for before, after in _MORE.items():
        start, found, rest = function.partition(before)
        if not found:
            raise LookupError(before)
        function = start + after + rest
    return function


OPEN = with_process(BEFORE.OPEN)


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
        migrations.RunSQL(OPEN, BEFORE.OPEN),
    ]
