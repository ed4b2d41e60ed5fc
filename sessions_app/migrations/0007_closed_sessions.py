from django.db import migrations, models
from django.db.models import Q

from salient.database.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Find an agent's closed sessions; made while the platform goes on writing."""

    atomic = False
    dependencies = [("sessions_app", "0006_session_resources")]

    operations = [
        AddIndexConcurrently(
            "session",
            models.Index(
                fields=["account", "agent_instance", "-last_activity_at", "-id"],
                name="ix_sessions_closed",
                condition=Q(closed_at__isnull=False),
            ),
        ),
    ]
