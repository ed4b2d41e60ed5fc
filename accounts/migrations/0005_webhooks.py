import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import salient.database.constraints
import salient.ids
from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Where accounts are told what has happened, and what was sent there."""

    dependencies = [
        ("accounts", "0004_staff_grants"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("url", models.CharField(max_length=500)),
                ("description", models.CharField(blank=True, db_default="", max_length=200)),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("turn.finished", "turn.finished: an answer ended, well or not"),
                                ("feedback.created", "feedback.created: an answer was rated"),
                                (
                                    "budget.alert",
                                    "budget.alert: a budget passed one of its percentages",
                                ),
                                (
                                    "session.closed",
                                    "session.closed: a session was closed or deleted",
                                ),
                                ("key.expiring", "key.expiring: an API key ends within a week"),
                            ],
                            max_length=32,
                        )
                    ),
                ),
                ("secret", models.TextField(editable=False)),
                ("previous_secret", models.TextField(blank=True, db_default="", editable=False)),
                (
                    "previous_secret_expires_at",
                    models.DateTimeField(blank=True, editable=False, null=True),
                ),
                ("is_enabled", models.BooleanField(db_default=True, default=True)),
                (
                    "disabled_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("by_hand", "by hand"),
                            ("gone", "gone: it answered 410"),
                            ("failing", "failing: nothing was delivered for days"),
                        ],
                        db_default="",
                        editable=False,
                        max_length=7,
                    ),
                ),
                ("failing_since", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        auto_now=True, db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="webhook_endpoints",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "db_table": "webhook_endpoints",
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("message_id", models.CharField(editable=False, max_length=64)),
                ("event", models.CharField(editable=False, max_length=32)),
                ("data", models.JSONField(editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                        ],
                        db_default="pending",
                        editable=False,
                        max_length=9,
                    ),
                ),
                ("tries", models.IntegerField(db_default=0, editable=False)),
                (
                    "next_try_at",
                    models.DateTimeField(
                        blank=True,
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        null=True,
                    ),
                ),
                ("last_tried_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("status", models.IntegerField(blank=True, editable=False, null=True)),
                (
                    "error",
                    models.CharField(blank=True, db_default="", editable=False, max_length=32),
                ),
                ("duration_ms", models.IntegerField(blank=True, editable=False, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("delivered_at", models.DateTimeField(blank=True, editable=False, null=True)),
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
                    "endpoint",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="deliveries",
                        to="accounts.webhookendpoint",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "webhook deliveries",
                "db_table": "webhook_deliveries",
                "ordering": ["-created_at", "-id"],
            },
        ),
        # As every table of accounts: (id, account_id).
        SQLFile("accounts", "0005_keys"),
        migrations.AddIndex(
            model_name="webhookendpoint",
            index=models.Index(
                condition=models.Q(("is_enabled", True)),
                fields=["account"],
                name="ix_webhook_endpoints_enabled",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookendpoint",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account",),
                name="fk_webhook_endpoints_account_id",
                on_delete="CASCADE",
                on_update="NO ACTION",
                to="accounts.Account",
                to_fields=("id",),
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookendpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "events__contained_by",
                        [
                            "turn.finished",
                            "feedback.created",
                            "budget.alert",
                            "session.closed",
                            "key.expiring",
                        ],
                    )
                ),
                name="ck_webhook_endpoints_events",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookendpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("disabled_reason", ""), ("is_enabled", True)),
                    models.Q(
                        ("disabled_reason__in", ["by_hand", "gone", "failing"]),
                        ("is_enabled", False),
                    ),
                    _connector="OR",
                ),
                name="ck_webhook_endpoints_disabled",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("state", "pending")),
                fields=["next_try_at"],
                name="ix_webhook_deliveries_due",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                fields=["account", "endpoint", "-created_at", "-id"],
                name="ix_webhook_deliveries_log",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["-created_at", "-id"], name="ix_webhook_deliveries_time"),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account",),
                name="fk_webhook_deliveries_account_id",
                on_delete="CASCADE",
                on_update="NO ACTION",
                to="accounts.Account",
                to_fields=("id",),
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "endpoint"),
                name="fk_webhook_deliveries_endpoint_id",
                on_delete="CASCADE",
                on_update="NO ACTION",
                to="accounts.WebhookEndpoint",
                to_fields=("account", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.UniqueConstraint(
                fields=("endpoint", "message_id", "account"), name="uq_webhook_deliveries_message"
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["pending", "delivered", "failed"])),
                name="ck_webhook_deliveries_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "pending"), _negated=True),
                    ("next_try_at__isnull", False),
                    _connector="OR",
                ),
                name="ck_webhook_deliveries_next_try",
            ),
        ),
    ]
