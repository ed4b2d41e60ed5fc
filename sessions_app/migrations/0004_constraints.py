import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import salient.database.constraints
import salient.ids
from django.conf import settings
from django.db import migrations, models


def drop_baseline_key(table: str) -> migrations.RunSQL:
    name = f"{table}_session_id_fkey"
    return migrations.RunSQL(
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (session_id) REFERENCES sessions (id)",
    )


def widen(*costs: str) -> migrations.RunSQL:
    """Give costs two more digits; on the way back they are rounded to six.

    One statement, for each change of a scale rewrites the table; here, for the rewriting also
    clears away what the backfill left.
    """
    wide = models.DecimalField(blank=True, decimal_places=8, max_digits=12, null=True)

    def retype(kind: str) -> str:
        changes = (f"ALTER COLUMN {cost} TYPE {kind}" for cost in costs)
        return f"ALTER TABLE llm_requests {', '.join(changes)}"

    return migrations.RunSQL(
        retype("numeric(12, 8)"),
        retype("numeric(10, 6)"),
        [migrations.AlterField("llmrequest", cost, wide) for cost in costs],
    )


class Migration(migrations.Migration):
    """Tenancy becomes a rule: no row without an owner, no reference into another account.

    The keys that others refer to come first, then the references.
    """

    dependencies = [
        ("accounts", "0002_default_account"),
        ("agents", "0002_default_instance"),
        ("sessions_app", "0003_backfill"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        drop_baseline_key("messages"),
        drop_baseline_key("llm_requests"),
        drop_baseline_key("profiles"),
        widen("prompt_cost", "completion_cost", "total_cost"),
        migrations.AlterModelOptions(
            name="llmrequest",
            options={"ordering": ["-created_at"], "verbose_name": "LLM request"},
        ),
        migrations.AlterModelOptions(
            name="message",
            options={"ordering": ["created_at", "id"]},
        ),
        migrations.AlterModelOptions(
            name="session",
            options={"ordering": ["-last_activity_at"]},
        ),
        migrations.RemoveIndex(
            model_name="message",
            name="ix_messages_session_id",
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="+",
                to="accounts.account",
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="account_slug",
            field=models.CharField(editable=False, max_length=63),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="agent_instance_slug",
            field=models.CharField(editable=False, max_length=63),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="agent_type",
            field=models.CharField(editable=False, max_length=50),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="completion_status",
            field=models.CharField(
                choices=[
                    ("running", "Running"),
                    ("complete", "Complete"),
                    ("partial", "partial: the model was cut off"),
                    ("error", "Error"),
                    ("cancelled", "cancelled: the client left"),
                ],
                db_default="running",
                max_length=9,
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="completion_tokens",
            field=models.IntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="config_version",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.configversion",
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="cost_source",
            field=models.CharField(
                choices=[
                    ("reported", "reported"),
                    ("genai-prices", "genai-prices"),
                    ("free", "free"),
                    ("mixed", "mixed"),
                    ("unknown", "unknown"),
                ],
                db_default="unknown",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="created_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="id",
            field=models.UUIDField(
                default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="latency_ms",
            field=models.IntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="prompt_tokens",
            field=models.IntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="request_body",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="response_body",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="session",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="llm_requests",
                to="sessions_app.session",
            ),
        ),
        migrations.AlterField(
            model_name="llmrequest",
            name="total_tokens",
            field=models.IntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="message",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="+",
                to="accounts.account",
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="config_version",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.configversion",
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="created_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="id",
            field=models.UUIDField(
                default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="llm_request",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DB_SET_NULL,
                related_name="messages",
                to="sessions_app.llmrequest",
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="meta",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="message",
            name="role",
            field=models.CharField(
                choices=[
                    ("human", "Human"),
                    ("assistant", "Assistant"),
                    ("system", "System"),
                    ("tool", "Tool"),
                    ("developer", "Developer"),
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="session",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="messages",
                to="sessions_app.session",
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="+",
                to="accounts.account",
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="address_city",
            field=models.CharField(blank=True, max_length=100, null=True),
        ),
        migrations.AlterField(
            model_name="profile",
            name="address_state",
            field=models.CharField(blank=True, max_length=50, null=True),
        ),
        migrations.AlterField(
            model_name="profile",
            name="address_street",
            field=models.CharField(blank=True, max_length=500, null=True),
        ),
        migrations.AlterField(
            model_name="profile",
            name="address_zip",
            field=models.CharField(blank=True, max_length=20, null=True),
        ),
        migrations.AlterField(
            model_name="profile",
            name="customer_name",
            field=models.CharField(blank=True, max_length=255, null=True),
        ),
        migrations.AlterField(
            model_name="profile",
            name="email",
            field=models.CharField(blank=True, max_length=255, null=True),
        ),
        migrations.AlterField(
            model_name="profile",
            name="id",
            field=models.UUIDField(
                default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="phone",
            field=models.CharField(blank=True, max_length=50, null=True),
        ),
        migrations.AlterField(
            model_name="profile",
            name="preferences",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="profile",
            name="products_of_interest",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(), blank=True, null=True
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="services_of_interest",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(), blank=True, null=True
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="session",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="profiles",
                to="sessions_app.session",
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="updated_at",
            field=models.DateTimeField(auto_now=True),
        ),
        migrations.AlterField(
            model_name="session",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DB_CASCADE,
                related_name="+",
                to="accounts.account",
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="account_slug",
            field=models.CharField(editable=False, max_length=63),
        ),
        migrations.AlterField(
            model_name="session",
            name="agent_instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="agents.agentinstance",
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="agent_instance_slug",
            field=models.CharField(editable=False, max_length=63),
        ),
        migrations.AlterField(
            model_name="session",
            name="created_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="email",
            field=models.CharField(blank=True, max_length=255, null=True),
        ),
        migrations.AlterField(
            model_name="session",
            name="id",
            field=models.UUIDField(
                default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="is_anonymous",
            field=models.BooleanField(default=True),
        ),
        migrations.AlterField(
            model_name="session",
            name="last_activity_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="meta",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="session",
            name="session_key",
            field=models.CharField(editable=False, max_length=255),
        ),
        migrations.AlterField(
            model_name="session",
            name="updated_at",
            field=models.DateTimeField(
                auto_now=True, db_default=django.db.models.functions.datetime.Now()
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="user",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=models.UniqueConstraint(
                fields=("account", "id"), name="uq_llm_requests_account_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                fields=("account", "id"), name="uq_messages_account_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=models.UniqueConstraint(
                fields=("account", "id"), name="uq_sessions_account_id"
            ),
        ),
        migrations.AddIndex(
            model_name="llmrequest",
            index=models.Index(
                fields=["account", "-created_at", "-id"], name="ix_llm_requests_account_time"
            ),
        ),
        migrations.AddIndex(
            model_name="llmrequest",
            index=models.Index(
                fields=["agent_instance", "-created_at"], name="ix_llm_requests_instance_time"
            ),
        ),
        migrations.AddIndex(
            model_name="llmrequest",
            index=models.Index(
                condition=models.Q(("completion_status", "running")),
                fields=["created_at"],
                name="ix_llm_requests_running",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                fields=["session", "agent_instance", "-created_at", "-id"],
                name="ix_messages_history",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["agent_instance"], name="ix_messages_agent_instance"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("llm_request__isnull", False)),
                fields=["llm_request"],
                name="ix_messages_llm_request",
            ),
        ),
        migrations.AddIndex(
            model_name="profile",
            index=models.Index(fields=["account"], name="ix_profiles_account"),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                fields=["account", "-last_activity_at", "-id"], name="ix_sessions_account_activity"
            ),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                fields=["agent_instance", "-last_activity_at"], name="ix_sessions_agent_instance"
            ),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("user__isnull", False)),
                fields=["user"],
                name="ix_sessions_user",
            ),
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "account_slug"),
                name="fk_llm_requests_account_id",
                on_delete="CASCADE",
                to="accounts.Account",
                to_fields=("id", "slug"),
            ),
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "agent_instance", "agent_instance_slug"),
                name="fk_llm_requests_agent_instance_id",
                on_delete="NO ACTION",
                to="agents.AgentInstance",
                to_fields=("account", "id", "instance_slug"),
            ),
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "session"),
                name="fk_llm_requests_session_id",
                on_delete="CASCADE",
                to="sessions_app.Session",
                to_fields=("account", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "agent_instance", "config_version"),
                name="fk_llm_requests_config_version_id",
                on_delete="NO ACTION",
                to="agents.ConfigVersion",
                to_fields=("account", "agent_instance", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "completion_status__in",
                        ["running", "complete", "partial", "error", "cancelled"],
                    )
                ),
                name="ck_llm_requests_completion_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cost_source__in", ["reported", "genai-prices", "free", "mixed", "unknown"])
                ),
                name="ck_llm_requests_cost_source",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account",),
                name="fk_messages_account_id",
                on_delete="CASCADE",
                to="accounts.Account",
                to_fields=("id",),
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "session"),
                name="fk_messages_session_id",
                on_delete="CASCADE",
                to="sessions_app.Session",
                to_fields=("account", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "agent_instance"),
                name="fk_messages_agent_instance_id",
                on_delete="NO ACTION",
                to="agents.AgentInstance",
                to_fields=("account", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "llm_request"),
                name="fk_messages_llm_request_id",
                on_delete="SET NULL (llm_request_id)",
                to="sessions_app.LLMRequest",
                to_fields=("account", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "agent_instance", "config_version"),
                name="fk_messages_config_version_id",
                on_delete="NO ACTION",
                to="agents.ConfigVersion",
                to_fields=("account", "agent_instance", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("role__in", ["human", "assistant", "system", "tool", "developer"])
                ),
                name="ck_messages_role",
            ),
        ),
        migrations.AddConstraint(
            model_name="profile",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "session"),
                name="fk_profiles_session_id",
                on_delete="CASCADE",
                to="sessions_app.Session",
                to_fields=("account", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "account_slug"),
                name="fk_sessions_account_id",
                on_delete="CASCADE",
                to="accounts.Account",
                to_fields=("id", "slug"),
            ),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "agent_instance", "agent_instance_slug"),
                name="fk_sessions_agent_instance_id",
                on_delete="NO ACTION",
                to="agents.AgentInstance",
                to_fields=("account", "id", "instance_slug"),
            ),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("user",),
                name="fk_sessions_user_id",
                on_delete="SET NULL",
                to="accounts.User",
                to_fields=("id",),
            ),
        ),
    ]
