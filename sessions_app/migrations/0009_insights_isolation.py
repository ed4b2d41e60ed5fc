from django.db import migrations

from accounts.tenancy import audit_triggers
from accounts.tenancy import rls


class Migration(migrations.Migration):
    """Row-level security on usage, prompts, feedback and test chats."""

    dependencies = [("sessions_app", "0008_insights"), ("agents", "0006_publications_isolation")]

    operations = [
        *map(
            rls.isolated,
            [
                "usage_days",
                "prompt_sections",
                "message_feedback",
                "saved_chats",
                "saved_chat_runs",
            ],
        ),
        audit_triggers.recorded(
            "saved_chats",
            columns=["name", "messages", "expected", "is_gate"],
            label="name",
            # They may be an end user's words, who may have them deleted; the log stays.
            secret=["messages"],
        ),
    ]
