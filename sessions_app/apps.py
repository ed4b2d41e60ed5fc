"""Conversations as a Django app."""

from django.apps import AppConfig

# What the tenant's role may do with each table; requests, which were paid for, are never deleted.
TENANT_RIGHTS = {
    "sessions": "SELECT, INSERT, UPDATE, DELETE",
    "messages": "SELECT, INSERT, UPDATE, DELETE",
    "llm_requests": "SELECT, INSERT, UPDATE",
    "profiles": "SELECT, INSERT, UPDATE, DELETE",
    "prompt_sections": "SELECT, INSERT",
    "message_feedback": "SELECT, INSERT, UPDATE, DELETE",
    "usage_days": "SELECT, INSERT, UPDATE, DELETE",
    "usage_totals": "SELECT",
    "saved_chats": "SELECT, INSERT, UPDATE, DELETE",
    # Answers in which an erased person is named.
    "saved_chat_runs": "SELECT, INSERT, UPDATE (answers)",
    "turn_event_batches": "SELECT, INSERT, DELETE",
    "turn_cancellations": "SELECT, INSERT, DELETE",
    "erasures": "SELECT, INSERT, "
    "UPDATE (finished_at, erased, masked, remaining, kept, position, signature)",
    # Staff hold and set days; the account's own role only reads.
    "legal_holds": "SELECT",
    "retentions": "SELECT",
}
# What the audit log is about: changes, readings under a support access, exports.
AUDITED = [
    "saved_chats",
    "sessions",
    "messages",
    "message_feedback",
    "profiles",
    "llm_requests",
    "usage_days",
    "erasures",
    "legal_holds",
    "retentions",
]

# What distributing the tables changes, and why it is otherwise on one server.
CHANGED_BY_DISTRIBUTION = {
    "unique without account_id": {
        "uq_message_feedback_message_caller": "servers of the release before write feedback by it",
    },
    "ON UPDATE CASCADE with account_id": {
        "fk_llm_requests_agent_instance_id": "holds the slug, which may be renamed",
        "fk_sessions_agent_instance_id": "holds the slug, which may be renamed",
    },
    "ON DELETE SET with account_id": {
        "fk_messages_llm_request_id": "a message outlives its request",
    },
    "trigger": {
        "app_publish_feedback": "the outbox of webhooks, which is written with what happened",
        "app_publish_session": "the outbox of webhooks, which is written with what happened",
        "app_forget_totals": "a kept total of a changed day is wrong",
    },
}


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Conversations"

    def ready(self) -> None:
        # Models can be imported only now.
        from accounts.tenancy.distribution.findings import register_changed  # noqa: PLC0415
        from accounts.tenancy.distribution.tables import (  # noqa: PLC0415
            register_local,
            register_off_shards,
        )
        from accounts.tenancy.roles import register_tables  # noqa: PLC0415
        from agents.config.versions.publishing import register_publish_check  # noqa: PLC0415
        from agents.instances.former_visitors import register_look_up  # noqa: PLC0415
        from salient.database.upgrades.lock import register_refusal  # noqa: PLC0415
        from sessions_app.conversations.sessions import has_session  # noqa: PLC0415
        from sessions_app.evals import saved_chats  # noqa: PLC0415
        from sessions_app.operations.adoption.check import refuse_migration  # noqa: PLC0415
        from sessions_app.usage import figures  # noqa: F401, PLC0415

        register_tables(TENANT_RIGHTS, audited=AUDITED)
        register_look_up(has_session)
        # Sums over all accounts.
        register_local(["usage_totals"])
        # A kept total is local and a usage day on a worker: `rollup --rebuild` renews totals.
        register_off_shards(["app_forget_totals"])
        register_changed(CHANGED_BY_DISTRIBUTION)
        register_publish_check(saved_chats.check_publication)
        register_refusal(refuse_migration)
