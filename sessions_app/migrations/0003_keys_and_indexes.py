from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Left

from salient.database.constraints import CompositeForeignKey
from salient.database.indexes import AddIndexConcurrently
from salient.database.key_changes import (
    AddForeignKeys,
    RemoveUnique,
    ReplaceUnique,
    WidenPrimaryKey,
)

# An agent is of one account: without knowing that, the planner expects next to no rows of both.
STATISTICS = """
CREATE STATISTICS IF NOT EXISTS st_sessions_agent_of_account (dependencies)
    ON account_id, agent_instance_id FROM sessions
"""


class Migration(migrations.Migration):
    """Keys with the account and the indexes of conversations, made without holding a table long.

    The way back fails where two accounts have a session of one key: keys are unique in an account.
    """

    atomic = False
    replaces = [("sessions_app", "0029_account_in_keys")]
    dependencies = [("sessions_app", "0002_conversations_of_accounts")]

    operations = [
        WidenPrimaryKey("session"),
        WidenPrimaryKey("llmrequest"),
        WidenPrimaryKey("message"),
        WidenPrimaryKey("profile"),
        RemoveUnique("session", "ix_sessions_session_key"),
        ReplaceUnique(
            "session",
            models.UniqueConstraint(
                models.F("session_key"), models.F("account"), name="uq_sessions_session_key_account"
            ),
        ),
        ReplaceUnique(
            "llmrequest",
            models.UniqueConstraint(
                name="uq_llm_requests_running_in_session",
                condition=Q(completion_status="running"),
                fields=("session", "account"),
            ),
        ),
        ReplaceUnique(
            "llmrequest",
            models.UniqueConstraint(
                name="uq_llm_requests_idempotency",
                condition=Q(idempotency_key__isnull=False),
                fields=("account", "caller", "idempotency_key"),
            ),
        ),
        ReplaceUnique(
            "profile",
            models.UniqueConstraint(
                models.F("session"), models.F("account"), name="ix_profiles_session_id"
            ),
        ),
        AddIndexConcurrently(
            "session",
            models.Index(
                name="ix_sessions_copied_from",
                condition=Q(copied_from__isnull=False),
                fields=["copied_from"],
            ),
        ),
        AddIndexConcurrently(
            "session",
            models.Index(
                name="ix_sessions_account_activity", fields=["account", "-last_activity_at", "-id"]
            ),
        ),
        AddIndexConcurrently(
            "session",
            models.Index(name="ix_sessions_activity", fields=["-last_activity_at", "-id"]),
        ),
        AddIndexConcurrently(
            "session",
            models.Index(
                name="ix_sessions_instance_activity",
                fields=["account", "agent_instance", "-last_activity_at", "-id"],
            ),
        ),
        AddIndexConcurrently(
            "session",
            models.Index(name="ix_sessions_user", condition=Q(user__isnull=False), fields=["user"]),
        ),
        AddIndexConcurrently(
            "session",
            models.Index(
                name="ix_sessions_end_user",
                condition=Q(end_user__isnull=False),
                fields=["agent_instance", "end_user", "-last_activity_at"],
            ),
        ),
        AddIndexConcurrently(
            "llmrequest",
            models.Index(
                name="ix_llm_requests_account_time", fields=["account", "-created_at", "-id"]
            ),
        ),
        AddIndexConcurrently(
            "llmrequest",
            models.Index(
                name="ix_llm_requests_instance_time", fields=["agent_instance", "-created_at"]
            ),
        ),
        AddIndexConcurrently(
            "llmrequest", models.Index(name="ix_llm_requests_time", fields=["-created_at", "-id"])
        ),
        AddIndexConcurrently(
            "llmrequest",
            models.Index(
                name="ix_llm_requests_failed",
                condition=Q(completion_status="partial")
                | Q(completion_status="error")
                | Q(completion_status="cancelled"),
                fields=["-created_at", "-id"],
            ),
        ),
        AddIndexConcurrently(
            "llmrequest",
            models.Index(
                name="ix_llm_requests_running",
                condition=Q(completion_status="running"),
                fields=["created_at"],
            ),
        ),
        AddIndexConcurrently(
            "message",
            models.Index(
                name="ix_messages_history",
                fields=["session", "agent_instance", "-created_at", "-id"],
            ),
        ),
        AddIndexConcurrently(
            "message",
            models.Index(name="ix_messages_account_time", fields=["account", "-created_at", "-id"]),
        ),
        AddIndexConcurrently(
            "message", models.Index(name="ix_messages_agent_instance", fields=["agent_instance"])
        ),
        AddIndexConcurrently(
            "message",
            models.Index(
                name="ix_messages_llm_request",
                condition=Q(llm_request__isnull=False),
                fields=["llm_request"],
            ),
        ),
        AddIndexConcurrently(
            "message",
            GinIndex(
                SearchVector(Left("content", 50_000), config="simple"),
                name="ix_messages_text_start",
            ),
        ),
        AddIndexConcurrently(
            "profile", models.Index(name="ix_profiles_account", fields=["account"])
        ),
        AddForeignKeys(
            "session",
            [
                CompositeForeignKey(
                    name="fk_sessions_account_id",
                    fields=("account", "account_slug"),
                    to="accounts.Account",
                    to_fields=("id", "slug"),
                    on_delete="CASCADE",
                ),
                CompositeForeignKey(
                    name="fk_sessions_agent_instance_id",
                    fields=("account", "agent_instance", "agent_instance_slug"),
                    to="agents.AgentInstance",
                    to_fields=("account", "id", "instance_slug"),
                    on_delete="NO ACTION",
                ),
                CompositeForeignKey(
                    name="fk_sessions_user_id",
                    fields=("user",),
                    to="accounts.User",
                    to_fields=("id",),
                    on_delete="SET NULL",
                    on_update="NO ACTION",
                ),
            ],
        ),
        AddForeignKeys(
            "llmrequest",
            [
                CompositeForeignKey(
                    name="fk_llm_requests_account_id",
                    fields=("account", "account_slug"),
                    to="accounts.Account",
                    to_fields=("id", "slug"),
                    on_delete="CASCADE",
                ),
                CompositeForeignKey(
                    name="fk_llm_requests_agent_instance_id",
                    fields=("account", "agent_instance", "agent_instance_slug"),
                    to="agents.AgentInstance",
                    to_fields=("account", "id", "instance_slug"),
                    on_delete="NO ACTION",
                ),
                CompositeForeignKey(
                    name="fk_llm_requests_session_id",
                    fields=("account", "session"),
                    to="sessions_app.Session",
                    to_fields=("account", "id"),
                    on_delete="CASCADE",
                    on_update="NO ACTION",
                ),
                CompositeForeignKey(
                    name="fk_llm_requests_config_version_id",
                    fields=("account", "agent_instance", "config_version"),
                    to="agents.ConfigVersion",
                    to_fields=("account", "agent_instance", "id"),
                    on_delete="NO ACTION",
                    on_update="NO ACTION",
                ),
            ],
        ),
        AddForeignKeys(
            "message",
            [
                CompositeForeignKey(
                    name="fk_messages_account_id",
                    fields=("account",),
                    to="accounts.Account",
                    to_fields=("id",),
                    on_delete="CASCADE",
                    on_update="NO ACTION",
                ),
                CompositeForeignKey(
                    name="fk_messages_session_id",
                    fields=("account", "session"),
                    to="sessions_app.Session",
                    to_fields=("account", "id"),
                    on_delete="CASCADE",
                    on_update="NO ACTION",
                ),
                CompositeForeignKey(
                    name="fk_messages_agent_instance_id",
                    fields=("account", "agent_instance"),
                    to="agents.AgentInstance",
                    to_fields=("account", "id"),
                    on_delete="NO ACTION",
                    on_update="NO ACTION",
                ),
                CompositeForeignKey(
                    name="fk_messages_llm_request_id",
                    fields=("account", "llm_request"),
                    to="sessions_app.LLMRequest",
                    to_fields=("account", "id"),
                    on_delete="SET NULL (llm_request_id)",
                    on_update="NO ACTION",
                ),
                CompositeForeignKey(
                    name="fk_messages_config_version_id",
                    fields=("account", "agent_instance", "config_version"),
                    to="agents.ConfigVersion",
                    to_fields=("account", "agent_instance", "id"),
                    on_delete="NO ACTION",
                    on_update="NO ACTION",
                ),
            ],
        ),
        AddForeignKeys(
            "profile",
            [
                CompositeForeignKey(
                    name="fk_profiles_session_id",
                    fields=("account", "session"),
                    to="sessions_app.Session",
                    to_fields=("account", "id"),
                    on_delete="CASCADE",
                    on_update="NO ACTION",
                )
            ],
        ),
        AddForeignKeys(
            "messagefeedback",
            [
                CompositeForeignKey(
                    name="fk_message_feedback_session_id",
                    fields=("account", "session"),
                    to="sessions_app.Session",
                    to_fields=("account", "id"),
                    on_delete="CASCADE",
                    on_update="NO ACTION",
                ),
                CompositeForeignKey(
                    name="fk_message_feedback_message_id",
                    fields=("account", "message"),
                    to="sessions_app.Message",
                    to_fields=("account", "id"),
                    on_delete="CASCADE",
                    on_update="NO ACTION",
                ),
            ],
        ),
        migrations.RunSQL(STATISTICS, "DROP STATISTICS IF EXISTS st_sessions_agent_of_account"),
        migrations.RunSQL("ANALYZE sessions", migrations.RunSQL.noop),
    ]
