import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import salient.database.constraints
import salient.ids
from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """The receipts of erased persons."""

    dependencies = [
        ("accounts", "0009_lean_limits"),
        ("sessions_app", "0012_open_feedback"),
    ]

    operations = [
        migrations.CreateModel(
            name="Erasure",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("email", "E-mail address"),
                            ("end_user", "End user (the account's own id)"),
                            ("session", "Visitor (the id of one of their sessions)"),
                        ],
                        editable=False,
                        max_length=8,
                    ),
                ),
                ("person_hash", models.CharField(editable=False, max_length=64)),
                ("reason", models.CharField(editable=False, max_length=500)),
                ("actor", models.CharField(editable=False, max_length=255)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("finished_at", models.DateTimeField(editable=False, null=True)),
                ("erased", models.JSONField(default=dict, editable=False)),
                ("masked", models.JSONField(default=dict, editable=False)),
                ("remaining", models.JSONField(default=dict, editable=False)),
                ("kept", models.JSONField(default=dict, editable=False)),
                ("position", models.JSONField(editable=False, null=True)),
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
            ],
            options={
                "verbose_name": "erased person",
                "db_table": "erasures",
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(
                        fields=["account", "-created_at", "-id"], name="ix_erasures_account"
                    ),
                    models.Index(fields=["-created_at", "-id"], name="ix_erasures_time"),
                ],
                "constraints": [
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account",),
                        name="fk_erasures_account_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="accounts.Account",
                        to_fields=("id",),
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["email", "end_user", "session"])),
                        name="ck_erasures_kind",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("finished_at", None)),
                        fields=("account", "person_hash"),
                        name="uq_erasures_open",
                    ),
                ],
            },
        ),
        SQLFile("sessions_app", "0013_isolation", before="0013_isolation_back"),
    ]
