import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import salient.database.constraints
from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """The slugs that renamed agents had, and where their configuration files lie."""

    dependencies = [("accounts", "0012_renames"), ("agents", "0002_suspensions")]

    operations = [
        migrations.AddField(
            "agentinstance",
            "config_folder",
            models.CharField(blank=True, db_default="", default="", editable=False, max_length=127),
        ),
        migrations.CreateModel(
            name="FormerAgentSlug",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "agent_instance_id",
                        "instance_slug",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("instance_slug", models.CharField(max_length=63)),
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
                (
                    "agent_instance",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="+",
                        to="agents.agentinstance",
                    ),
                ),
            ],
            options={
                "db_table": "former_agent_slugs",
                "indexes": [
                    models.Index(
                        fields=["account", "instance_slug"], name="ix_former_agent_slugs_slug"
                    )
                ],
                "constraints": [
                    salient.database.constraints.CompositeForeignKey(
                        fields=("account", "agent_instance"),
                        name="fk_former_agent_slugs_agent_instance_id",
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                    ),
                ],
            },
        ),
        SQLFile("agents", "0003_app_guard_agent_slug", back="DROP FUNCTION app_guard_agent_slug()"),
        SQLFile("agents", "0003_isolation", before="0003_isolation_back"),
    ]
