from django.db import migrations, models
from django.db.models import Q

from salient.database.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Let the staff's lists begin anywhere; made while the platform goes on writing."""

    atomic = False
    dependencies = [("sessions_app", "0012_turns")]

    operations = [
        AddIndexConcurrently(
            "session",
            models.Index(fields=["-last_activity_at", "-id"], name="ix_sessions_activity"),
        ),
        AddIndexConcurrently(
            "llmrequest", models.Index(fields=["-created_at", "-id"], name="ix_llm_requests_time")
        ),
        AddIndexConcurrently(
            "llmrequest",
            models.Index(
                fields=["-created_at", "-id"],
                name="ix_llm_requests_failed",
                condition=Q(completion_status="partial")
                | Q(completion_status="error")
                | Q(completion_status="cancelled"),
            ),
        ),
        AddIndexConcurrently(
            "message",
            models.Index(fields=["account", "-created_at", "-id"], name="ix_messages_account_time"),
        ),
        AddIndexConcurrently(
            "messagefeedback",
            models.Index(fields=["-created_at", "-id"], name="ix_message_feedback_time"),
        ),
    ]
