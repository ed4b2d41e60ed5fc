from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.slugs import validate_slug
from salient.api.origins import validate_origin
from salient.database.constraints import CompositeForeignKey
from salient.database.sql_files import SQLFile
from salient.ids import uuid7


def uuid_key() -> models.UUIDField:
    return models.UUIDField(default=uuid7, editable=False, primary_key=True, serialize=False)


def created() -> models.DateTimeField:
    return models.DateTimeField(db_default=Now(), editable=False)


def updated() -> models.DateTimeField:
    return models.DateTimeField(auto_now=True, db_default=Now())


def key(to: str, on_delete: Any, related_name: str, **options: Any) -> models.ForeignKey:
    """Without a constraint of its own: a CompositeForeignKey holds the account as well."""
    return models.ForeignKey(
        to, on_delete, related_name=related_name, db_constraint=False, db_index=False, **options
    )


def account_in_primary_key(table: str) -> migrations.RunSQL:
    """For Django the key stays `id`; in the database it is (id, account_id)."""
    change = (
        f"DROP CONSTRAINT {table}_pkey, ADD CONSTRAINT {table}_pkey PRIMARY KEY (id, account_id)"
    )
    return migrations.RunSQL(f"ALTER TABLE {table} {change}", migrations.RunSQL.noop)


def make_default_instance(apps: Any, schema_editor: Any) -> None:
    """Make the agent that every conversation from before tenancy was held with."""
    account = apps.get_model("accounts", "Account").objects.get(slug="default")
    apps.get_model("agents", "AgentInstance").objects.create(
        account_id=account.pk,
        instance_slug="simple-chat",
        agent_type="simple_chat",
        display_name="Simple Chat",
    )


class Migration(migrations.Migration):
    """Agents, their configuration and connections; the agent `simple-chat` of the old rows."""

    initial = True
    replaces = [
        ("agents", "0001_initial"),
        ("agents", "0002_default_instance"),
        ("agents", "0003_tables"),
        ("agents", "0004_isolation"),
        ("agents", "0005_publications"),
        ("agents", "0006_publications_isolation"),
        ("agents", "0007_drafts"),
        ("agents", "0008_account_in_keys"),
    ]
    dependencies = [("accounts", "0001_accounts")]

    operations = [
        migrations.CreateModel(
            name="AgentInstance",
            fields=[
                ("id", uuid_key()),
                ("instance_slug", models.CharField(max_length=63, validators=[validate_slug])),
                ("agent_type", models.CharField(default="simple_chat", max_length=50)),
                ("display_name", models.CharField(max_length=255)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("inactive", "Inactive"),
                            ("archived", "Archived"),
                        ],
                        db_default="active",
                        default="active",
                        max_length=8,
                    ),
                ),
                ("created_at", created()),
                ("updated_at", updated()),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("account", key("accounts.account", models.DB_CASCADE, "agent_instances")),
                (
                    "allowed_origins",
                    ArrayField(
                        base_field=models.CharField(max_length=255, validators=[validate_origin]),
                        blank=True,
                        default=list,
                        help_text="Sites whose pages may call this agent from a browser: https://shop.example",
                    ),
                ),
                ("override", models.JSONField(blank=True, editable=False, null=True)),
            ],
            options={
                "db_table": "agent_instances",
                "ordering": ["account_id", "instance_slug"],
                "constraints": [
                    models.UniqueConstraint(
                        name="uq_agent_instances_account_slug", fields=("account", "instance_slug")
                    ),
                    models.UniqueConstraint(
                        name="uq_agent_instances_account_id_slug",
                        fields=("account", "id", "instance_slug"),
                    ),
                    CompositeForeignKey(
                        name="fk_agent_instances_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_agent_instances_slug",
                        condition=Q(instance_slug__regex="^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$"),
                    ),
                    models.CheckConstraint(
                        name="ck_agent_instances_status",
                        condition=Q(status__in=["active", "inactive", "archived"]),
                    ),
                ],
            },
        ),
        account_in_primary_key("agent_instances"),
        migrations.CreateModel(
            name="ConfigVersion",
            fields=[
                ("id", uuid_key()),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("content", models.JSONField(editable=False)),
                ("created_at", created()),
                (
                    "last_served_at",
                    models.DateTimeField(db_default=Now(), editable=False, null=True),
                ),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
                (
                    "agent_instance",
                    key("agents.agentinstance", models.DB_CASCADE, "config_versions"),
                ),
            ],
            options={
                "db_table": "config_versions",
                "ordering": ["-created_at"],
                "constraints": [
                    models.UniqueConstraint(
                        name="uq_config_versions_instance_digest",
                        fields=("agent_instance", "digest", "account"),
                    ),
                    models.UniqueConstraint(
                        name="uq_config_versions_instance_id",
                        fields=("account", "agent_instance", "id"),
                    ),
                    CompositeForeignKey(
                        name="fk_config_versions_agent_instance_id",
                        fields=("account", "agent_instance"),
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                ],
            },
        ),
        account_in_primary_key("config_versions"),
        migrations.AddIndex(
            "configversion",
            models.Index(
                name="ix_config_versions_last_served", fields=["agent_instance", "-last_served_at"]
            ),
        ),
        migrations.CreateModel(
            name="ProviderConnection",
            fields=[
                ("id", uuid_key()),
                ("name", models.CharField(max_length=39, validators=[validate_slug])),
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
                ("created_at", created()),
                ("updated_at", updated()),
                ("account", key("accounts.account", models.DB_CASCADE, "provider_connections")),
            ],
            options={
                "db_table": "provider_connections",
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        name="uq_provider_connections_account_name", fields=("account", "name")
                    ),
                    CompositeForeignKey(
                        name="fk_provider_connections_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                ],
            },
        ),
        account_in_primary_key("provider_connections"),
        migrations.CreateModel(
            name="ConfigDraft",
            fields=[
                ("id", uuid_key()),
                ("text", models.TextField(blank=True)),
                ("author_name", models.CharField(db_default="", editable=False, max_length=255)),
                ("created_at", created()),
                ("updated_at", updated()),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
                ("agent_instance", key("agents.agentinstance", models.DB_CASCADE, "config_drafts")),
                (
                    "author",
                    key(settings.AUTH_USER_MODEL, models.DO_NOTHING, "+", blank=True, null=True),
                ),
                ("base", models.IntegerField(db_default=0, default=0)),
            ],
            options={
                "db_table": "config_drafts",
                "ordering": ["-updated_at"],
                "constraints": [
                    models.UniqueConstraint(
                        name="uq_config_drafts_instance", fields=("agent_instance", "account")
                    ),
                    CompositeForeignKey(
                        name="fk_config_drafts_agent_instance_id",
                        fields=("account", "agent_instance"),
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_config_drafts_author_id",
                        fields=("author",),
                        to="accounts.User",
                        to_fields=("id",),
                        on_delete="SET NULL",
                        on_update="NO ACTION",
                    ),
                ],
            },
        ),
        account_in_primary_key("config_drafts"),
        migrations.AddIndex(
            "configdraft",
            models.Index(
                name="ix_config_drafts_author", condition=Q(author__isnull=False), fields=["author"]
            ),
        ),
        migrations.CreateModel(
            name="ConfigPublication",
            fields=[
                ("id", uuid_key()),
                ("number", models.IntegerField(editable=False)),
                ("text", models.TextField(blank=True, editable=False)),
                ("override", models.JSONField(editable=False, null=True)),
                ("note", models.TextField(editable=False)),
                ("restores", models.IntegerField(editable=False, null=True)),
                ("gate_reason", models.TextField(db_default="", editable=False)),
                ("author_name", models.CharField(db_default="", editable=False, max_length=255)),
                ("created_at", created()),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
                (
                    "agent_instance",
                    key("agents.agentinstance", models.DB_CASCADE, "config_publications"),
                ),
                (
                    "author",
                    key(settings.AUTH_USER_MODEL, models.DO_NOTHING, "+", blank=True, null=True),
                ),
                ("config_version", key("agents.configversion", models.DO_NOTHING, "+")),
            ],
            options={
                "db_table": "config_publications",
                "ordering": ["-created_at"],
                "constraints": [
                    models.UniqueConstraint(
                        name="uq_config_publications_number",
                        fields=("agent_instance", "number", "account"),
                    ),
                    CompositeForeignKey(
                        name="fk_config_publications_agent_instance_id",
                        fields=("account", "agent_instance"),
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_config_publications_config_version_id",
                        fields=("account", "agent_instance", "config_version"),
                        to="agents.ConfigVersion",
                        to_fields=("account", "agent_instance", "id"),
                        on_delete="NO ACTION",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_config_publications_author_id",
                        fields=("author",),
                        to="accounts.User",
                        to_fields=("id",),
                        on_delete="SET NULL",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_config_publications_note", condition=Q(note__regex="\\S")
                    ),
                    models.CheckConstraint(
                        name="ck_config_publications_number", condition=Q(number__gte=1)
                    ),
                ],
            },
        ),
        account_in_primary_key("config_publications"),
        migrations.AddIndex(
            "configpublication",
            models.Index(
                name="ix_config_publications_author",
                condition=Q(author__isnull=False),
                fields=["author"],
            ),
        ),
        migrations.AddIndex(
            "configpublication",
            models.Index(name="ix_config_publications_version", fields=["config_version"]),
        ),
        migrations.RunPython(make_default_instance, migrations.RunPython.noop),
        SQLFile("agents", "0001_isolation", before="0001_isolation_back"),
        SQLFile("agents", "0001_triggers", before="0001_triggers_back"),
    ]
