from django.db import migrations, models
from django.db.models import Q

from salient.database.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Find what says a conversation again; made while the platform goes on writing."""

    atomic = False
    dependencies = [("sessions_app", "0018_copies")]

    operations = [
        AddIndexConcurrently(
            "session",
            models.Index(
                fields=["copied_from"],
                name="ix_sessions_copied_from",
                condition=Q(copied_from__isnull=False),
            ),
        ),
    ]
