import django.db.models.deletion
import django.db.models.functions.datetime
import salient.database.constraints
import salient.ids
from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """How long data are kept, what is held, and the receipts of erased accounts."""

    dependencies = [
        ("accounts", "0012_renames"),
        ("agents", "0003_renames"),
        ("sessions_app", "0013_erasures"),
    ]

    operations = [
        migrations.AddField(
            model_name="erasure",
            name="signature",
            field=models.CharField(db_default="", editable=False, max_length=64),
        ),
        migrations.CreateModel(
            name="AccountErasure",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("erased_id", models.UUIDField(editable=False)),
                ("slug", models.CharField(editable=False, max_length=63)),
                ("reason", models.CharField(editable=False, max_length=500)),
                ("actor", models.CharField(editable=False, max_length=255)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("step", models.CharField(db_default="", editable=False, max_length=63)),
                ("rows", models.JSONField(default=dict, editable=False)),
                ("sessions_erased", models.IntegerField(db_default=0, editable=False)),
                ("files", models.JSONField(default=list, editable=False)),
                ("remaining", models.JSONField(default=dict, editable=False)),
                ("error", models.CharField(db_default="", editable=False, max_length=500)),
                ("finished_at", models.DateTimeField(editable=False, null=True)),
                ("signature", models.CharField(db_default="", editable=False, max_length=64)),
            ],
            options={
                "verbose_name": "erased account",
                "db_table": "account_erasures",
                "ordering": ["-created_at"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("erased_id",), name="uq_account_erasures_erased_id"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Retention",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.account",
                    ),
                ),
                (
                    "texts_days",
                    models.IntegerField(blank=True, null=True, verbose_name="days of texts"),
                ),
                (
                    "figures_days",
                    models.IntegerField(blank=True, null=True, verbose_name="days of figures"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        auto_now=True, db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
                ("finished_at", models.DateTimeField(editable=False, null=True)),
                ("erased_sessions", models.IntegerField(db_default=0, editable=False)),
                ("erased_figures", models.IntegerField(db_default=0, editable=False)),
                ("held_sessions", models.IntegerField(db_default=0, editable=False)),
            ],
            options={
                "verbose_name": "retention",
                "db_table": "retentions",
                "constraints": [
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account",),
                        name="fk_retentions_account_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="accounts.Account",
                        to_fields=("id",),
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("texts_days", None), ("texts_days__gte", 1), _connector="OR"
                        ),
                        name="ck_retentions_texts_days",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("figures_days", None), ("figures_days__gte", 62), _connector="OR"
                        ),
                        name="ck_retentions_figures_days",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("figures_days", None),
                            models.Q(
                                ("texts_days__isnull", False),
                                ("texts_days__lte", models.F("figures_days")),
                            ),
                            _connector="OR",
                        ),
                        name="ck_retentions_order",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LegalHold",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("reason", models.CharField(editable=False, max_length=500)),
                ("actor", models.CharField(editable=False, max_length=255)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("released_at", models.DateTimeField(editable=False, null=True)),
                ("released_by", models.CharField(db_default="", editable=False, max_length=255)),
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
                    "agent_instance",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="+",
                        to="agents.agentinstance",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="+",
                        to="sessions_app.session",
                    ),
                ),
            ],
            options={
                "db_table": "legal_holds",
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("released_at", None)),
                        fields=["account", "-created_at", "-id"],
                        name="ix_legal_holds_account",
                    )
                ],
                "constraints": [
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account",),
                        name="fk_legal_holds_account_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="accounts.Account",
                        to_fields=("id",),
                    ),
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account", "agent_instance"),
                        name="fk_legal_holds_agent_instance_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                    ),
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account", "session"),
                        name="fk_legal_holds_session_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="sessions_app.Session",
                        to_fields=("account", "id"),
                    ),
                ],
            },
        ),
        SQLFile("sessions_app", "0014_isolation", before="0014_isolation_back"),
    ]
