import django.db.models.deletion
import salient.database.constraints
from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """How often callers were refused, and why, as sums of a day; and when a key was used first."""

    dependencies = [("accounts", "0009_lean_limits")]

    operations = [
        migrations.CreateModel(
            name="RefusalDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "day",
                        "code",
                        "caller",
                        "key_id",
                        "agent",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                ("code", models.CharField(max_length=50)),
                ("status", models.SmallIntegerField()),
                ("caller", models.CharField(max_length=15)),
                ("key_id", models.CharField(db_default="", max_length=12)),
                ("agent", models.CharField(db_default="", max_length=63)),
                ("times", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
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
                "db_table": "refusal_days",
                "indexes": [models.Index(fields=["day"], name="ix_refusal_days_day")],
                "constraints": [
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account",),
                        name="fk_refusal_days_account_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="accounts.Account",
                        to_fields=("id",),
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("times__gt", 0)), name="ck_refusal_days_times"
                    ),
                ],
            },
        ),
        migrations.AddField(
            "apikey",
            "first_used_at",
            models.DateTimeField(blank=True, editable=False, null=True),
        ),
        SQLFile("accounts", "0010_isolation", before="0010_isolation_back"),
    ]
