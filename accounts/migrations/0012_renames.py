import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import salient.database.constraints
from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """The slugs that renamed accounts had, and where their configuration files lie."""

    dependencies = [("accounts", "0011_suspensions")]

    operations = [
        migrations.AddField(
            "account",
            "config_folder",
            models.CharField(blank=True, db_default="", default="", editable=False, max_length=63),
        ),
        migrations.CreateModel(
            name="FormerSlug",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "slug",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("slug", models.CharField(max_length=63)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("expires_at", models.DateTimeField()),
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
                "db_table": "former_slugs",
                "indexes": [models.Index(fields=["slug"], name="ix_former_slugs_slug")],
                "constraints": [
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account",),
                        name="fk_former_slugs_account_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="accounts.Account",
                        to_fields=("id",),
                    ),
                ],
            },
        ),
        SQLFile("accounts", "0012_app_guard_slug", back="DROP FUNCTION app_guard_slug()"),
        SQLFile("accounts", "0012_isolation", before="0012_isolation_back"),
    ]
