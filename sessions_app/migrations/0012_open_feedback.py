from django.db import migrations, models
from django.db.models import Q

from salient.database.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Count and list open feedback; made while the platform goes on writing."""

    atomic = False
    dependencies = [("sessions_app", "0011_feedback_status")]

    operations = [
        AddIndexConcurrently(
            "messagefeedback",
            models.Index(
                fields=["account", "-created_at", "-id"],
                include=["agent_instance"],
                name="ix_message_feedback_open",
                condition=Q(rating=-1, status=""),
            ),
        ),
    ]
