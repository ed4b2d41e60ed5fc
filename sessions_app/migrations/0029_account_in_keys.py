from django.db import migrations, models

from salient.database.key_changes import (
    BriefSQLFile,
    ChangeForeignKeys,
    RemoveUnique,
    ReplaceUnique,
    WidenPrimaryKey,
)


class Migration(migrations.Migration):
    """Put the account into every key of a table whose rows belong to accounts.

    So the tables can be distributed by account. Policies compare without a sub-select, primary keys
    are (id, account_id), and only keys that hold a slug follow an update. Made while servers go on.

    The way back fails where two accounts have a session of one key: keys are unique in an account.
    """

    atomic = False
    dependencies = [
        ("sessions_app", "0028_functions_by_account"),
        ("agents", "0008_account_in_keys"),
    ]

    operations = [
        BriefSQLFile("sessions_app", "0029_policies", before="0029_policies_back"),
        RemoveUnique("session", "ix_sessions_session_key"),
        ReplaceUnique(
            "llmrequest",
            models.UniqueConstraint(
                fields=["session", "account"],
                name="uq_llm_requests_running_in_session",
                condition=models.Q(completion_status="running"),
            ),
        ),
        ReplaceUnique(
            "profile",
            models.UniqueConstraint(
                models.F("session"), models.F("account"), name="ix_profiles_session_id"
            ),
        ),
        ReplaceUnique(
            "savedchat",
            models.UniqueConstraint(
                fields=["account", "agent_instance", "name"], name="uq_saved_chats_instance_name"
            ),
        ),
        WidenPrimaryKey("session", unique="uq_sessions_account_id"),
        WidenPrimaryKey("llmrequest", unique="uq_llm_requests_account_id"),
        WidenPrimaryKey("message", unique="uq_messages_account_id"),
        WidenPrimaryKey("savedchat", unique="uq_saved_chats_account_id"),
        WidenPrimaryKey("profile"),
        WidenPrimaryKey("promptsection"),
        WidenPrimaryKey("messagefeedback"),
        WidenPrimaryKey("savedchatrun"),
        ChangeForeignKeys("session", ["fk_sessions_user_id"], on_update="NO ACTION"),
        ChangeForeignKeys(
            "llmrequest",
            ["fk_llm_requests_session_id", "fk_llm_requests_config_version_id"],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys(
            "message",
            [
                "fk_messages_account_id",
                "fk_messages_session_id",
                "fk_messages_agent_instance_id",
                "fk_messages_llm_request_id",
                "fk_messages_config_version_id",
            ],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys("profile", ["fk_profiles_session_id"], on_update="NO ACTION"),
        ChangeForeignKeys(
            "promptsection", ["fk_prompt_sections_account_id"], on_update="NO ACTION"
        ),
        ChangeForeignKeys(
            "messagefeedback",
            [
                "fk_message_feedback_account_id",
                "fk_message_feedback_agent_instance_id",
                "fk_message_feedback_session_id",
                "fk_message_feedback_message_id",
            ],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys(
            "savedchat",
            ["fk_saved_chats_account_id", "fk_saved_chats_agent_instance_id"],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys(
            "savedchatrun",
            [
                "fk_saved_chat_runs_account_id",
                "fk_saved_chat_runs_agent_instance_id",
                "fk_saved_chat_runs_config_version_id",
                "fk_saved_chat_runs_saved_chat_id",
            ],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys(
            "usageday",
            ["fk_usage_days_account_id", "fk_usage_days_agent_instance_id"],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys("usagetotal", ["fk_usage_totals_account_id"], on_update="NO ACTION"),
    ]
