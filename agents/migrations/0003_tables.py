import accounts.models.slugs
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import salient.database.constraints
import salient.ids
import salient.api.origins
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_tables"),
        ("agents", "0002_default_instance"),
    ]

    operations = [
        migrations.AddField(
            model_name="agentinstance",
            name="allowed_origins",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    max_length=255, validators=[salient.api.origins.validate_origin]
                ),
                blank=True,
                default=list,
                help_text="Sites whose pages may call this agent from a browser: https://shop.example",
            ),
        ),
        migrations.CreateModel(
            name="ProviderConnection",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=39, validators=[accounts.models.slugs.validate_slug]
                    ),
                ),
                ("base_url", models.URLField(max_length=500)),
                ("secret", models.TextField(blank=True, db_default="", editable=False)),
                (
                    "secret_host",
                    models.CharField(blank=True, db_default="", editable=False, max_length=255),
                ),
                (
                    "secret_hint",
                    models.CharField(blank=True, db_default="", editable=False, max_length=8),
                ),
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
                        related_name="provider_connections",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "db_table": "provider_connections",
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "name"), name="uq_provider_connections_account_name"
                    ),
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account",),
                        name="fk_provider_connections_account_id",
                        on_delete="CASCADE",
                        to="accounts.Account",
                        to_fields=("id",),
                    ),
                ],
            },
        ),
    ]
