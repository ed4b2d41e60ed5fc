import django.db.models.deletion
import django.db.models.functions.datetime
import salient.database.constraints
import salient.ids
from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """What processes tell each other about running turns: their events, and who cancelled them."""

    dependencies = [
        ("accounts", "0006_webhooks_isolation"),
        ("sessions_app", "0008_webhook_events"),
    ]

    operations = [
        migrations.CreateModel(
            name="TurnCancellation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "llm_request",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="+",
                        to="sessions_app.llmrequest",
                    ),
                ),
            ],
            options={
                "db_table": "turn_cancellations",
                "indexes": [models.Index(fields=["account"], name="ix_turn_cancellations_account")],
                "constraints": [
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account", "llm_request"),
                        name="fk_turn_cancellations_llm_request_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="sessions_app.LLMRequest",
                        to_fields=("account", "id"),
                    ),
                    models.UniqueConstraint(
                        fields=("llm_request", "account"), name="uq_turn_cancellations_turn"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TurnEventBatch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("first_number", models.IntegerField()),
                ("events", models.JSONField()),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "llm_request",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="event_batches",
                        to="sessions_app.llmrequest",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "turn event batches",
                "db_table": "turn_event_batches",
                "ordering": ["first_number"],
                "indexes": [
                    models.Index(fields=["account"], name="ix_turn_event_batches_account"),
                    models.Index(fields=["created_at"], name="ix_turn_event_batches_time"),
                ],
                "constraints": [
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account", "llm_request"),
                        name="fk_turn_event_batches_llm_request_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="sessions_app.LLMRequest",
                        to_fields=("account", "id"),
                    ),
                    models.UniqueConstraint(
                        fields=("llm_request", "account", "first_number"),
                        name="uq_turn_event_batches_first_number",
                    ),
                ],
            },
        ),
        SQLFile("sessions_app", "0009_keys"),
        SQLFile("sessions_app", "0009_isolation", before="0009_isolation_back"),
        SQLFile(
            "sessions_app",
            "0009_app_store_turn_events",
            back="DROP FUNCTION app_store_turn_events(uuid, jsonb)",
        ),
    ]
