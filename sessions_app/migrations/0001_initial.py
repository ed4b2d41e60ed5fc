import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import F


def session_key() -> models.ForeignKey:
    return models.ForeignKey(
        "sessions_app.session", models.DO_NOTHING, db_constraint=False, db_index=False
    )


def session_foreign_key(table: str) -> migrations.RunSQL:
    """The key as SQLAlchemy made it: PostgreSQL's default name, no ON DELETE."""
    name = f"{table}_session_id_fkey"
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (session_id) REFERENCES sessions (id)",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


class Migration(migrations.Migration):
    """The tables as Alembic left them at revision 4360c1de944b.

    `migrate --fake-initial` adopts a database that has them; a new one gets them here.
    """

    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Session",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("session_key", models.CharField(max_length=255)),
                ("email", models.CharField(max_length=255, null=True)),
                ("is_anonymous", models.BooleanField()),
                ("created_at", models.DateTimeField()),
                ("last_activity_at", models.DateTimeField()),
                ("meta", models.JSONField(null=True)),
            ],
            options={
                "db_table": "sessions",
                "indexes": [models.Index(fields=["email"], name="ix_sessions_email")],
                "constraints": [
                    models.UniqueConstraint(F("session_key"), name="ix_sessions_session_key"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("session", session_key()),
                ("role", models.CharField(max_length=20)),
                ("content", models.TextField()),
                ("meta", models.JSONField(null=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "messages",
                "indexes": [models.Index(fields=["session"], name="ix_messages_session_id")],
            },
        ),
        migrations.CreateModel(
            name="LLMRequest",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("session", session_key()),
                ("provider", models.CharField(max_length=50)),
                ("model", models.CharField(max_length=100)),
                ("request_body", models.JSONField(null=True)),
                ("response_body", models.JSONField(null=True)),
                ("prompt_tokens", models.IntegerField(null=True)),
                ("completion_tokens", models.IntegerField(null=True)),
                ("total_tokens", models.IntegerField(null=True)),
                (
                    "unit_cost_prompt",
                    models.DecimalField(max_digits=10, decimal_places=6, null=True),
                ),
                (
                    "unit_cost_completion",
                    models.DecimalField(max_digits=10, decimal_places=6, null=True),
                ),
                ("computed_cost", models.DecimalField(max_digits=10, decimal_places=6, null=True)),
                ("latency_ms", models.IntegerField(null=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "llm_requests",
                "indexes": [models.Index(fields=["session"], name="ix_llm_requests_session_id")],
            },
        ),
        migrations.CreateModel(
            name="Profile",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("session", session_key()),
                ("customer_name", models.CharField(max_length=255, null=True)),
                ("phone", models.CharField(max_length=50, null=True)),
                ("email", models.CharField(max_length=255, null=True)),
                ("address_street", models.CharField(max_length=500, null=True)),
                ("address_city", models.CharField(max_length=100, null=True)),
                ("address_state", models.CharField(max_length=50, null=True)),
                ("address_zip", models.CharField(max_length=20, null=True)),
                (
                    "products_of_interest",
                    django.contrib.postgres.fields.ArrayField(models.CharField(), null=True),
                ),
                (
                    "services_of_interest",
                    django.contrib.postgres.fields.ArrayField(models.CharField(), null=True),
                ),
                ("preferences", models.JSONField(null=True)),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "profiles",
                "indexes": [models.Index(fields=["email"], name="ix_profiles_email")],
                "constraints": [
                    models.UniqueConstraint(F("session"), name="ix_profiles_session_id"),
                ],
            },
        ),
        session_foreign_key("messages"),
        session_foreign_key("llm_requests"),
        session_foreign_key("profiles"),
    ]
