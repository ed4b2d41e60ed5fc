from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

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


def leave_room(table: str) -> migrations.RunSQL:
    """Let PostgreSQL write the new version of a row beside the old one: each turn writes these."""
    return migrations.RunSQL(f"ALTER TABLE {table} SET (fillfactor = 50)", migrations.RunSQL.noop)


class Migration(migrations.Migration):
    """Conversations belong to accounts; usage, prompts, feedback and test chats get their tables.

    One transaction: a database that Alembic made is adopted whole or left as it was. Every old row
    belongs to default / simple-chat. Old session keys are stored as SHA-256, as all keys are; one
    that has that form already stays, so that the migration can run again after its way back.
    """

    replaces = [
        ("sessions_app", "0002_tenancy"),
        ("sessions_app", "0003_backfill"),
        ("sessions_app", "0004_constraints"),
        ("sessions_app", "0005_tables"),
        ("sessions_app", "0006_isolation"),
        ("sessions_app", "0007_hash_session_keys"),
        ("sessions_app", "0008_insights"),
        ("sessions_app", "0009_insights_isolation"),
        ("sessions_app", "0010_message_text"),
        ("sessions_app", "0011_usage"),
        ("sessions_app", "0012_turns"),
        ("sessions_app", "0013_list_indexes"),
        ("sessions_app", "0014_turns_together"),
        ("sessions_app", "0015_usage_totals"),
        ("sessions_app", "0016_sum_days"),
        ("sessions_app", "0017_instance_activity"),
        ("sessions_app", "0018_copies"),
        ("sessions_app", "0019_copies_index"),
        ("sessions_app", "0020_mark_copies"),
        ("sessions_app", "0021_turns_in_sets"),
        ("sessions_app", "0022_server_processes"),
        ("sessions_app", "0023_money_columns"),
        ("sessions_app", "0024_message_text_start"),
        ("sessions_app", "0025_validate_cost_source"),
        ("sessions_app", "0026_longer_model_names"),
        ("sessions_app", "0027_session_keys"),
        ("sessions_app", "0028_functions_by_account"),
    ]
    dependencies = [
        ("sessions_app", "0001_initial"),
        ("accounts", "0002_budgets_of_agents"),
        ("agents", "0001_agents"),
    ]

    operations = [
        # The tables of the baseline: columns, owners and rules; then their models as they are now.
        SQLFile("sessions_app", "0002_baseline_tables", before="0002_baseline_tables_back"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.DeleteModel("Profile"),
                migrations.DeleteModel("LLMRequest"),
                migrations.DeleteModel("Message"),
                migrations.DeleteModel("Session"),
                migrations.CreateModel(
                    name="Session",
                    fields=[
                        ("id", uuid_key()),
                        ("session_key", models.CharField(editable=False, max_length=255)),
                        ("email", models.CharField(blank=True, max_length=255, null=True)),
                        ("is_anonymous", models.BooleanField(default=True)),
                        ("created_at", created()),
                        ("last_activity_at", created()),
                        ("meta", models.JSONField(blank=True, null=True)),
                        ("account", key("accounts.account", models.DB_CASCADE, "+")),
                        ("account_slug", models.CharField(editable=False, max_length=63)),
                        ("agent_instance", key("agents.agentinstance", models.DO_NOTHING, "+")),
                        ("agent_instance_slug", models.CharField(editable=False, max_length=63)),
                        (
                            "user",
                            key(
                                settings.AUTH_USER_MODEL,
                                models.DO_NOTHING,
                                "+",
                                blank=True,
                                null=True,
                            ),
                        ),
                        ("updated_at", updated()),
                        ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                        (
                            "end_user",
                            models.CharField(blank=True, editable=False, max_length=255, null=True),
                        ),
                        (
                            "feedback",
                            models.SmallIntegerField(blank=True, editable=False, null=True),
                        ),
                        (
                            "last_status",
                            models.CharField(db_default="", editable=False, max_length=9),
                        ),
                        (
                            "total_cost",
                            models.DecimalField(
                                db_default=0,
                                decimal_places=8,
                                editable=False,
                                max_digits=20,
                                verbose_name="cost (USD)",
                            ),
                        ),
                        (
                            "turn_count",
                            models.IntegerField(db_default=0, editable=False, verbose_name="turns"),
                        ),
                        ("unpriced_turns", models.IntegerField(db_default=0, editable=False)),
                        ("copied_from", models.UUIDField(blank=True, editable=False, null=True)),
                    ],
                    options={
                        "db_table": "sessions",
                        "ordering": ["-last_activity_at"],
                        "indexes": [models.Index(name="ix_sessions_email", fields=["email"])],
                        "constraints": [
                            models.UniqueConstraint(
                                models.F("session_key"), name="ix_sessions_session_key"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LLMRequest",
                    fields=[
                        ("id", uuid_key()),
                        ("session", key("sessions_app.session", models.DB_CASCADE, "llm_requests")),
                        ("provider", models.CharField(max_length=50)),
                        ("model", models.CharField(max_length=255)),
                        ("request_body", models.JSONField(blank=True, null=True)),
                        ("response_body", models.JSONField(blank=True, null=True)),
                        ("prompt_tokens", models.IntegerField(blank=True, null=True)),
                        ("completion_tokens", models.IntegerField(blank=True, null=True)),
                        ("total_tokens", models.IntegerField(blank=True, null=True)),
                        (
                            "prompt_cost",
                            models.DecimalField(
                                blank=True, decimal_places=8, max_digits=20, null=True
                            ),
                        ),
                        (
                            "completion_cost",
                            models.DecimalField(
                                blank=True, decimal_places=8, max_digits=20, null=True
                            ),
                        ),
                        (
                            "total_cost",
                            models.DecimalField(
                                blank=True, decimal_places=8, max_digits=20, null=True
                            ),
                        ),
                        ("latency_ms", models.IntegerField(blank=True, null=True)),
                        ("created_at", created()),
                        ("account", key("accounts.account", models.DB_CASCADE, "+")),
                        ("account_slug", models.CharField(editable=False, max_length=63)),
                        ("agent_instance", key("agents.agentinstance", models.DO_NOTHING, "+")),
                        ("agent_instance_slug", models.CharField(editable=False, max_length=63)),
                        ("agent_type", models.CharField(editable=False, max_length=50)),
                        (
                            "completion_status",
                            models.CharField(
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
                        (
                            "config_version",
                            key(
                                "agents.configversion",
                                models.DO_NOTHING,
                                "+",
                                blank=True,
                                null=True,
                            ),
                        ),
                        ("error_code", models.CharField(blank=True, db_default="", max_length=50)),
                        ("requests", models.IntegerField(db_default=0, verbose_name="model calls")),
                        ("cached_tokens", models.IntegerField(blank=True, null=True)),
                        ("tokens_estimated", models.BooleanField(db_default=False)),
                        (
                            "cost_source",
                            models.CharField(
                                choices=[
                                    ("reported", "reported"),
                                    ("genai-prices", "genai-prices"),
                                    ("free", "free"),
                                    ("configured", "configured"),
                                    ("mixed", "mixed"),
                                    ("unknown", "unknown"),
                                ],
                                db_default="unknown",
                                max_length=12,
                            ),
                        ),
                        ("time_to_first_token_ms", models.IntegerField(blank=True, null=True)),
                        ("settled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                        ("caller", models.CharField(db_default="", editable=False, max_length=100)),
                        (
                            "idempotency_hash",
                            models.CharField(db_default="", editable=False, max_length=64),
                        ),
                        (
                            "idempotency_key",
                            models.CharField(blank=True, editable=False, max_length=255, null=True),
                        ),
                        ("is_test", models.BooleanField(db_default=False, editable=False)),
                        (
                            "reserved_cost",
                            models.DecimalField(
                                blank=True,
                                decimal_places=8,
                                editable=False,
                                max_digits=20,
                                null=True,
                            ),
                        ),
                        (
                            "charged_cost",
                            models.DecimalField(
                                blank=True,
                                decimal_places=8,
                                editable=False,
                                max_digits=20,
                                null=True,
                            ),
                        ),
                        (
                            "server_process_id",
                            models.UUIDField(blank=True, editable=False, null=True),
                        ),
                    ],
                    options={
                        "verbose_name": "LLM request",
                        "db_table": "llm_requests",
                        "ordering": ["-created_at"],
                        "constraints": [
                            models.CheckConstraint(
                                name="ck_llm_requests_completion_status",
                                condition=Q(
                                    completion_status__in=[
                                        "running",
                                        "complete",
                                        "partial",
                                        "error",
                                        "cancelled",
                                    ]
                                ),
                            ),
                            models.CheckConstraint(
                                name="ck_llm_requests_cost_source",
                                condition=Q(
                                    cost_source__in=[
                                        "reported",
                                        "genai-prices",
                                        "free",
                                        "configured",
                                        "mixed",
                                        "unknown",
                                    ]
                                ),
                            ),
                        ],
                        "indexes": [
                            models.Index(name="ix_llm_requests_session_id", fields=["session"])
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Message",
                    fields=[
                        ("id", uuid_key()),
                        ("session", key("sessions_app.session", models.DB_CASCADE, "messages")),
                        (
                            "role",
                            models.CharField(
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
                        ("content", models.TextField()),
                        ("meta", models.JSONField(blank=True, null=True)),
                        ("created_at", created()),
                        ("account", key("accounts.account", models.DB_CASCADE, "+")),
                        ("agent_instance", key("agents.agentinstance", models.DO_NOTHING, "+")),
                        (
                            "llm_request",
                            key(
                                "sessions_app.llmrequest",
                                models.DB_SET_NULL,
                                "messages",
                                blank=True,
                                null=True,
                            ),
                        ),
                        (
                            "config_version",
                            key(
                                "agents.configversion",
                                models.DO_NOTHING,
                                "+",
                                blank=True,
                                null=True,
                            ),
                        ),
                    ],
                    options={
                        "db_table": "messages",
                        "ordering": ["created_at", "id"],
                        "constraints": [
                            models.CheckConstraint(
                                name="ck_messages_role",
                                condition=Q(
                                    role__in=["human", "assistant", "system", "tool", "developer"]
                                ),
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Profile",
                    fields=[
                        ("id", uuid_key()),
                        ("session", key("sessions_app.session", models.DB_CASCADE, "profiles")),
                        ("customer_name", models.CharField(blank=True, max_length=255, null=True)),
                        ("phone", models.CharField(blank=True, max_length=50, null=True)),
                        ("email", models.CharField(blank=True, max_length=255, null=True)),
                        ("address_street", models.CharField(blank=True, max_length=500, null=True)),
                        ("address_city", models.CharField(blank=True, max_length=100, null=True)),
                        ("address_state", models.CharField(blank=True, max_length=50, null=True)),
                        ("address_zip", models.CharField(blank=True, max_length=20, null=True)),
                        (
                            "products_of_interest",
                            ArrayField(base_field=models.CharField(), blank=True, null=True),
                        ),
                        (
                            "services_of_interest",
                            ArrayField(base_field=models.CharField(), blank=True, null=True),
                        ),
                        ("preferences", models.JSONField(blank=True, null=True)),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                        ("account", key("accounts.account", models.DB_CASCADE, "+")),
                    ],
                    options={
                        "db_table": "profiles",
                        "indexes": [models.Index(name="ix_profiles_email", fields=["email"])],
                        "constraints": [
                            models.UniqueConstraint(
                                models.F("session"), name="ix_profiles_session_id"
                            )
                        ],
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="UsageDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "agent_instance_id",
                        "day",
                        "model",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
                ("agent_instance", key("agents.agentinstance", models.DO_NOTHING, "+")),
                ("day", models.DateField()),
                ("model", models.CharField(max_length=306)),
                ("requests", models.IntegerField(db_default=0)),
                ("failed", models.IntegerField(db_default=0)),
                ("cancelled", models.IntegerField(db_default=0)),
                ("unpriced", models.IntegerField(db_default=0)),
                ("input_tokens", models.BigIntegerField(db_default=0)),
                ("cached_tokens", models.BigIntegerField(db_default=0)),
                ("output_tokens", models.BigIntegerField(db_default=0)),
                ("cost", models.DecimalField(db_default=0, decimal_places=8, max_digits=20)),
                ("latency_ms", models.BigIntegerField(db_default=0)),
                ("latency_buckets", ArrayField(base_field=models.IntegerField(), size=34)),
            ],
            options={
                "db_table": "usage_days",
                "constraints": [
                    CompositeForeignKey(
                        name="fk_usage_days_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_usage_days_agent_instance_id",
                        fields=("account", "agent_instance"),
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                        on_delete="NO ACTION",
                        on_update="NO ACTION",
                    ),
                ],
            },
        ),
        migrations.AddIndex("usageday", models.Index(name="ix_usage_days_day", fields=["day"])),
        migrations.AddIndex(
            "usageday",
            models.Index(name="ix_usage_days_instance", fields=["agent_instance", "day"]),
        ),
        migrations.CreateModel(
            name="UsageTotal",
            fields=[
                ("day", models.DateField()),
                ("model", models.CharField(max_length=306)),
                ("requests", models.IntegerField(db_default=0)),
                ("failed", models.IntegerField(db_default=0)),
                ("cancelled", models.IntegerField(db_default=0)),
                ("unpriced", models.IntegerField(db_default=0)),
                ("input_tokens", models.BigIntegerField(db_default=0)),
                ("cached_tokens", models.BigIntegerField(db_default=0)),
                ("output_tokens", models.BigIntegerField(db_default=0)),
                ("cost", models.DecimalField(db_default=0, decimal_places=8, max_digits=20)),
                ("latency_ms", models.BigIntegerField(db_default=0)),
                ("latency_buckets", ArrayField(base_field=models.IntegerField(), size=34)),
                ("id", uuid_key()),
                ("account", key("accounts.account", models.DB_CASCADE, "+", null=True)),
            ],
            options={
                "db_table": "usage_totals",
                "constraints": [
                    CompositeForeignKey(
                        name="fk_usage_totals_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            "usagetotal",
            models.UniqueConstraint(
                name="uq_usage_totals_day_account_model",
                fields=("day", "account", "model"),
                nulls_distinct=False,
            ),
        ),
        migrations.AddIndex(
            "usagetotal", models.Index(name="ix_usage_totals_account", fields=["account", "day"])
        ),
        migrations.CreateModel(
            name="PromptSection",
            fields=[
                ("id", uuid_key()),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("text", models.TextField(editable=False)),
                ("created_at", created()),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
            ],
            options={
                "db_table": "prompt_sections",
                "constraints": [
                    CompositeForeignKey(
                        name="fk_prompt_sections_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.UniqueConstraint(
                        name="uq_prompt_sections_account_digest", fields=("account", "digest")
                    ),
                ],
            },
        ),
        account_in_primary_key("prompt_sections"),
        migrations.CreateModel(
            name="MessageFeedback",
            fields=[
                ("id", uuid_key()),
                ("rating", models.SmallIntegerField(choices=[(1, "good"), (-1, "bad")])),
                ("comment", models.TextField(blank=True, db_default="")),
                ("caller", models.CharField(editable=False, max_length=100)),
                ("created_at", created()),
                ("updated_at", updated()),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
                ("agent_instance", key("agents.agentinstance", models.DO_NOTHING, "+")),
                ("message", key("sessions_app.message", models.DB_CASCADE, "feedback")),
                ("session", key("sessions_app.session", models.DB_CASCADE, "feedback_given")),
            ],
            options={
                "verbose_name_plural": "message feedback",
                "db_table": "message_feedback",
                "ordering": ["-created_at"],
                "constraints": [
                    CompositeForeignKey(
                        name="fk_message_feedback_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_message_feedback_agent_instance_id",
                        fields=("account", "agent_instance"),
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                        on_delete="NO ACTION",
                        on_update="NO ACTION",
                    ),
                    models.UniqueConstraint(
                        name="uq_message_feedback_message_caller", fields=("message", "caller")
                    ),
                    models.CheckConstraint(
                        name="ck_message_feedback_rating", condition=Q(rating__in=[1, -1])
                    ),
                ],
            },
        ),
        account_in_primary_key("message_feedback"),
        migrations.AddIndex(
            "messagefeedback", models.Index(name="ix_message_feedback_session", fields=["session"])
        ),
        migrations.AddIndex(
            "messagefeedback",
            models.Index(
                name="ix_message_feedback_account", fields=["account", "-created_at", "-id"]
            ),
        ),
        migrations.AddIndex(
            "messagefeedback",
            models.Index(name="ix_message_feedback_time", fields=["-created_at", "-id"]),
        ),
        migrations.AddIndex(
            "messagefeedback",
            models.Index(name="ix_message_feedback_instance", fields=["agent_instance"]),
        ),
        migrations.CreateModel(
            name="SavedChat",
            fields=[
                ("id", uuid_key()),
                ("name", models.CharField(max_length=100)),
                ("messages", models.JSONField()),
                ("expected", models.JSONField(blank=True, default=list)),
                (
                    "is_gate",
                    models.BooleanField(
                        default=True, verbose_name="keeps from publishing when it fails"
                    ),
                ),
                ("session_id", models.UUIDField(blank=True, editable=False, null=True)),
                ("created_at", created()),
                ("updated_at", updated()),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
                ("agent_instance", key("agents.agentinstance", models.DO_NOTHING, "saved_chats")),
            ],
            options={
                "verbose_name": "test chat",
                "db_table": "saved_chats",
                "ordering": ["name"],
                "constraints": [
                    CompositeForeignKey(
                        name="fk_saved_chats_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_saved_chats_agent_instance_id",
                        fields=("account", "agent_instance"),
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                        on_delete="NO ACTION",
                        on_update="NO ACTION",
                    ),
                    models.UniqueConstraint(
                        name="uq_saved_chats_instance_name",
                        fields=("account", "agent_instance", "name"),
                    ),
                ],
            },
        ),
        account_in_primary_key("saved_chats"),
        migrations.CreateModel(
            name="SavedChatRun",
            fields=[
                ("id", uuid_key()),
                ("passed", models.BooleanField()),
                ("answers", models.JSONField()),
                ("cost", models.DecimalField(decimal_places=8, max_digits=20, null=True)),
                ("latency_ms", models.IntegerField()),
                ("created_at", created()),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
                ("agent_instance", key("agents.agentinstance", models.DO_NOTHING, "+")),
                (
                    "config_version",
                    key("agents.configversion", models.DO_NOTHING, "+", blank=True, null=True),
                ),
                ("saved_chat", key("sessions_app.savedchat", models.DB_CASCADE, "runs")),
            ],
            options={
                "verbose_name": "test chat run",
                "db_table": "saved_chat_runs",
                "ordering": ["-created_at"],
                "constraints": [
                    CompositeForeignKey(
                        name="fk_saved_chat_runs_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_saved_chat_runs_agent_instance_id",
                        fields=("account", "agent_instance"),
                        to="agents.AgentInstance",
                        to_fields=("account", "id"),
                        on_delete="NO ACTION",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_saved_chat_runs_config_version_id",
                        fields=("account", "agent_instance", "config_version"),
                        to="agents.ConfigVersion",
                        to_fields=("account", "agent_instance", "id"),
                        on_delete="NO ACTION",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_saved_chat_runs_saved_chat_id",
                        fields=("account", "saved_chat"),
                        to="sessions_app.SavedChat",
                        to_fields=("account", "id"),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                ],
            },
        ),
        account_in_primary_key("saved_chat_runs"),
        migrations.AddIndex(
            "savedchatrun",
            models.Index(
                name="ix_saved_chat_runs_chat",
                fields=["saved_chat", "config_version", "-created_at"],
            ),
        ),
        migrations.AddIndex(
            "savedchatrun",
            models.Index(name="ix_saved_chat_runs_instance", fields=["account", "agent_instance"]),
        ),
        migrations.CreateModel(
            name="ServerProcess",
            fields=[
                ("id", uuid_key()),
                ("host", models.CharField(blank=True, db_default="", max_length=255)),
                ("pid", models.IntegerField()),
                ("pid_started", models.BigIntegerField(db_default=0)),
                ("started_at", created()),
                ("seen_at", created()),
            ],
            options={"db_table": "server_processes"},
        ),
        leave_room("usage_days"),
        SQLFile("sessions_app", "0002_counts"),
        SQLFile("sessions_app", "0002_totals"),
        SQLFile(
            "sessions_app",
            "0002_app_count_turns",
            back="DROP FUNCTION app_count_turns(uuid, uuid, date, jsonb)",
        ),
        SQLFile(
            "sessions_app", "0002_app_count_turn", back="DROP FUNCTION app_count_turn(uuid, uuid)"
        ),
        SQLFile(
            "sessions_app", "0002_app_open_turns", back="DROP FUNCTION app_open_turns(uuid, jsonb)"
        ),
        SQLFile(
            "sessions_app",
            "0002_app_settle_turns",
            back="DROP FUNCTION app_settle_turns(uuid, jsonb)",
        ),
        SQLFile("sessions_app", "0002_app_forget_totals", back="DROP FUNCTION app_forget_totals()"),
        SQLFile("sessions_app", "0002_isolation", before="0002_isolation_back"),
        SQLFile("sessions_app", "0002_triggers", before="0002_triggers_back"),
    ]
